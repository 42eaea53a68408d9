//! Whether a request failed for want of contiguous memory alone.

use oomscope_model::{Bytes, Growth, SegmentPool};

use crate::analysis::past::Past;
use crate::analysis::{Recording, growth};
use crate::views::Point;
use crate::{Snapshot, State};
use oomscope_model::rounding::{SMALL_SIZE, segment_size};

/// A request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedRequest {
    /// Bytes asked for, rounded as the allocator rounds them.
    pub size: Bytes,
    /// The segment that it would have needed.
    pub segment: Bytes,
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
    /// Packed, it would have fitted, but memory grows: a later one would fail.
    Grows,
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

/// From this share of what is reserved on, what lies unused outweighs that memory grows.
const MUCH: f64 = 0.33;
/// From this share on it is why a request fails.
const SOME: f64 = 0.14;
/// From this share on, where memory is flat and little was lacking.
const LITTLE: f64 = 0.07;
/// Growth of less than this part of what is held is beside the point.
const GROWS: f64 = 0.25;

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
        segment: Bytes(segment_size(size)),
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
    } else if request.device_free >= request.segment {
        FragmentationVerdict::Not(NotTheCause::DeviceHadRoom)
    } else if request.largest_usable >= request.size {
        FragmentationVerdict::Not(NotTheCause::StretchFitted)
    } else if is_expandable {
        FragmentationVerdict::Not(NotTheCause::Expandable)
    } else {
        packed(past, state, request)
    }
}

/// The request would have fitted: whether what lies unused is why it did not. The shares are those
/// by which the diagnosis weighs it.
fn packed(past: &Past<'_>, state: &State, request: &FailedRequest) -> FragmentationVerdict {
    let share = request.cached.share_of(state.counters.reserved);
    let growth = growth::find(past);
    let is_growing = |growth: &Growth| growth.total.share_of(state.counters.allocated) >= GROWS;
    if growth.as_ref().is_some_and(is_growing) {
        return if share >= MUCH {
            FragmentationVerdict::Cause
        } else {
            FragmentationVerdict::Grows
        };
    }
    let lacking = request.segment.saturating_sub(request.device_free);
    let is_flat = growth.is_none() && past.periods().starts.len() >= 3;
    let is_enough =
        share >= SOME || share >= LITTLE && is_flat && request.cached >= lacking.times(2);
    if is_enough { FragmentationVerdict::Cause } else { FragmentationVerdict::Part }
}
