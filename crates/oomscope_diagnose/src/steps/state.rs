//! Step 1: the memory state at the failure, each figure with where it came from.

use oomscope_model::{Bytes, Figure, Limit, Moment, SnapshotEvidence, StateStep};

use crate::context::Context;

/// The figures that are known, the text's own before the snapshot's.
pub(crate) fn capture(context: &Context<'_>) -> StateStep {
    let mut figures = Vec::new();
    let text =
        context.failure.and_then(|failure| failure.memory.as_ref().map(|memory| (failure, memory)));
    if let Some((failure, memory)) = text {
        let from = format!("{}, line {}", log_name(context, failure), failure.line);
        let mut state = |name, bytes: Option<Bytes>| {
            if let Some(bytes) = bytes {
                figures.push(Figure { name, bytes, from: from.clone() });
            }
        };
        state("requested", memory.requested);
        state("capacity", memory.capacity);
        state("free", memory.free);
        state("cap", memory.cap);
        state("this process", memory.this_process);
        state("allocated", memory.allocated);
        state("reserved but unallocated", memory.reserved_unallocated);
        state("reserved", memory.reserved);
        state("private pools", memory.private_pool);
        let others: Bytes = memory.other_processes.iter().filter_map(|process| process.bytes).sum();
        state("other processes", Some(others).filter(|bytes| *bytes > Bytes::ZERO));
    }
    if let Some(snapshot) = context.snapshot {
        let from = format!("{}, {}", file_name(&snapshot.input), event_words(snapshot));
        let mut add = |name, bytes: Bytes, always: bool| {
            let known = figures.iter().any(|figure: &Figure| figure.name == name);
            if !known && (always || bytes > Bytes::ZERO) {
                figures.push(Figure { name, bytes, from: from.clone() });
            }
        };
        if let Moment::Oom { requested, device_free, .. } = snapshot.moment {
            add("requested", requested, true);
            add("free", device_free, true);
        }
        add("allocated", snapshot.state.allocated, true);
        add("reserved", snapshot.state.reserved, true);
        add(
            "reserved but unallocated",
            snapshot.state.reserved.saturating_sub(snapshot.state.active),
            true,
        );
        add("waiting for a stream", snapshot.state.pending_free, false);
        add("private pools", snapshot.state.private_pools, false);
        if let Some(largest) = snapshot.state.largest_free_block {
            add("largest free block", largest, true);
        }
        add("peak allocated", snapshot.peak_allocated, true);
    }
    if let Some(device) = &context.evidence.device_at_failure {
        let used: Bytes = device.processes.iter().filter_map(|process| process.bytes).sum();
        let from = format!("device {} ({}) at the failure", device.index, device.name);
        let mut add = |name, bytes| {
            if !figures.iter().any(|figure: &Figure| figure.name == name) {
                figures.push(Figure { name, bytes, from: from.clone() });
            }
        };
        add("capacity", device.capacity);
        if used > Bytes::ZERO {
            add("other processes", used);
        }
    }
    for device in &context.evidence.live {
        let from = format!("device {} ({}) now", device.index, device.name);
        figures.push(Figure { name: "capacity now", bytes: device.capacity, from: from.clone() });
        figures.push(Figure { name: "free now", bytes: device.free, from });
    }
    StateStep {
        moment: moment(context),
        figures,
        memory_error: context.memory.clone(),
        notes: notes(context),
    }
}

fn log_name<'a>(context: &Context<'a>, failure: &oomscope_model::Failure) -> &'a str {
    context
        .evidence
        .logs
        .iter()
        .find(|log| log.failures.iter().any(|other| std::ptr::eq(other, failure)))
        .map_or("text", |log| file_name(&log.input))
}

fn moment(context: &Context<'_>) -> String {
    match (context.snapshot, context.failure) {
        (Some(snapshot), _) => format!("device {} {}", snapshot.device.0, moment_words(snapshot)),
        (None, Some(failure)) => format!("as the error text states it ({})", failure.exception),
        (None, None) => "no failure and no snapshot was given".to_owned(),
    }
}

/// The last part of a path: tables are narrow, and the inputs stand above with their whole names.
fn file_name(input: &str) -> &str {
    input.rsplit(['/', '\\']).next().unwrap_or(input)
}

fn event_words(snapshot: &SnapshotEvidence) -> String {
    match snapshot.moment {
        Moment::Oom { event, .. } | Moment::Peak { event } => format!("event {}", event.0),
        Moment::End => "at the dump".to_owned(),
    }
}

fn moment_words(snapshot: &SnapshotEvidence) -> String {
    match snapshot.moment {
        Moment::Oom { event, .. } => {
            format!("rewound to the failure at event {} of {}", event.0, snapshot.events)
        }
        Moment::Peak { event } => format!("at its peak, event {} of {}", event.0, snapshot.events),
        Moment::End => "as it was at the dump".to_owned(),
    }
}

fn notes(context: &Context<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(snapshot) = context.snapshot {
        if matches!(snapshot.moment, Moment::Oom { .. })
            && snapshot.end.allocated.times(2) < snapshot.state.allocated
        {
            notes.push(format!(
                "the dump was made later, with {} allocated: the program had let go of the rest",
                snapshot.end.allocated
            ));
        }
        if snapshot.oom_events > 1 {
            notes.push(format!(
                "{} requests failed in this recording; this is the one that matters",
                snapshot.oom_events
            ));
        }
        notes.extend(
            snapshot
                .limits
                .iter()
                .filter(|limit| **limit != Limit::SomeWithoutFrames)
                .map(|limit| limit.meaning().to_owned()),
        );
    }
    let failures = || context.evidence.logs.iter().flat_map(|log| &log.failures);
    for failure in failures().filter(|failure| failure.follows_another).take(4) {
        let who = failure
            .rank
            .map_or_else(|| "another process".to_owned(), |rank| format!("rank {rank}"));
        notes.push(format!("{who} died because of the first failure ({})", failure.exception));
    }
    let dead: Vec<String> = failures()
        .filter(|failure| failure.memory.is_some() && !failure.follows_another)
        .filter_map(|failure| failure.rank.map(|rank| rank.to_string()))
        .collect();
    if dead.len() > 1 {
        notes.push(format!(
            "ranks {} ran out of memory; the first in the log is diagnosed",
            dead.join(", ")
        ));
    }
    if context.failure.is_some_and(|failure| failure.caught) {
        notes.push("the program caught the error and went on".to_owned());
    }
    notes
}
