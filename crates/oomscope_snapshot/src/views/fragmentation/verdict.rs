//! Whether a request failed for want of contiguous memory alone.

use oomscope_model::{Bytes, SegmentPool};

use crate::analysis::past::Past;
use crate::analysis::{Recording, growth};
use crate::history::rounding::SMALL_SIZE;
use crate::views::Point;
use crate::{Snapshot, State};

/// A request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedRequest {
    /// Bytes asked for, rounded as the allocator rounds them.
    pub size: Bytes,
    /// Free in the default pools, all streams and sizes together.
    pub cached: Bytes,
    /// The largest free stretch that the request could have used: of its pool and stream.
    pub largest_usable: Bytes,
    /// Free on the device, as the driver said.
    pub device_free: Bytes,
}

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FragmentationVerdict {
    /// Packed, the request would have fitted, and much lay unused.
    Cause,
    /// Packed, it would have fitted, but little lay unused: memory was nearly full.
    Part,
    /// It would have failed all the same.
    Not(NotTheCause),
    /// Nothing failed at this moment.
    NoFailure,
}

/// Why fragmentation is not the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTheCause {
    /// All that is free, packed, does not hold the request.
    TooLittleFree,
    /// The device had enough free: it refused for another reason.
    DeviceHadRoom,
    /// A cached stretch was large enough.
    StretchFitted,
    /// Pages of expandable segments move to where they are needed.
    Expandable,
}

/// From this share of what is reserved on, what lies unused is why a request fails.
const MUCH: f64 = 0.22;
/// From this share on, where memory does not grow.
const MUCH_WHEN_FLAT: f64 = 0.14;

pub(super) fn failed_request(
    recording: &Recording<'_>,
    point: Point,
    state: &State,
) -> Option<FailedRequest> {
    point.failed_request?;
    let failure = recording.trace()?.event(point.event?)?;
    let size = recording.snapshot().rounding.block_size(failure.size.0);
    let pool = if size <= SMALL_SIZE { SegmentPool::Small } else { SegmentPool::Large };
    let everything = crate::views::Selection::default();
    let stretches = super::free::stretches(state, &everything);
    let default = || stretches.iter().filter(|one| one.segment.pool_id == (0, 0));
    let usable = default()
        .filter(|one| one.segment.pool == pool || one.segment.pool == SegmentPool::Unknown)
        .filter(|one| one.segment.stream == failure.stream)
        .flat_map(|one| one.free.iter().map(|(_, length)| *length));
    Some(FailedRequest {
        size: Bytes(size),
        cached: default().flat_map(|one| one.free.iter().map(|(_, length)| *length)).sum(),
        largest_usable: usable.max().unwrap_or_default(),
        // An `oom` event has the device's free bytes in place of an address.
        device_free: Bytes(failure.addr),
    })
}

pub(super) fn verdict(
    past: &Past<'_>,
    state: &State,
    request: Option<&FailedRequest>,
    snapshot: &Snapshot,
) -> FragmentationVerdict {
    let Some(request) = request else { return FragmentationVerdict::NoFailure };
    let is_expandable = snapshot.settings.expandable_segments == Some(true)
        && state.segments.iter().all(|segment| segment.is_expandable || segment.pool_id != (0, 0));
    if request.cached + request.device_free < request.size {
        FragmentationVerdict::Not(NotTheCause::TooLittleFree)
    } else if request.device_free >= request.size {
        FragmentationVerdict::Not(NotTheCause::DeviceHadRoom)
    } else if request.largest_usable >= request.size {
        FragmentationVerdict::Not(NotTheCause::StretchFitted)
    } else if is_expandable {
        FragmentationVerdict::Not(NotTheCause::Expandable)
    } else {
        let share = request.cached.share_of(state.counters.reserved);
        let lacking = request.size.saturating_sub(request.device_free);
        let is_flat = || growth::find(past).is_none();
        let is_cause = share >= MUCH
            || (share >= MUCH_WHEN_FLAT || request.cached >= lacking.times(2)) && is_flat();
        if is_cause { FragmentationVerdict::Cause } else { FragmentationVerdict::Part }
    }
}
