//! Layouts of old releases, recordings with actions left out, and the viewer's page.
#![allow(missing_docs)]

use base64::Engine;
use oomscope_model::{BlockState, Bytes, DeviceId, EventIndex, StackId};
use oomscope_snapshot::fixture::snapshot;
use oomscope_snapshot::fixture::{Node, block, event, frame, one_live_block, pickle, segment};
use oomscope_snapshot::{At, Life, Snapshot, history, read, state_at};

const DEVICE: DeviceId = DeviceId(0);

fn no_frames() -> Node {
    Node::List(Vec::new())
}

/// One 2 MiB segment that is empty at the dump, and a trace of these actions on one block.
fn of_actions(actions: &[&str]) -> Snapshot {
    let whole = block(0x1000, 2 << 20, 0, "inactive", no_frames());
    let trace = actions
        .iter()
        .map(|action| event(action, 0x1000, 1000, Node::List(vec![frame("train.py", action, 1)])));
    let segments = vec![segment(0x1000, 2 << 20, "small", vec![whole])];
    read(&snapshot(segments, vec![trace.collect()])).expect("the fixture is whole")
}

fn states_after_each(snapshot: &Snapshot) -> Vec<Option<BlockState>> {
    let history = history(snapshot, DEVICE);
    assert_eq!(history.contradictions, 0);
    (0..history.events)
        .map(|index| {
            let state = history.state_at(At::After(EventIndex(index)));
            state.live.first().map(|block| block.state)
        })
        .collect()
}

#[test]
fn a_block_waits_between_the_two_halves_of_its_release() {
    let (held, waits) = (Some(BlockState::Allocated), Some(BlockState::PendingFree));
    for (actions, states) in [
        (&["alloc", "free_requested", "free_completed"][..], &[held, waits, None][..]),
        // Older PyTorch, or `skip_actions`.
        (&["alloc", "snapshot", "free"], &[held, held, None]),
        (&["alloc", "snapshot", "free_completed"], &[held, held, None]),
        (&["alloc", "snapshot", "free_requested"], &[held, held, None]),
        // The head is lost.
        (&["snapshot", "free_requested", "free_completed"], &[held, waits, None]),
        (&["free_requested", "free_completed"], &[waits, None]),
        (&["snapshot", "free_completed"], &[held, None]),
    ] {
        assert_eq!(states_after_each(&of_actions(actions)), states, "{actions:?}");
    }
}

#[test]
fn the_stack_of_a_block_is_the_one_that_allocated_it() {
    let snapshot = of_actions(&["alloc", "free_requested", "free_completed"]);
    let state = state_at(&snapshot, DEVICE, At::After(EventIndex(0)));
    let names = snapshot.stacks.frames_of(state.live[0].stack).map(|frame| &frame.function);
    assert_eq!(names.collect::<Vec<_>>(), ["alloc"]);

    let headless = of_actions(&["snapshot", "free_requested", "free_completed"]);
    let state = state_at(&headless, DEVICE, At::After(EventIndex(0)));
    assert_eq!(state.live[0].stack, StackId::NONE);
    assert_eq!(state.live[0].size, Bytes(1024));
    assert_eq!(state.live[0].allocated_at, None);
}

#[test]
fn a_life_names_its_events() {
    let snapshot = of_actions(&["alloc", "snapshot", "free_requested", "free_completed"]);
    let lives = history(&snapshot, DEVICE).lives;
    let events = |life: &Life| (life.allocated_at, life.released_at(), life.completed_at());
    let expected = (Some(EventIndex(0)), Some(EventIndex(2)), Some(EventIndex(3)));
    assert_eq!(lives.iter().map(events).collect::<Vec<_>>(), [expected]);
}

#[test]
fn an_event_that_contradicts_the_dump_is_counted() {
    let history = history(&of_actions(&["alloc"]), DEVICE);
    assert_eq!((history.contradictions, history.lives.len()), (1, 0));
}

#[test]
fn blocks_of_pytorch_2_0_follow_one_another_and_carry_a_history() {
    let past = Node::Dict(vec![
        ("addr", 0x1000.into()),
        ("real_size", 1000.into()),
        ("frames", Node::List(vec![frame("train.py", "main", 1)])),
    ]);
    let held = Node::Dict(vec![
        ("size", 1024.into()),
        ("state", "active_allocated".into()),
        ("history", Node::List(vec![past])),
    ]);
    let rest = Node::Dict(vec![("size", ((2 << 20) - 1024).into()), ("state", "inactive".into())]);
    let bytes = pickle(&Node::Dict(vec![
        ("segments", Node::List(vec![segment(0x1000, 2 << 20, "small", vec![held, rest])])),
        ("device_traces", no_frames()),
    ]));
    let snapshot = read(&bytes).expect("the fixture is whole");
    let state = state_at(&snapshot, DEVICE, At::End);
    assert_eq!(snapshot.torch_version, Some("2.0 to 2.2"));
    assert_eq!(snapshot.segments[0].blocks[1].addr, 0x1400);
    assert_eq!(state.counters.requested, Some(Bytes(1000)));
    assert_eq!(snapshot.stacks.frames_of(state.live[0].stack).count(), 1);
}

#[test]
fn the_viewer_s_page_reads_as_the_pickle_in_it() {
    let pickle = one_live_block();
    let page = |bytes: &[u8]| {
        let base64 = base64::engine::general_purpose::STANDARD.encode(bytes);
        format!("<!DOCTYPE html>[{{\"name\": \"a\", \"base64\": \"{base64}\"}}]")
    };
    assert_eq!(read(page(&pickle).as_bytes()), read(&pickle));
    let cut = read(page(&pickle[..pickle.len() - 1]).as_bytes()).expect("the prefix is read");
    assert!(cut.problems[0].at.starts_with("embedded pickle, byte "));
}

#[test]
fn a_file_of_another_release_tells_what_it_skipped() {
    let odd = Node::Dict(vec![
        ("action", "teleport".into()),
        ("addr", 0.into()),
        ("colour", "red".into()),
    ]);
    let snapshot = read(&snapshot(Vec::new(), vec![vec![odd.clone(), odd]])).expect("whole");
    let words = snapshot.unknown.iter().map(|unknown| (unknown.word.as_str(), unknown.count));
    assert_eq!(words.collect::<Vec<_>>(), [("teleport", 2), ("colour", 2)]);
    assert_eq!(snapshot.traces[0].len(), 2);
}
