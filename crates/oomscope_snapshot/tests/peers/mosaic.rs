//! Mosaic's peak, as `mosaic_get_memory_usage_peak` has it. It differs from the allocator's own
//! `allocated` in four ways, all seen in its source (commit 67b27bb):
//!
//! - The **dynamic** part counts the sizes of `alloc` events, which are requests before rounding.
//! - A block counts until `free_completed`: what waits for a stream is still in.
//! - What was allocated before the trace and freed in it is in neither part. The **static** part is
//!   the rounded sizes of blocks that are allocated at the dump and that no event names.
//! - It reads the first device that has a trace, and the segments of all devices.
//!
//! With these in mind the parts are sums over our blocks, and must be equal to the byte.

use std::collections::HashSet;

use oomscope_model::{BlockState, Bytes, EventIndex, EventKind};
use oomscope_snapshot::{History, Life, Snapshot, Trace, history};
use serde_json::Value;

use crate::{Sums, assert_same};

pub(crate) fn compare(name: &str, snapshot: &Snapshot, said: &Value) {
    let trace = snapshot.traces.iter().find(|trace| !trace.is_empty()).expect("Mosaic found one");
    let history = history(snapshot, trace.device);
    if history.contradictions > 0 {
        println!("skipped: {name}: {} contradictions", history.contradictions);
        return;
    }
    let (at, dynamic) = peak_of_the_traced(&history, |life| life.requested);
    assert_eq!(dynamic, bytes(&said["dynamic"]), "{name}: dynamic");
    assert_eq!(never_named(snapshot, trace), bytes(&said["static"]), "{name}: static");
    if dynamic > Bytes::ZERO {
        let addr = trace.event(at).map(|event| format!("{:x}", event.addr));
        assert_eq!(addr.as_deref(), said["address"].as_str(), "{name}: where the peak is");
        let theirs = stacks(&said["stacks"]);
        let mut ours = by_stack(snapshot, &history, at);
        if !theirs.contains_key("") {
            // Events without `frames` are left out; empty `frames` are a stack like any other.
            ours.remove("");
        }
        assert_same(&format!("{name}: stacks"), &ours, &theirs);
    }
    relate_to_ours(name, &history, dynamic, bytes(&said["static"]));
}

/// Where the trace holds all blocks, the only differences from our peak are rounding and blocks
/// that wait: counted as the allocator counts, the same sum is our timeline's.
fn relate_to_ours(name: &str, history: &History, dynamic: Bytes, static_part: Bytes) {
    let timeline = history.timeline();
    let active = Bytes(timeline.active.iter().copied().max().unwrap_or(0));
    let allocated = timeline.peak_allocated().map_or(Bytes::ZERO, |(_, most)| most);
    if history.lives.iter().all(|life| life.allocated_at.is_some()) {
        let (_, rounded) = peak_of_the_traced(history, |life| life.size);
        assert_eq!(rounded, active, "{name}: active");
        assert!(dynamic <= active, "{name}: {dynamic} and {active}");
    }
    let (theirs, ours) = ((dynamic + static_part).0, allocated.0);
    println!(
        "{name}: peak of Mosaic {theirs}, ours {ours}: {}",
        ours.cast_signed() - theirs.cast_signed()
    );
}

fn bytes(value: &Value) -> Bytes {
    Bytes(value.as_u64().expect("bytes"))
}

fn stacks(value: &Value) -> Sums {
    let entries = value.as_object().expect("an object").iter();
    entries.map(|(stack, figure)| (stack.clone(), bytes(figure).0.cast_signed())).collect()
}

/// The first event at which the blocks that the trace hands out hold most, and how much.
fn peak_of_the_traced(history: &History, size: impl Fn(&Life) -> Bytes) -> (EventIndex, Bytes) {
    let mut deltas = vec![0_i64; history.events as usize];
    for life in &history.lives {
        let Some(born) = life.allocated_at else { continue };
        deltas[born.0 as usize] += size(life).0.cast_signed();
        if let Some(end) = life.completed_at() {
            deltas[end.0 as usize] -= size(life).0.cast_signed();
        }
    }
    let mut most = (EventIndex(0), 0);
    let mut held = 0;
    for (delta, index) in deltas.into_iter().zip(0..) {
        held += delta;
        if held > most.1 {
            most = (EventIndex(index), held);
        }
    }
    (most.0, Bytes(most.1.cast_unsigned()))
}

/// Rounded sizes of the blocks held at the dump, of all devices, that no event of `trace` names.
fn never_named(snapshot: &Snapshot, trace: &Trace) -> Bytes {
    let names_a_block = |kind: EventKind| {
        matches!(kind, EventKind::Alloc | EventKind::FreeRequested | EventKind::FreeCompleted)
    };
    let events = trace.iter().filter(|(_, event)| names_a_block(event.kind));
    let named: HashSet<u64> = events.map(|(_, event)| event.addr).collect();
    let blocks = snapshot.segments.iter().flat_map(|segment| &segment.blocks);
    let held = blocks.filter(|block| block.state == BlockState::Allocated);
    held.filter(|block| !named.contains(&block.addr)).map(|block| block.size).sum()
}

/// Requested bytes at the peak by stack; Mosaic's stacks have files and lines, no functions.
fn by_stack(snapshot: &Snapshot, history: &History, at: EventIndex) -> Sums {
    let mut sums = Sums::new();
    for life in &history.lives {
        let is_born = life.allocated_at.is_some_and(|born| born <= at);
        let is_over = life.completed_at().is_some_and(|end| end <= at);
        if is_born && !is_over {
            let frames = snapshot.stacks.frames_of(life.stack);
            let lines: Vec<String> =
                frames.map(|frame| format!("{}{}", frame.file, frame.line)).collect();
            *sums.entry(lines.join("\n")).or_default() += life.requested.0.cast_signed();
        }
    }
    sums
}
