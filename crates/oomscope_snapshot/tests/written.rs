//! What is written reads back as it was: real files, made-up ones, and damaged ones without harm.
#![allow(clippy::disallowed_methods, clippy::print_stdout, missing_docs)]

mod files;

use std::rc::Rc;

use oomscope_model::EventIndex;
use oomscope_snapshot::fixture::{self, Node, frame};
use oomscope_snapshot::{
    Format, ReadError, Snapshot, Trace, cut, read, recognise, write_native, write_pickle,
};
use proptest::prelude::*;

fn pickled(snapshot: &Snapshot) -> Vec<u8> {
    let mut out = Vec::new();
    write_pickle(snapshot, &mut out).expect("memory takes all");
    out
}

fn native(snapshot: &Snapshot) -> Vec<u8> {
    let mut out = Vec::new();
    write_native(snapshot, &mut out).expect("memory takes all");
    out
}

/// A pickle says nothing of what was wrong with the file that was read.
fn without_remarks(mut snapshot: Snapshot) -> Snapshot {
    snapshot.problems.clear();
    snapshot.unknown.clear();
    snapshot
}

#[test]
fn real_files_read_back_as_they_were() {
    for path in files::snapshots() {
        let bytes = std::fs::read(&path).expect("the file is readable");
        let Ok(snapshot) = read(&bytes) else { continue };
        let compact = native(&snapshot);
        assert_eq!(recognise(&compact), Some(Format::Native));
        assert!(read(&compact).expect("it is whole") == snapshot, "{}", path.display());
        let written = pickled(&snapshot);
        let again = read(&written).expect("it is whole");
        assert!(pickled(&again) == written, "{}", path.display());
        // Stacks that nothing kept refers to (histories of PyTorch 2.0, host memory) are not written.
        let in_use = cut(&snapshot, EventIndex(0), EventIndex(u32::MAX)).stacks.len();
        let has_more = in_use < snapshot.stacks.len();
        assert!(has_more || again == without_remarks(snapshot), "{}", path.display());
    }
}

#[test]
fn a_newer_version_is_refused_in_words() {
    let mut bytes = native(&read(&fixture::one_live_block()).expect("it is whole"));
    bytes[8] = 200;
    assert_eq!(read(&bytes), Err(ReadError::NewerNative { version: 200, known: 1 }));
}

#[test]
fn a_compact_file_cut_short_keeps_whole_groups_of_events() {
    let bytes = fixture_of_events(10_000);
    let compact = native(&read(&bytes).expect("it is whole"));
    let cut = read(&compact[..compact.len() - 20]).expect("the rest is read");
    assert_eq!(cut.traces[0].len(), 8192);
    assert_eq!(cut.problems.len(), 1);
}

fn fixture_of_events(count: i64) -> Vec<u8> {
    let event = |at: i64| fixture::event("alloc", at * 512, 512, Node::List(Vec::new()));
    fixture::snapshot(Vec::new(), vec![(0..count).map(event).collect()])
}

fn any_stack() -> impl Strategy<Value = Node> {
    let frames = proptest::collection::vec((0..6_usize, 0..3_i64), 0..6);
    frames.prop_map(|frames| {
        let names = ["main", "step", "forward", "λ", "a b", ""];
        let frame = |(name, line): (usize, i64)| frame("train.py", names[name], line);
        Node::Shared(Rc::new(Node::List(frames.into_iter().map(frame).collect())))
    })
}

fn any_event() -> impl Strategy<Value = Node> {
    let actions = prop::sample::select(vec![
        "alloc",
        "free_requested",
        "free_completed",
        "segment_alloc",
        "segment_free",
        "segment_map",
        "segment_unmap",
        "oom",
        "snapshot",
        "user_defined",
    ]);
    let numbers = (0..i64::MAX, 0..1_i64 << 45, 0..300_i64, 0..3_i64);
    (actions, numbers, any::<bool>(), any_stack()).prop_map(
        |(action, (addr, size, stream, pool), has_time, stack)| {
            let mut pairs = vec![
                ("action", action.into()),
                (if action == "oom" { "device_free" } else { "addr" }, addr.into()),
                ("size", size.into()),
                ("stream", stream.into()),
                ("compile_context", "N/A".into()),
                ("user_metadata", "".into()),
                ("pool_id", Node::Pair(0, pool)),
                ("frames", stack),
            ];
            if has_time {
                pairs.push(("time_us", (1 + addr / 2).into()));
            }
            Node::Dict(pairs)
        },
    )
}

prop_compose! {
    fn any_file()(
        traces in proptest::collection::vec(proptest::collection::vec(any_event(), 0..40), 0..4),
        stacks in proptest::collection::vec(any_stack(), 1..4),
        states in proptest::collection::vec(
            prop::sample::select(vec!["active_allocated", "active_pending_free", "inactive"]), 1..4),
        pool in prop::sample::select(vec!["small", "large", "other"]),
    ) -> Vec<u8> {
        let segments = stacks.iter().zip(1..).map(|(stack, at)| {
            let blocks = states.iter().zip(0..).map(|(state, block)| {
                fixture::block((at << 30) + (block << 10), 1024, 1000, state, stack.clone())
            });
            fixture::segment(at << 30, 2 << 20, pool, blocks.collect())
        });
        fixture::snapshot(segments.collect(), traces)
    }
}

proptest! {
    #[test]
    fn made_up_files_read_back_as_they_were(file in any_file()) {
        let snapshot = read(&file).expect("it is whole");
        prop_assert_eq!(&read(&native(&snapshot)).expect("it is whole"), &snapshot);
        let again = read(&pickled(&snapshot)).expect("it is whole");
        prop_assert_eq!(again.problems.len(), 0);
        // A file without events does not tell its release.
        let releases = (again.torch_version, snapshot.torch_version);
        prop_assert!(releases.0 == releases.1 || snapshot.traces.iter().all(Trace::is_empty));
        let mut snapshot = without_remarks(snapshot);
        snapshot.torch_version = again.torch_version;
        prop_assert_eq!(again, snapshot);
    }

    #[test]
    fn a_damaged_compact_file_is_read_or_refused(
        file in any_file(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut bytes = native(&read(&file).expect("it is whole"));
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(snapshot) = read(&bytes) {
            let events: usize = snapshot.traces.iter().map(Trace::len).sum();
            prop_assert!(events <= bytes.len());
            // Whatever was read can be written again.
            let again = read(&native(&snapshot)).expect("it is whole");
            prop_assert_eq!(again, snapshot.clone());
            let _ = read(&pickled(&snapshot));
        }
    }
}
