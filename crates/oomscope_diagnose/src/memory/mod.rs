//! From a snapshot to evidence: the state at the failure, who asked, who holds, what grows.
//!
//! Reads nothing and judges nothing; the causes do. Everything here is linear in the events,
//! and each distinct stack is looked at once.

mod growth;
mod holders;
mod moment;
mod periods;
mod stacks;

use oomscope_model::{
    Bytes, DeviceId, EventIndex, EventKind, Limit, Moment, Request, Role, SnapshotEvidence, StackId,
};
use oomscope_snapshot::{At, LiveBlock, Snapshot, Trace};

use holders::{holders, roles};
use periods::Periods;
use stacks::StackTable;

/// What each device in use says at the moment that matters.
///
/// `failed_request` is the size that a log's error states; among several failures in the trace it
/// picks the one that the log is about.
pub fn summarise(
    input: &str,
    snapshot: &Snapshot,
    failed_request: Option<Bytes>,
) -> Vec<SnapshotEvidence> {
    snapshot
        .devices()
        .into_iter()
        .map(|device| summarise_device(input, snapshot, device, failed_request))
        .collect()
}

fn summarise_device(
    input: &str,
    snapshot: &Snapshot,
    device: DeviceId,
    failed_request: Option<Bytes>,
) -> SnapshotEvidence {
    let trace = snapshot.traces.iter().find(|trace| trace.device == device);
    let history = oomscope_snapshot::history(snapshot, device);
    let timeline = history.timeline();
    let moment = moment::choose(trace, &timeline, failed_request);
    let at = match moment {
        Moment::Oom { event, .. } => At::Before(event),
        Moment::Peak { event } => At::After(event),
        Moment::End => At::End,
    };
    let state = history.state_at(at);
    let end = history.state_at(At::End);
    let stacks = StackTable::new(&snapshot.stacks);
    let until = match moment {
        Moment::Oom { event, .. } => event.0,
        Moment::Peak { event } => event.0.saturating_add(1),
        Moment::End => trace.map_or(0, |trace| trace.len() as u32),
    };
    let live: Vec<LiveBlock> = state
        .live
        .iter()
        .filter(|block| block.state == oomscope_model::BlockState::Allocated)
        .copied()
        .collect();
    let parameter_sizes = stacks.parameter_sizes(&live);
    let periods = trace.map(|trace| periods::find(trace, until, &stacks)).unwrap_or_default();
    let growth = trace.and_then(|trace| {
        growth::find(trace, until, &periods, &live, &timeline, &stacks, &parameter_sizes)
    });
    let holders = holders(&live, &stacks, &parameter_sizes);
    let roles = roles(&holders);
    let activity = trace.map(|trace| activity(trace, until, &live, &stacks)).unwrap_or_default();
    let limits = limits(trace, &live, &holders, state.counters.allocated);
    SnapshotEvidence {
        input: input.to_owned(),
        device,
        torch_version: snapshot.torch_version.map(str::to_owned),
        settings: snapshot.settings.clone(),
        request: request(trace, &moment, &stacks),
        moment,
        state: state.counters,
        end: end.counters,
        peak_allocated: timeline
            .peak_allocated()
            .map_or(end_peak(snapshot, device), |(_, bytes)| bytes),
        events: trace.map_or(0, |trace| trace.len() as u64),
        holders,
        roles,
        growth,
        forward_kept: activity.forward_kept,
        backward_runs: activity.backward_runs,
        optimizer_steps: activity.optimizer_steps,
        oom_events: trace.map_or(0, |trace| oomscope_snapshot::oom_events(trace).len() as u32),
        limits,
    }
}

fn end_peak(snapshot: &Snapshot, device: DeviceId) -> Bytes {
    snapshot
        .segments
        .iter()
        .filter(|segment| segment.device == device)
        .map(|segment| segment.allocated)
        .sum()
}

fn request(trace: Option<&Trace>, moment: &Moment, stacks: &StackTable<'_>) -> Option<Request> {
    let (Moment::Oom { event, .. } | Moment::Peak { event }) = moment else { return None };
    let event = trace?.event(*event)?;
    let stack = stacks.summary(event.stack);
    Some(Request {
        stack: stacks.frames(event.stack),
        place: stack.place.clone(),
        library_call: stack.library_call.clone(),
        phase: stack.phase,
        requested: event.size,
    })
}

