//! The live set: who holds memory at a moment.

use oomscope_model::MemoryState;

use super::grouping::{Group, GroupBy, Tally, grouped};
use super::moment::Point;
use super::selection::Selection;
use crate::LiveBlock;
use crate::analysis::Recording;

/// Who holds memory at a moment. Blocks that wait for a stream count: they are not free.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveSet {
    /// The moment.
    pub point: Point,
    /// The device's counters then, the selection aside.
    pub counters: MemoryState,
    /// The sum of the selected blocks.
    pub selected: Tally,
    /// What they were summed by.
    pub by: GroupBy,
    /// The selected blocks in groups, most bytes first; their sum is `selected`.
    pub groups: Vec<Group>,
}

/// Groups the selected live blocks at a moment.
pub fn live_set(
    recording: &Recording<'_>,
    point: Point,
    selection: &Selection,
    by: GroupBy,
) -> LiveSet {
    let state = recording.state(point.at);
    let blocks: Vec<&LiveBlock> = selection.live(&state).collect();
    LiveSet {
        point,
        selected: Tally::of(blocks.iter().copied()),
        by,
        groups: grouped(recording, point.at, &state, blocks.iter().copied(), by),
        counters: state.counters,
    }
}
