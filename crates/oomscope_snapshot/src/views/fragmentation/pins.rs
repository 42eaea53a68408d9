//! Few bytes that keep a whole segment from being given back.

use oomscope_model::{Bytes, Place, Role};
use rustc_hash::FxHashMap;

use super::free::blocks_of;
use crate::analysis::past::Past;
use crate::views::Selection;
use crate::{LiveBlock, State};

/// A segment of which less is used than this is pinned rather than used.
const LITTLE: f64 = 0.25;

/// A segment that few bytes keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Pin {
    /// Device address of the segment.
    pub segment: u64,
    /// The segment's size.
    pub total: Bytes,
    /// The pool in words.
    pub pool: String,
    /// The blocks that keep it.
    pub used: Bytes,
    /// Their number.
    pub blocks: u64,
    /// The line that made most of them.
    pub place: Option<Place>,
    /// What most of them are.
    pub role: Role,
    /// Events since the oldest was made; `None` when it is older than the trace.
    pub oldest_events: Option<u32>,
}

/// Segments that one line's blocks keep.
#[derive(Clone, Debug, PartialEq)]
pub struct PinnedBy {
    /// The line; `None` without a frame of the user's.
    pub place: Option<Place>,
    /// What the blocks are.
    pub role: Role,
    /// Number of segments.
    pub segments: u64,
    /// Their size together.
    pub total: Bytes,
    /// The blocks that keep them.
    pub used: Bytes,
    /// Events since the oldest block was made; `None` when one is older than the trace.
    pub oldest_events: Option<u32>,
}

impl Pin {
    /// What the blocks keep from use elsewhere.
    pub fn unused(&self) -> Bytes {
        self.total.saturating_sub(self.used)
    }
}

/// Pinned segments, most unused bytes first. Expandable segments give back pages, private pools
/// nothing: neither counts.
pub(super) fn pins(past: &Past<'_>, state: &State, selection: &Selection) -> Vec<Pin> {
    let segments = selection
        .segments(state)
        .filter(|segment| !segment.is_expandable && segment.pool_id == (0, 0));
    let mut pins: Vec<Pin> = segments
        .filter_map(|segment| {
            let blocks = blocks_of(state, segment);
            let used: Bytes = blocks.iter().map(|block| block.size).sum();
            let heaviest = blocks.iter().max_by_key(|block| block.size)?;
            let is_wanted = |block: &LiveBlock| {
                selection.stacks.as_ref().is_none_or(|wanted| wanted.has(block.stack))
            };
            let is_pinned = used.share_of(segment.total) < LITTLE && blocks.iter().any(is_wanted);
            is_pinned.then(|| Pin {
                segment: segment.addr,
                total: segment.total,
                pool: segment.pool_name(),
                used,
                blocks: blocks.len() as u64,
                place: past.summary(heaviest.stack).place.clone(),
                role: past.role_of(heaviest),
                oldest_events: oldest(past, blocks),
            })
        })
        .collect();
    pins.sort_by_key(|pin| (std::cmp::Reverse(pin.unused()), pin.segment));
    pins
}

fn oldest(past: &Past<'_>, blocks: &[LiveBlock]) -> Option<u32> {
    let ages = blocks.iter().map(|block| Some(past.until.saturating_sub(block.allocated_at?.0)));
    ages.collect::<Option<Vec<u32>>>()?.into_iter().max()
}

/// Pins by line, most unused bytes first.
pub(super) fn by_line(pins: &[Pin]) -> Vec<PinnedBy> {
    let mut lines: FxHashMap<(Option<&Place>, Role), PinnedBy> = FxHashMap::default();
    for pin in pins {
        let line = lines.entry((pin.place.as_ref(), pin.role)).or_insert_with(|| PinnedBy {
            place: pin.place.clone(),
            role: pin.role,
            segments: 0,
            total: Bytes::ZERO,
            used: Bytes::ZERO,
            oldest_events: Some(0),
        });
        line.segments += 1;
        line.total += pin.total;
        line.used += pin.used;
        line.oldest_events = line.oldest_events.zip(pin.oldest_events).map(|(a, b)| a.max(b));
    }
    let mut lines: Vec<PinnedBy> = lines.into_values().collect();
    lines.sort_by(|a, b| {
        let unused = |line: &PinnedBy| line.total.saturating_sub(line.used);
        unused(b).cmp(&unused(a)).then_with(|| a.place.cmp(&b.place)).then(a.role.cmp(&b.role))
    });
    lines
}
