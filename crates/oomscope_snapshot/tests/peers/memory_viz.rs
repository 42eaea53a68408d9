//! `_memory_viz.py`: what `segments`, `memory`, `stats`, `trace` and `filter_alloc_free_pairs` say.

use oomscope_model::{BlockState, Bytes, EventKind, StackId};
use oomscope_snapshot::{Snapshot, Trace, history};
use serde_json::Value;

use crate::{Sums, assert_same};

pub(crate) fn compare(name: &str, snapshot: &Snapshot, said: &Value) {
    let allocated: Vec<u64> = snapshot.segments.iter().map(|it| it.allocated.0).collect();
    assert_eq!(serde_json::json!(allocated), said["allocated"], "{name}");
    let asked = |what: &str| sums(&said[what]);
    assert_same(&format!("{name}: stats"), &statistics(snapshot), &asked("statistics"));
    let theirs = merge_waiting(asked("segments"));
    assert_same(&format!("{name}: segments"), &by_segment(snapshot), &theirs);
    let theirs = without_free_stacks(merge_waiting(asked("memory")));
    assert_same(&format!("{name}: memory"), &by_stack(snapshot), &theirs);
    for trace in &snapshot.traces {
        let device = trace.device.0.to_string();
        compare_actions(name, trace, &said["actions"][&device]);
        if let Some(reason) = cannot_pair(snapshot, trace) {
            println!("not freed: skipped: {name}: device {device}: {reason}");
            continue;
        }
        let what = format!("{name}: not freed on device {device}");
        let theirs = sums(&said["unfreed"][&device]);
        assert_same(&what, &unfreed(snapshot, trace), &theirs);
    }
}

fn sums(value: &Value) -> Sums {
    let entries = value.as_object().into_iter().flatten();
    let figures = entries.map(|(key, figure)| (key.clone(), figure.as_i64().expect("bytes")));
    figures.filter(|&(_, bytes)| bytes != 0).collect()
}

fn add(sums: &mut Sums, key: String, bytes: Bytes) {
    if bytes > Bytes::ZERO {
        *sums.entry(key).or_default() += bytes.0.cast_signed();
    }
}

/// Both words for a block that waits for a stream are one state of ours.
fn merge_waiting(sums: Sums) -> Sums {
    let mut merged = Sums::new();
    for (key, bytes) in sums {
        let key = key.replace(";active_awaiting_free", ";active_pending_free");
        *merged.entry(key).or_default() += bytes;
    }
    merged
}

/// A free block's stack and requested size are those of its last tenant: they say nothing.
fn without_free_stacks(sums: Sums) -> Sums {
    let mut merged = Sums::new();
    for (key, bytes) in sums {
        let key =
            key.find(";inactive;").map_or(key.clone(), |at| key[..at].to_owned() + ";inactive");
        *merged.entry(key).or_default() += bytes;
    }
    merged
}

fn statistics(snapshot: &Snapshot) -> Sums {
    let reserved: Bytes = snapshot.segments.iter().map(|it| it.total).sum();
    let blocks = snapshot.segments.iter().flat_map(|it| &it.blocks);
    let held = blocks.filter(|block| block.state == BlockState::Allocated);
    let requested: Bytes = held.map(|block| block.requested).sum();
    let figures = [
        ("segments", (snapshot.segments.len() as u64).cast_signed()),
        ("total_reserved", reserved.0.cast_signed()),
        ("total_allocated", requested.0.cast_signed()),
        ("total_free", reserved.0.cast_signed() - requested.0.cast_signed()),
    ];
    let known = figures.into_iter().filter(|&(_, figure)| figure != 0);
    known.map(|(key, figure)| (key.to_owned(), figure)).collect()
}

fn word(state: BlockState) -> &'static str {
    match state {
        BlockState::Allocated => "active_allocated",
        BlockState::PendingFree => "active_pending_free",
        BlockState::Inactive => "inactive",
    }
}

fn by_segment(snapshot: &Snapshot) -> Sums {
    let mut sums = Sums::new();
    for segment in &snapshot.segments {
        for block in &segment.blocks {
            let state = word(block.state);
            let key = format!("stream_{};seg_{};{state}", segment.stream, segment.addr);
            add(&mut sums, key, block.size);
        }
    }
    sums
}

fn by_stack(snapshot: &Snapshot) -> Sums {
    let mut sums = Sums::new();
    for segment in &snapshot.segments {
        for block in &segment.blocks {
            let prefix = format!("stream_{};{}", segment.stream, word(block.state));
            if block.state == BlockState::Inactive {
                add(&mut sums, prefix, block.size);
                continue;
            }
            let stack = stack_text(snapshot, block.stack);
            add(&mut sums, format!("{prefix};{stack}"), block.requested);
            let gap = block.size.checked_sub(block.requested).expect("a block holds its request");
            add(&mut sums, format!("{prefix};<gaps>"), gap);
        }
    }
    sums
}

fn stack_text(snapshot: &Snapshot, stack: StackId) -> String {
    let frames = snapshot.stacks.frames_of(stack);
    let mut words: Vec<String> =
        frames.map(|frame| format!("{}:{}:{}", frame.file, frame.line, frame.function)).collect();
    words.reverse();
    if words.is_empty() { "<non-python>".to_owned() } else { words.join(";") }
}

fn compare_actions(name: &str, trace: &Trace, said: &Value) {
    let count = said["entries"][0].as_u64().unwrap_or(0);
    assert_eq!(trace.len() as u64, count, "{name}: entries");
    for (kind, action) in [
        (EventKind::Alloc, "alloc"),
        (EventKind::FreeRequested, "free_requested"),
        (EventKind::FreeCompleted, "free_completed"),
        (EventKind::SegmentAlloc, "segment_alloc"),
        (EventKind::SegmentFree, "segment_free"),
        (EventKind::SegmentMap, "segment_map"),
        (EventKind::SegmentUnmap, "segment_unmap"),
        (EventKind::Oom, "oom"),
        (EventKind::Snapshot, "snapshot"),
    ] {
        let events = trace.iter().filter(|(_, event)| event.kind == kind);
        let sizes: Vec<Bytes> = events.map(|(_, event)| event.size).collect();
        let ours = (sizes.len() as u64, sizes.into_iter().sum::<Bytes>().0);
        let theirs = &said[action];
        let theirs = (theirs[0].as_u64().unwrap_or(0), theirs[1].as_u64().unwrap_or(0));
        assert_eq!(ours, theirs, "{name}: {action}");
    }
}

/// Why `filter_alloc_free_pairs` and we need not agree.
fn cannot_pair(snapshot: &Snapshot, trace: &Trace) -> Option<&'static str> {
    let has = |kind: EventKind| trace.iter().any(|(_, event)| event.kind == kind);
    if history(snapshot, trace.device).contradictions > 0 {
        return Some("the recording contradicts itself");
    }
    // It takes a block back at `free_requested` only; we take `free_completed` where that is all
    // there is (`skip_actions` of 2.10 and later).
    let has_completed_only = has(EventKind::FreeCompleted) && !has(EventKind::FreeRequested);
    has_completed_only.then_some("it has no `free_requested`")
}

/// Requested bytes of blocks that the trace hands out and does not take back, by stack.
fn unfreed(snapshot: &Snapshot, trace: &Trace) -> Sums {
    let mut sums = Sums::new();
    for life in history(snapshot, trace.device).lives {
        let Some(event) = life.allocated_at.and_then(|at| trace.event(at)) else { continue };
        if life.released_at().is_none() {
            add(&mut sums, stack_text(snapshot, event.stack), life.requested);
        }
    }
    sums
}
