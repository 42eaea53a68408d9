//! What a file says beside memory: named ranges, notes on events, graph nodes, pinned host memory.
#![allow(missing_docs)]

use std::rc::Rc;

use oomscope_model::{Bytes, DeviceId, EventIndex, EventKind};
use oomscope_snapshot::fixture::{Node, block, event, frame, one_live_block, pickle};
use oomscope_snapshot::{Annotation, FxNode, PinnedHost, Snapshot, Stage, read, read_with};

fn annotation(stage: &str, name: &str, device: i64, time_us: i64) -> Node {
    Node::Dict(vec![
        ("stage", stage.into()),
        ("name", name.into()),
        ("device", device.into()),
        ("time_us", time_us.into()),
    ])
}

/// An `alloc` with these texts.
fn labelled(user_metadata: &str, compile_context: &str) -> Node {
    Node::Dict(vec![
        ("action", "alloc".into()),
        ("addr", 0x1000.into()),
        ("size", 512.into()),
        ("user_metadata", user_metadata.into()),
        ("compile_context", compile_context.into()),
    ])
}

fn whole(root: Vec<(&'static str, Node)>) -> Snapshot {
    let snapshot = read(&pickle(&Node::Dict(root))).expect("the fixture is whole");
    assert_eq!((&snapshot.problems[..], &snapshot.unknown[..]), (&[][..], &[][..]));
    snapshot
}

#[test]
fn named_ranges_come_in_the_files_order() {
    let snapshot = whole(vec![
        ("segments", Node::List(Vec::new())),
        (
            "external_annotations",
            Node::List(vec![
                annotation("START", "Optimizer.step#Adam.step", 0, 20),
                annotation("END", "Optimizer.step#Adam.step", 1, 10),
                annotation("MARK", "epoch 1", -1, 30),
            ]),
        ),
    ]);
    let expected = [
        (Stage::Start, "Optimizer.step#Adam.step", Some(DeviceId(0)), Some(20)),
        (Stage::End, "Optimizer.step#Adam.step", Some(DeviceId(1)), Some(10)),
        (Stage::Instant, "epoch 1", None, Some(30)),
    ];
    let expected = expected.map(|(stage, name, device, time_us)| Annotation {
        name: name.to_owned(),
        device,
        time_us,
        stage,
    });
    assert_eq!(snapshot.annotations, expected);
    assert_eq!(read(&one_live_block()).expect("whole").annotations, []);
}

#[test]
fn texts_of_events_are_told_and_empty_ones_are_none() {
    let shared = Node::Shared(Rc::new("step 2".into()));
    let mut again = labelled("", "0/0");
    if let Node::Dict(pairs) = &mut again {
        pairs[3].1 = shared.clone();
    }
    let trace = vec![
        labelled("", "N/A"),
        labelled("step 1", "0/0"),
        event("free_requested", 0x1000, 512, Node::List(Vec::new())),
        labelled("step 1", "N/A"),
        again.clone(),
        again,
        Node::Dict(vec![("action", "snapshot".into())]),
    ];
    let other = vec![labelled("step 1", "N/A"), labelled("other", "N/A")];
    let snapshot = whole(vec![(
        "device_traces",
        Node::List(vec![Node::List(trace), Node::List(Vec::new()), Node::List(other)]),
    )]);
    let texts = |device: usize| -> Vec<(Option<&str>, Option<&str>)> {
        let trace = &snapshot.traces[device];
        let texts = |index| (trace.user_metadata(index), trace.compile_context(index));
        trace.iter().map(|(index, _)| texts(index)).collect()
    };
    let (one, two) = (Some("step 1"), Some("step 2"));
    let graph = Some("0/0");
    assert_eq!(
        texts(0),
        [
            (None, None),
            (one, graph),
            (None, None),
            (one, None),
            (two, graph),
            (two, graph),
            (None, None)
        ]
    );
    assert_eq!(texts(2), [(one, None), (Some("other"), None)]);
    assert_eq!(snapshot.traces[0].user_metadata(EventIndex(99)), None);
    assert_eq!(snapshot.torch_version, Some("2.10 or later"));
}

#[test]
fn the_note_of_an_annotate_event_is_its_metadata() {
    let note = Node::Dict(vec![
        ("action", "annotate".into()),
        ("addr", 0x1000.into()),
        ("user_metadata", "packed \u{e9}".into()),
        ("internal_metadata", "mallocWithAddress".into()),
    ]);
    let snapshot = whole(vec![("device_traces", Node::List(vec![Node::List(vec![note])]))]);
    let trace = &snapshot.traces[0];
    assert_eq!(trace.event(EventIndex(0)).expect("one event").kind, EventKind::Other);
    assert_eq!(trace.user_metadata(EventIndex(0)), Some("packed \u{e9}"));
}

#[test]
fn frames_of_generated_code_know_their_graph_node() {
    let mut generated = frame("fx_generated_1.py", "forward", 7);
    if let Node::Dict(pairs) = &mut generated {
        pairs.extend([
            ("fx_node_op", "call_function".into()),
            ("fx_node_name", "relu".into()),
            ("fx_node_target", "<built-in method relu>".into()),
            ("fx_original_trace", "File \"model.py\", line 3, in forward".into()),
        ]);
    }
    let frames = Node::List(vec![generated, frame("train.py", "main", 1)]);
    let trace = vec![event("alloc", 0x1000, 512, frames)];
    let snapshot = whole(vec![("device_traces", Node::List(vec![Node::List(trace)]))]);
    let stack = snapshot.traces[0].event(EventIndex(0)).expect("one event").stack;
    let nodes: Vec<Option<&FxNode>> =
        snapshot.stacks.frame_ids_of(stack).map(|frame| snapshot.stacks.fx_node(frame)).collect();
    let expected = FxNode {
        op: Some("call_function".to_owned()),
        name: Some("relu".to_owned()),
        target: Some("<built-in method relu>".to_owned()),
        original_trace: Some("File \"model.py\", line 3, in forward".to_owned()),
    };
    assert_eq!(nodes, [Some(&expected), None]);
}

/// A segment of pinned host memory.
fn host_segment(addr: i64, total: i64, allocated: i64) -> Node {
    let state = if allocated > 0 { "active_allocated" } else { "inactive" };
    Node::Dict(vec![
        ("device", (-1).into()),
        ("address", addr.into()),
        ("total_size", total.into()),
        ("allocated_size", allocated.into()),
        ("blocks", Node::List(vec![block(addr, total, total, state, Node::List(Vec::new()))])),
    ])
}

#[test]
fn pinned_host_memory_is_summed_up_and_is_no_device() {
    let shared = Node::Shared(Rc::new(host_segment(0x9000, 16384, 0)));
    let host = vec![host_segment(0x5000, 4 << 20, 4 << 20), shared.clone(), shared];
    let event = event("alloc", 0x5000, 4 << 20, Node::List(Vec::new()));
    let snapshot = whole(vec![
        ("segments", Node::List(Vec::new())),
        ("device_traces", Node::List(vec![Node::List(Vec::new())])),
        ("host_segments", Node::List(host)),
        ("host_traces", Node::List(vec![event])),
    ]);
    let expected =
        PinnedHost { reserved: Bytes((4 << 20) + 16384), allocated: Bytes(4 << 20), segments: 2 };
    assert_eq!(snapshot.pinned_host, Some(expected));
    assert_eq!(snapshot.devices(), []);
    let none = whole(vec![
        ("segments", Node::List(Vec::new())),
        ("host_segments", Node::List(Vec::new())),
    ]);
    assert_eq!(none.pinned_host, None);
    let mixed = whole(vec![("segments", Node::List(vec![host_segment(0x5000, 4096, 0)]))]);
    assert_eq!(mixed.pinned_host.map(|host| host.reserved), Some(Bytes(4096)));
}

#[test]
fn a_real_recording_has_its_ranges_notes_and_pinned_memory() {
    // PyTorch 2.15: two steps in `record_function`, each with its metadata.
    let snapshot = read(include_bytes!("data/labelled.pickle")).expect("whole");
    assert_eq!((&snapshot.problems[..], &snapshot.unknown[..]), (&[][..], &[][..]));
    let starts = snapshot.annotations.iter().filter(|range| range.stage == Stage::Start);
    let starts: Vec<&str> = starts.map(|range| range.name.as_str()).collect();
    let step = ["Optimizer.step#Adam.step", "Optimizer.zero_grad#Adam.zero_grad"];
    assert_eq!(starts, ["train 0", step[0], step[1], "train 1", step[0], step[1]]);
    let (first, last) = (&snapshot.annotations[0], &snapshot.annotations[11]);
    let trace = &snapshot.traces[0];
    let times: Vec<u64> = trace.iter().filter_map(|(_, event)| event.time_us).collect();
    assert!(times[0] < first.time_us.expect("timed"));
    assert!(first.time_us < last.time_us && last.name == "train 1");
    let mut notes: Vec<Option<&str>> =
        trace.iter().map(|(index, _)| trace.user_metadata(index)).collect();
    notes.dedup();
    assert_eq!(notes.first(), Some(&None));
    assert!(notes.contains(&Some("step 0")) && notes.contains(&Some("step 1")));
    assert_eq!(notes.last(), Some(&Some("kept for the log")));
    let whole = Bytes::from_mib(4);
    let expected = PinnedHost { reserved: whole, allocated: whole, segments: 1 };
    assert_eq!(snapshot.pinned_host, Some(expected));
}

#[test]
fn json_says_the_same() {
    let json = br#"{"segments": [], "device_traces": [[
        {"action": "alloc", "addr": 4096, "size": 512, "stream": 7, "pool_id": [0, 2],
         "compile_context": "1/0", "user_metadata": "{\"step\": 3}", "frames": [
          {"name": "forward", "filename": "g.py", "line": 7, "fx_node_op": "output",
           "fx_node_name": "out", "fx_node_target": "output"}]},
        {"action": "alloc", "addr": 8192, "size": 512, "stream": 0, "pool_id": [0, 0],
         "compile_context": "N/A", "user_metadata": "", "frames": []}]],
      "external_annotations": [{"stage": "END", "name": "a\u0062", "device": 0, "time_us": 5}],
      "host_segments": [{"device": -1, "address": 1, "total_size": 8, "allocated_size": 4,
        "blocks": []}]}"#;
    let snapshot = read(json).expect("whole");
    assert_eq!((&snapshot.problems[..], &snapshot.unknown[..]), (&[][..], &[][..]));
    let trace = &snapshot.traces[0];
    let (first, second) = (EventIndex(0), EventIndex(1));
    assert_eq!(trace.user_metadata(first), Some(r#"{"step": 3}"#));
    assert_eq!((trace.compile_context(first), trace.pool_id(first)), (Some("1/0"), (0, 2)));
    assert_eq!((trace.user_metadata(second), trace.compile_context(second)), (None, None));
    assert_eq!(trace.pool_id(second), (0, 0));
    let event = trace.event(first).expect("an event");
    assert_eq!(event.stream, 7);
    let frame = snapshot.stacks.frame_ids_of(event.stack).next().expect("a frame");
    let node = snapshot.stacks.fx_node(frame).expect("a node");
    assert_eq!((node.op.as_deref(), node.original_trace.as_deref()), (Some("output"), None));
    let name = snapshot.annotations.first().map(|annotation| annotation.name.as_str());
    assert_eq!(name, Some("ab"));
    let host = snapshot.pinned_host.expect("recorded");
    assert_eq!((host.reserved, host.allocated, host.segments), (Bytes(8), Bytes(4), 1));
}

#[test]
fn progress_ends_at_the_end_and_changes_nothing() {
    let frames = Node::Shared(Rc::new(Node::List(vec![frame("train.py", "main", 1)])));
    let trace = (0..60_000).map(|at| event("alloc", at * 512, 512, frames.clone())).collect();
    let bytes = oomscope_snapshot::fixture::snapshot(Vec::new(), vec![trace]);
    let mut seen = Vec::new();
    let snapshot = read_with(&bytes, &mut |done| seen.push(done));
    assert_eq!(snapshot, read(&bytes));
    assert!(seen.len() > 2 && seen.is_sorted(), "{seen:?}");
    assert_eq!(seen.last(), Some(&bytes.len()));
}
