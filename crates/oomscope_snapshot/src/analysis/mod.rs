//! From a snapshot to evidence: the state at the failure, who asked, who holds, what grows.
//!
//! Reads nothing and judges nothing; the causes do. Everything here is linear in the events,
//! and each distinct stack is looked at once.

mod activity;
pub(crate) mod category;
pub(crate) mod cycles;
pub(crate) mod growth;
mod holders;
mod limits;
mod moment;
pub(crate) mod past;
pub(crate) mod periods;
mod phase;
mod recording;
pub(crate) mod stacks;

use crate::{At, Snapshot, Trace, oom_events};
use oomscope_model::{Bytes, DeviceId, Moment, Request, Role, SnapshotEvidence, StackId};

use past::Past;

pub use category::CategoryRules;
pub use phase::phase_of;
pub use recording::Recording;
pub use stacks::library_call;

/// What each device in use says at the moment that matters.
///
/// `failed_request` is the size that a log's error states; among several failures in the trace it
/// picks the one that the log is about.
pub fn summarise(
    input: &str,
    snapshot: &Snapshot,
    failed_request: Option<Bytes>,
) -> Vec<SnapshotEvidence> {
    let devices = snapshot.devices();
    devices
        .into_iter()
        .map(|device| summarise_device(input, snapshot, device, failed_request))
        .collect()
}

/// The moment that matters when no log says which.
pub(crate) fn chosen_moment(trace: &Trace, timeline: &crate::Timeline) -> Moment {
    moment::choose(Some(trace), timeline, None)
}

fn summarise_device(
    input: &str,
    snapshot: &Snapshot,
    device: DeviceId,
    failed_request: Option<Bytes>,
) -> SnapshotEvidence {
    let recording = Recording::new(snapshot, device);
    let trace = recording.trace();
    let moment = moment::choose(trace, recording.timeline(), failed_request);
    let at = match moment {
        Moment::Oom { event, .. } => At::Before(event),
        Moment::Peak { event } => At::After(event),
        Moment::End => At::End,
    };
    let state = recording.history().state_at(at);
    let past = recording.past(at, &state);
    let holders = past.holders(&past.live);
    let activity = activity::find(&past);
    let end = recording.history().state_at(At::End).counters;
    SnapshotEvidence {
        input: input.to_owned(),
        device,
        torch_version: snapshot.torch_version.map(str::to_owned),
        settings: snapshot.settings.clone(),
        request: trace.and_then(|trace| request(&past, trace, &moment)),
        moment,
        peak_allocated: recording.timeline().peak_allocated().map_or(end.allocated, |(_, it)| it),
        state: state.counters,
        end,
        events: trace.map_or(0, |trace| trace.len() as u64),
        roles: holders::roles(&holders),
        growth: growth::find(&past),
        forward: activity.forward,
        untraced_activations: past
            .live
            .iter()
            .filter(|block| block.allocated_at.is_none())
            .filter(|block| past.role_of(block) == Role::Activations)
            .map(|block| block.size)
            .sum(),
        steps_seen: past.periods().starts.len() as u32,
        backward_runs: activity.backward_runs,
        optimizer_steps: activity.optimizer_steps,
        oom_events: trace.map_or(0, |trace| oom_events(trace).len() as u32),
        limits: limits::find(&past, trace, &holders),
        replay: None,
        holders,
    }
}

/// The request that failed or made the peak. An `oom` event in the backward thread has no frames;
/// then the last allocation that has some tells where the program was.
fn request(past: &Past<'_>, trace: &Trace, moment: &Moment) -> Option<Request> {
    let (Moment::Oom { event, .. } | Moment::Peak { event }) = moment else { return None };
    let event = trace.event(*event)?;
    let phase = past.summary(event.stack).phase;
    let stack = if event.stack == StackId::NONE {
        let named =
            past.allocations().filter(|(_, event)| past.summary(event.stack).place.is_some());
        named.last().map_or(event.stack, |(_, event)| event.stack)
    } else {
        event.stack
    };
    let summary = past.summary(stack);
    Some(Request {
        stack: past.frames(stack),
        place: summary.place.clone(),
        library_call: summary.library_call.clone(),
        phase: if stack == event.stack { summary.phase } else { phase },
        requested: event.size,
    })
}