/// What ran before the moment, from the stacks.
#[derive(Default)]
struct Activity {
    backward_runs: u32,
    optimizer_steps: u32,
    forward_kept: Option<(Bytes, Bytes)>,
}

fn activity(trace: &Trace, until: u32, live: &[LiveBlock], stacks: &StackTable<'_>) -> Activity {
    let mut activity = Activity::default();
    let mut last_phase = PhaseKind::Other;
    let mut made = Bytes::ZERO;
    let mut blocks = 0;
    let mut first_of_forward = until;
    for (EventIndex(index), event) in trace.iter().take(until as usize) {
        if event.kind != EventKind::Alloc {
            continue;
        }
        let phase = stacks.summary(event.stack).kind();
        match phase {
            PhaseKind::Backward if last_phase != PhaseKind::Backward => {
                activity.backward_runs += 1;
                made = Bytes::ZERO;
                blocks = 0;
                first_of_forward = until;
            }
            PhaseKind::Optimizer if last_phase != PhaseKind::Optimizer => {
                activity.optimizer_steps += 1;
                made = Bytes::ZERO;
                blocks = 0;
                first_of_forward = until;
            }
            PhaseKind::Forward => {
                first_of_forward = first_of_forward.min(index);
                made += event.size;
                blocks += 1;
            }
            PhaseKind::Backward | PhaseKind::Optimizer | PhaseKind::Other => {}
        }
        if phase != PhaseKind::Other {
            last_phase = phase;
        }
    }
    // The first few blocks of a pass are all live, whether a graph is recorded or not.
    if blocks >= 16 {
        let kept = live
            .iter()
            .filter(|block| block.allocated_at.is_some_and(|at| at >= EventIndex(first_of_forward)))
            .filter(|block| stacks.summary(block.stack).kind() == PhaseKind::Forward)
            .map(|block| block.requested)
            .sum();
        activity.forward_kept = Some((kept, made));
    }
    activity
}

/// The three phases that a step cycles through, as far as stacks tell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PhaseKind {
    Forward,
    Backward,
    Optimizer,
    Other,
}

fn limits(
    trace: Option<&Trace>,
    live: &[LiveBlock],
    holders: &[oomscope_model::Holder],
    allocated: Bytes,
) -> Vec<Limit> {
    let mut limits = Vec::new();
    let Some(trace) = trace.filter(|trace| !trace.is_empty()) else { return vec![Limit::NoTrace] };
    let old: Bytes =
        live.iter().filter(|block| block.allocated_at.is_none()).map(|block| block.size).sum();
    if old > Bytes::ZERO {
        limits.push(if starts_mid_life(trace) {
            Limit::RingWrapped
        } else {
            Limit::RecordingBeganLate
        });
    }
    if trace.iter().take(4096).all(|(_, event)| event.stack == StackId::NONE) {
        limits.push(Limit::NoStacks);
    } else {
        let without: Bytes = holders
            .iter()
            .filter(|holder| holder.place.is_none() && holder.role != Role::Workspace)
            .map(|holder| holder.bytes)
            .sum();
        if without.share_of(allocated) > 0.05 {
            limits.push(Limit::SomeWithoutFrames);
        }
    }
    limits
}

/// A ring that wrapped starts anywhere; a recording that began late starts with an `alloc`,
/// and the length of a wrapped ring is the round number that the user gave as `max_entries`.
fn starts_mid_life(trace: &Trace) -> bool {
    trace.len() >= 500 && trace.len().is_multiple_of(100)
}

/// The events before which each period of the program starts.
fn period_of(periods: &Periods, event: EventIndex) -> u32 {
    periods.starts.partition_point(|start| *start <= event.0) as u32
}

/// The library call of a traceback's innermost user frame.
pub(crate) fn failing_library_call(failure: &oomscope_model::Failure) -> Option<String> {
    let innermost_first: Vec<&oomscope_model::Frame> = failure.traceback.iter().rev().collect();
    stacks::library_call(&innermost_first)
}
