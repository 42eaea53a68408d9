//! What is reserved and cannot be used: free stretches, rounding, blocks that pin segments.

mod free;
mod pins;
mod verdict;

use oomscope_model::{Bytes, EventIndex, MemoryState};

use super::moment::{MomentChoice, Point};
use super::selection::Selection;
use crate::analysis::Recording;

pub use free::{FreePool, SizeClass};
pub use pins::{Pin, PinnedBy};
pub use verdict::{FailedRequest, FragmentationVerdict, NotTheCause};

/// What is reserved and cannot be used, at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Fragmentation {
    /// The moment.
    pub point: Point,
    /// The device's counters then, the selection aside.
    pub counters: MemoryState,
    /// What it comes to.
    pub verdict: FragmentationVerdict,
    /// The request that failed, when the moment is a failure.
    pub request: Option<FailedRequest>,
    /// A failure before the moment, when the moment is none.
    pub failed_before: Option<EventIndex>,
    /// Whether the selection leaves pools or streams out; the verdict is of all of them.
    pub is_narrowed: bool,
    /// The selected segments by pool and stream, most reserved first.
    pub pools: Vec<FreePool>,
    /// Their sum.
    pub total: FreePool,
    /// Free stretches by size, smallest first.
    pub free: Vec<SizeClass>,
    /// Live blocks by size, with what rounding adds, smallest first.
    pub rounding: Vec<SizeClass>,
    /// Segments kept by few bytes, most unused bytes first.
    pub pins: Vec<Pin>,
    /// Those by the line that made the keeping blocks, most unused bytes first.
    pub pinned_by: Vec<PinnedBy>,
}

/// What is reserved and cannot be used, at a point.
pub fn fragmentation(
    recording: &Recording<'_>,
    point: Point,
    selection: &Selection,
) -> Fragmentation {
    let state = recording.state(point.at);
    let stretches = free::stretches(&state, selection);
    let pools = free::pools(&stretches);
    let past = recording.past(point.at, &state);
    let pins = pins::pins(&past, &state, selection);
    let request = verdict::failed_request(recording, point, &state);
    Fragmentation {
        point,
        verdict: verdict::verdict(&past, &state, request.as_ref(), recording.snapshot()),
        failed_before: request.is_none().then(|| failed_before(recording, past.until)).flatten(),
        is_narrowed: selection.stream.is_some() || selection.pool.is_some(),
        request,
        total: free::total(&pools),
        pools,
        free: free::by_size(&stretches),
        rounding: free::rounding(selection.live(&state)),
        pinned_by: pins::by_line(&pins),
        pins,
        counters: state.counters,
    }
}

/// The failure that `--at oom` looks at, if it comes before an event.
fn failed_before(recording: &Recording<'_>, until: u32) -> Option<EventIndex> {
    let failure = recording.point(MomentChoice::Oom(None)).ok()?.event?;
    (failure.0 < until).then_some(failure)
}

/// `0` where there is nothing to divide.
fn without(part: Bytes, whole: Bytes) -> f64 {
    if whole == Bytes::ZERO { 0.0 } else { (1.0 - part.share_of(whole)).max(0.0) }
}
