//! A run of the model, as JSON has it: the recorded one and the changed one look alike.

use oomscope_allocator::{Backend, Capacity, Counters, Failure, Need, Settings};
use oomscope_diagnose::replay::{Recorded, Run};
use oomscope_model::{DeviceId, EventIndex, FrameOrigin, Place, StackId};
use oomscope_snapshot::Snapshot;
use schemars::JsonSchema;
use serde::Serialize;

use crate::wire::PlaceV1;

/// A run of the requests.
#[derive(Serialize, JsonSchema)]
pub(crate) struct RunV1 {
    /// The settings, as the environment variable's value; empty for the defaults.
    pub(crate) conf: String,
    /// The PyTorch release whose rules were used.
    pub(crate) version: String,
    /// Bytes that the device has for the allocator; null without limit.
    pub(crate) capacity: Option<u64>,
    /// The share of the device's total that the process may hold; null without such a cap.
    pub(crate) memory_fraction: Option<f64>,
    /// Whether the figures are an estimate: the driver's pool (`cudaMallocAsync`) is not public, and
    /// behind a divergence the model is not where the recorded run was.
    pub(crate) is_estimate: bool,
    /// Highest bytes in blocks that the program held.
    pub(crate) peak_allocated: u64,
    /// Highest bytes in blocks in use: those, and blocks that wait for another stream.
    pub(crate) peak_active: u64,
    /// Highest bytes held from the device.
    pub(crate) peak_reserved: u64,
    /// Bytes held from the device at the end: at the failure, if there is one.
    pub(crate) reserved: u64,
    /// Bytes in blocks in use at the end.
    pub(crate) active: u64,
    /// Segments at the end.
    pub(crate) segments: u64,
    /// Calls that obtained memory from the device.
    pub(crate) device_allocs: u64,
    /// Calls that gave memory back to it.
    pub(crate) device_frees: u64,
    /// Requests that freed the cache and tried again.
    pub(crate) retries: u64,
    /// Requests that failed.
    pub(crate) ooms: u64,
    /// The request that ended the run; null when it ran to its end.
    pub(crate) oom: Option<OomV1>,
    /// Requests that failed while the recorded program went on.
    pub(crate) survived_ooms: u64,
    /// Requests that failed when they were recorded and are served here. What the program would
    /// have done with them was not recorded.
    pub(crate) avoided_ooms: u64,
}

/// A request that ended a run.
#[derive(Serialize, JsonSchema)]
pub(crate) struct OomV1 {
    /// Number of requests before it.
    pub(crate) request: u64,
    /// The event that it is in the recorded trace.
    pub(crate) event: u32,
    /// Bytes asked for.
    pub(crate) size: u64,
    /// Bytes held from the device then.
    pub(crate) reserved: u64,
    /// Bytes in blocks in use then.
    pub(crate) active: u64,
    /// The innermost line of the user's code that asked.
    pub(crate) place: Option<PlaceV1>,
}

/// What is unavoidable, in bytes.
#[derive(Serialize, JsonSchema)]
pub(crate) struct NeedV1 {
    /// The most that was live at once, a request that failed included: no allocator can do with
    /// less.
    pub(crate) live: u64,
    /// What the same blocks take for the same lifetimes when packed by best fit, those that live
    /// long apart from the others: an estimate of perfect
    /// packing, from above.
    pub(crate) packed: u64,
}

impl NeedV1 {
    pub(crate) fn of(need: Need) -> NeedV1 {
        NeedV1 { live: need.live, packed: need.packed }
    }
}

/// The device's trace that a run is of.
#[derive(Clone, Copy)]
pub(crate) struct Source<'s> {
    pub(crate) snapshot: &'s Snapshot,
    pub(crate) device: DeviceId,
}

impl Source<'_> {
    /// The innermost line of the user's code in a stack.
    pub(crate) fn place(self, stack: StackId) -> Option<PlaceV1> {
        let mut frames = self.snapshot.stacks.frames_of(stack);
        let place: Place = frames.find(|frame| frame.origin() == FrameOrigin::User)?.place();
        Some(PlaceV1::of(&place))
    }

    pub(crate) fn oom(self, failure: &Failure) -> OomV1 {
        // The request may begin with device events, which have its stack too.
        let trace = self.snapshot.trace(self.device);
        let event = trace.and_then(|trace| trace.event(EventIndex(failure.event)));
        OomV1 {
            request: failure.request,
            event: failure.event,
            size: failure.size,
            reserved: failure.reserved,
            active: failure.active,
            place: event.and_then(|event| self.place(event.stack)),
        }
    }
}

impl RunV1 {
    /// The recorded run: by the counters that the model had beside the trace where it agrees
    /// throughout, else by those of the requests run again.
    pub(crate) fn recorded(source: Source, recorded: &Recorded, run: &Run) -> RunV1 {
        let mut shown = RunV1::of(source, run);
        if recorded.followed.divergence.is_none() {
            shown.count(&recorded.followed.counters);
            shown.segments = recorded.followed.layout.len() as u64;
        } else {
            shown.is_estimate = true;
        }
        shown
    }

    pub(crate) fn of(source: Source, run: &Run) -> RunV1 {
        let outcome = &run.outcome;
        let mut shown = RunV1 {
            conf: run.settings.to_string(),
            version: run.release.to_string(),
            capacity: available(run.capacity),
            memory_fraction: run.settings.memory_fraction,
            is_estimate: is_rough(&run.settings),
            peak_allocated: 0,
            peak_active: 0,
            peak_reserved: 0,
            reserved: 0,
            active: 0,
            segments: outcome.segments as u64,
            device_allocs: 0,
            device_frees: 0,
            retries: 0,
            ooms: 0,
            oom: outcome.failure.as_ref().map(|failure| source.oom(failure)),
            survived_ooms: outcome.survived,
            avoided_ooms: outcome.avoided,
        };
        shown.count(&outcome.counters);
        shown
    }

    fn count(&mut self, counters: &Counters) {
        self.peak_allocated = counters.peak_allocated;
        self.peak_active = counters.peak_active;
        self.peak_reserved = counters.peak_reserved;
        self.reserved = counters.reserved;
        self.active = counters.active;
        self.device_allocs = counters.device_allocs;
        self.device_frees = counters.device_frees;
        self.retries = counters.retries;
        self.ooms = counters.ooms;
    }
}

/// Bytes that a device has for the allocator; `None` without limit.
pub(crate) fn available(capacity: Option<Capacity>) -> Option<u64> {
    capacity.map(|capacity| capacity.available)
}

/// Whether the model knows the allocator of these settings only roughly.
pub(crate) fn is_rough(settings: &Settings) -> bool {
    settings.backend == Backend::CudaMallocAsync
}
