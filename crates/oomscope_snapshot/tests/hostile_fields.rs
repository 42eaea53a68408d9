//! Bombs made of the fields that label memory: each ends quickly and stays small.
#![allow(missing_docs)]

use std::rc::Rc;
use std::time::{Duration, Instant};

use oomscope_model::{DeviceId, EventIndex};
use oomscope_snapshot::fixture::{Node, event, frame, pickle};
use oomscope_snapshot::{ReadError, Snapshot, Trace, counters, history, read};

/// Far above what any of these takes on a slow machine, far below what a square takes.
const QUICK: Duration = Duration::from_secs(20);

fn read_quickly(bytes: &[u8]) -> Result<Snapshot, ReadError> {
    let start = Instant::now();
    let snapshot = read(bytes);
    assert!(start.elapsed() < QUICK, "{:?}", start.elapsed());
    snapshot
}

fn traces(traces: Vec<Vec<Node>>) -> Vec<u8> {
    let traces = traces.into_iter().map(Node::List).collect();
    pickle(&Node::Dict(vec![("device_traces", Node::List(traces))]))
}

#[test]
fn every_event_may_have_a_text_of_its_own() {
    let labelled = |at: i64| {
        Node::Dict(vec![
            ("action", "alloc".into()),
            ("user_metadata", Node::Text(format!("step {at}"))),
            ("compile_context", Node::Text(format!("{at}/0"))),
        ])
    };
    let bytes = traces(vec![(0..200_000).map(labelled).collect()]);
    let snapshot = read_quickly(&bytes).expect("the file is whole");
    assert_eq!(snapshot.problems, []);
    let trace = &snapshot.traces[0];
    assert_eq!(trace.user_metadata(EventIndex(199_999)), Some("step 199999"));
    assert_eq!(trace.compile_context(EventIndex(100_000)), Some("100000/0"));
}

#[test]
fn one_long_text_of_all_events_is_kept_once() {
    let text = Node::Shared(Rc::new(Node::Text("x".repeat(50_000))));
    let labelled = Node::Dict(vec![("action", "alloc".into()), ("user_metadata", text)]);
    let bytes = traces(vec![vec![labelled; 100_000]]);
    let snapshot = read_quickly(&bytes).expect("the file is whole");
    let text = snapshot.traces[0].user_metadata(EventIndex(99_999)).expect("a text");
    assert_eq!(text.len(), 50_000);
}

#[test]
fn every_event_may_have_a_stream_and_a_pool_of_its_own() {
    let odd = |at: i64| {
        Node::Dict(vec![
            ("action", "alloc".into()),
            ("addr", (at << 32).into()),
            ("size", 512.into()),
            ("stream", (at << 20).into()),
            ("pool_id", Node::Pair(at, at)),
        ])
    };
    let devices = (0..4).map(|_| (0..50_000).map(odd).collect()).collect();
    let snapshot = read_quickly(&traces(devices)).expect("the file is whole");
    let last = EventIndex(49_999);
    for trace in &snapshot.traces {
        assert_eq!(trace.event(last).expect("an event").stream, 49_999 << 20);
        assert_eq!(trace.pool_id(last), (49_999, 49_999));
    }
}

#[test]
fn an_annotation_that_is_referred_to_again_and_again_is_cut() {
    for name in ["", "x".repeat(60_000).as_str()] {
        let shared = Node::Dict(vec![("stage", "START".into()), ("name", name.into())]);
        let list = vec![Node::Shared(Rc::new(shared)); 300_000];
        let bytes = pickle(&Node::Dict(vec![
            ("segments", Node::List(Vec::new())),
            ("external_annotations", Node::List(list)),
        ]));
        let snapshot = read_quickly(&bytes).expect("the outermost dict is read");
        let names: usize = snapshot.annotations.iter().map(|range| range.name.len() + 1).sum();
        assert!(names <= bytes.len(), "{names} bytes of names from {} bytes", bytes.len());
        assert_eq!(snapshot.problems.len(), usize::from(!name.is_empty()));
    }
}

#[test]
fn a_long_trace_shared_by_many_graph_nodes_is_not_copied_without_bound() {
    let text = Node::Shared(Rc::new(Node::Text("x".repeat(60_000))));
    let generated = |line: i64| {
        let mut frame = frame("g.py", "f", line);
        if let Node::Dict(pairs) = &mut frame {
            pairs.push(("fx_original_trace", text.clone()));
        }
        frame
    };
    let frames = Node::List((0..50_000).map(generated).collect());
    let bytes = traces(vec![vec![event("alloc", 0, 512, frames)]]);
    let snapshot = read_quickly(&bytes).expect("the file is whole");
    let stack = snapshot.traces[0].event(EventIndex(0)).expect("one event").stack;
    let nodes = snapshot.stacks.frame_ids_of(stack).filter_map(|id| snapshot.stacks.fx_node(id));
    let traces = nodes.filter_map(|node| node.original_trace.as_ref());
    let kept: usize = traces.map(String::len).sum();
    assert!(kept <= bytes.len() * 16 + (16 << 20), "{kept} bytes of traces");
    assert_eq!(snapshot.problems.len(), 1);
}

#[test]
fn a_memo_of_millions_of_the_same_value_is_small_and_quick() {
    let heads: [&[u8]; 6] =
        [b"N", b"}", b"K\x07", b"\x8c\x02ab", b"G\x7f\xf8\0\0\0\0\0\0", b"K\0K\0\x86"];
    for head in heads {
        let bytes = [&[0x80, 4][..], head, &[0x94; 5_000_000], b"."].concat();
        let read = read_quickly(&bytes);
        assert!(matches!(read, Err(ReadError::NoSnapshot { problem: None })), "{head:?}");
    }
}

#[test]
fn a_stack_of_millions_of_values_ends_with_a_problem() {
    for head in [&b""[..], b"(", b"}("] {
        let bytes = [&[0x80, 4][..], head, &b"N".repeat(20_000_000)].concat();
        let Err(ReadError::NoSnapshot { problem: Some(problem) }) = read_quickly(&bytes) else {
            unreachable!("nothing is collected");
        };
        assert!(problem.what.starts_with("millions of values"), "{}", problem.what);
    }
}

#[test]
fn a_memo_entry_that_is_replaced_between_equal_references_changes_their_meaning() {
    // Two lists of the same bytes `h\x01`; in between, memo 1 becomes another frame.
    let frame = |name: u8| [b"}(\x8c\x08filename\x8c\x01".as_slice(), &[name], b"u"].concat();
    let event = b"}(\x8c\x06action\x8c\x05alloc\x8c\x06frames](h\x01eu";
    let bytes = [
        b"\x80\x04}\x94(\x8c\x01x".as_slice(),
        &frame(b'a'),
        b"q\x01\x8c\x0ddevice_traces](](",
        event,
        &frame(b'b'),
        b"q\x010",
        event,
        b"eeu.",
    ]
    .concat();
    let snapshot = read_quickly(&bytes).expect("the file is whole");
    let files: Vec<&str> = snapshot.traces[0]
        .iter()
        .flat_map(|(_, event)| snapshot.stacks.frames_of(event.stack))
        .map(|frame| frame.file.as_str())
        .collect();
    assert_eq!(files, ["a", "b"]);
}

#[test]
fn replacing_one_memo_entry_again_and_again_is_no_square() {
    let mut bytes = b"\x80\x04}(".to_vec();
    for index in 0..300_000_u32 {
        bytes.extend(b"K\x01r\x01\0\0\0");
        bytes.extend(b"r");
        bytes.extend((1000 + index).to_le_bytes());
        bytes.extend(b"0");
    }
    bytes.extend(b"u.");
    assert!(matches!(read_quickly(&bytes), Err(ReadError::NoSnapshot { problem: None })));
}

#[test]
fn a_truncated_file_keeps_the_texts_of_its_prefix() {
    let labelled = |at: i64| {
        Node::Dict(vec![
            ("action", "alloc".into()),
            ("addr", (at * 512).into()),
            ("size", 512.into()),
            ("user_metadata", Node::Text(format!("step {}", at / 10))),
        ])
    };
    let bytes = traces(vec![(0..3000).map(labelled).collect()]);
    for len in [bytes.len() / 2, bytes.len() - 30] {
        let snapshot = read_quickly(&bytes[..len]).expect("the prefix is read");
        assert_eq!(snapshot.problems.len(), 1);
        let trace = &snapshot.traces[0];
        assert!(trace.len() > 1000);
        for (index, _) in trace.iter() {
            let text = format!("step {}", index.0 / 10);
            assert_eq!(trace.user_metadata(index), Some(text.as_str()));
        }
    }
}

#[test]
fn addresses_that_repeat_or_end_in_zeros_take_linear_time() {
    for shift in [0, 20, 40] {
        let events = |at: i64| event("free_completed", (at % 50_000) << shift, 512, Node::None);
        let bytes = traces(vec![(0..100_000).map(events).collect()]);
        let snapshot = read_quickly(&bytes).expect("the file is whole");
        assert_eq!(snapshot.traces.first().map(Trace::len), Some(100_000));
        let start = Instant::now();
        assert_eq!(history(&snapshot, DeviceId(0)).lives.len(), 100_000);
        assert_eq!(counters(&snapshot, DeviceId(0)).len(), 100_000);
        assert!(start.elapsed() < QUICK);
    }
}
