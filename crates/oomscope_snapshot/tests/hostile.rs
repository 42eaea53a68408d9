//! Damaged and malicious input: refused or read as far as it goes, never a panic, quickly.
#![allow(missing_docs)]

use std::rc::Rc;

use oomscope_model::DeviceId;
use oomscope_snapshot::fixture::{Node, event, frame, one_live_block, pickle, segment, snapshot};
use oomscope_snapshot::{At, ReadError, Snapshot, Trace, counters, read, state_at};
use proptest::prelude::*;

/// Reads and asks every question; only that it ends matters.
fn exercise(bytes: &[u8]) -> Option<Snapshot> {
    let snapshot = read(bytes).ok()?;
    for device in snapshot.devices() {
        let _ = state_at(&snapshot, device, At::End);
        let _ = counters(&snapshot, device).peak_allocated();
    }
    Some(snapshot)
}

fn many_events(count: i64) -> Vec<u8> {
    let frames = Node::Shared(Rc::new(Node::List(vec![
        frame("train.py", "loss", 3),
        frame("train.py", "main", 1),
    ])));
    let trace = (0..count).map(|at| event("alloc", at * 512, 512, frames.clone())).collect();
    snapshot(vec![segment(0, 2 << 20, "small", Vec::new())], vec![trace])
}

#[test]
fn a_truncated_pickle_yields_the_prefix() {
    let whole = many_events(1200);
    let mut most = 0;
    for len in (0..whole.len()).step_by(487) {
        let Some(snapshot) = exercise(&whole[..len]) else { continue };
        assert_eq!(snapshot.problems.len(), 1, "{len}");
        assert!(snapshot.problems[0].at.starts_with("byte "), "{len}");
        let events = snapshot.traces.first().map_or(0, Trace::len);
        assert!(events >= most, "more bytes, fewer events: {len}");
        most = events;
    }
    assert!(most >= 1195, "{most}");
}

#[test]
fn a_truncated_pickle_keeps_the_stacks_of_its_events() {
    let whole = many_events(1500);
    let snapshot = read(&whole[..whole.len() - 3000]).expect("the prefix is read");
    let last = snapshot.traces[0].iter().last().expect("events were read").1;
    let lines: Vec<u32> = snapshot.stacks.frames_of(last.stack).map(|frame| frame.line).collect();
    assert_eq!(lines, [3, 1]);
}

#[test]
fn every_opcode_that_could_run_code_is_refused_by_name() {
    for (opcode, name) in [
        (b'c', "GLOBAL"),
        (0x93, "STACK_GLOBAL"),
        (b'R', "REDUCE"),
        (b'b', "BUILD"),
        (b'i', "INST"),
        (b'o', "OBJ"),
        (0x81, "NEWOBJ"),
        (0x92, "NEWOBJ_EX"),
        (0x82, "EXT1"),
        (0x83, "EXT2"),
        (0x84, "EXT4"),
        (b'P', "PERSID"),
        (b'Q', "BINPERSID"),
        (0x97, "NEXT_BUFFER"),
        (0x98, "READONLY_BUFFER"),
    ] {
        let expected = Err(ReadError::RefusedOpcode { name, offset: 3 });
        assert_eq!(read(&[0x80, 4, b'}', opcode]), expected);
        assert_eq!(
            read(&[0x80, 4, opcode]).map(|_| ()),
            Err(ReadError::RefusedOpcode { name, offset: 2 })
        );
    }
}

#[test]
fn a_refused_opcode_after_a_whole_trace_still_refuses_the_file() {
    let mut bytes = one_live_block();
    bytes.pop();
    let offset = bytes.len() as u64;
    bytes.extend(b"cposix\nsystem\n.");
    assert_eq!(read(&bytes), Err(ReadError::RefusedOpcode { name: "GLOBAL", offset }));
}

#[test]
fn deep_nesting_ends_with_a_problem() {
    for opener in [&b"]("[..], b"}(", b"("] {
        let bytes = [&[0x80, 4][..], &opener.repeat(1_000_000)].concat();
        assert!(matches!(read(&bytes), Err(ReadError::NoSnapshot { problem: Some(_) })));
    }
}

#[test]
fn a_memo_index_of_four_billion_costs_nothing() {
    let mut bytes = vec![0x80, 4, b'}'];
    for index in 0..100_000_u32 {
        bytes.push(b'r');
        bytes.extend((u32::MAX - index).to_le_bytes());
    }
    bytes.push(b'.');
    assert!(matches!(read(&bytes), Err(ReadError::NoSnapshot { problem: None })));
    let mut bytes = vec![0x80, 4, b'j'];
    bytes.extend(u32::MAX.to_le_bytes());
    assert!(matches!(read(&bytes), Err(ReadError::NoSnapshot { problem: Some(_) })));
}

#[test]
fn huge_counts_do_not_allocate() {
    for head in [&b"\x8d"[..], b"\x8e", b"\x96", b"\x8b", b"X", b"T", b"B", b"\x95"] {
        let bytes = [&[0x80, 4, b'}'][..], head, &[0xff; 8], b"rest"].concat();
        assert!(read(&bytes).is_err());
    }
}

#[test]
fn lists_and_dicts_that_hold_themselves_end() {
    // d = {}; d["segments"] = [d, itself]; d["frames"] = d
    let bytes = b"\x80\x04}\x94(\x8c\x08segments]\x94(h\x00h\x01h\x01e\x8c\x06framesh\x00\
        \x8c\x0ddevice_tracesh\x01u.";
    let snapshot = exercise(bytes).expect("the outermost dict is read");
    assert!(snapshot.segments.is_empty());
}

#[test]
fn a_memo_bomb_stays_small() {
    // One list of 1000 events, referred to by 1000 lists of traces each 200 times.
    let events: Vec<Node> =
        (0..1000).map(|at| event("alloc", at * 512, 512, Node::List(Vec::new()))).collect();
    let shared = Node::Shared(Rc::new(Node::List(events)));
    let bytes = pickle(&Node::Dict(vec![
        ("segments", Node::List(Vec::new())),
        ("device_traces", Node::List(vec![shared; 200_000])),
    ]));
    let snapshot = read(&bytes).expect("the outermost dict is read");
    let events: usize = snapshot.traces.iter().map(Trace::len).sum();
    assert!(events <= bytes.len(), "{events} events from {} bytes", bytes.len());
    assert_eq!(snapshot.problems.len(), 1);
}

/// Writes a string of up to 255 bytes.
fn put(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(0x8c);
    bytes.push(u8::try_from(text.len()).expect("short"));
    bytes.extend(text.as_bytes());
}

#[test]
fn many_lists_that_share_one_of_many_runs_cost_no_square() {
    // device_traces = [runs] * 200 000, runs = [event] * 200 000; each reference is two bytes.
    let mut bytes = b"\x80\x04}(".to_vec();
    put(&mut bytes, "event");
    bytes.extend(b"}\x94(");
    put(&mut bytes, "action");
    put(&mut bytes, "alloc");
    bytes.push(b'u');
    put(&mut bytes, "runs");
    bytes.extend(b"]\x94(");
    bytes.extend(b"h\x00".repeat(200_000));
    bytes.push(b'e');
    put(&mut bytes, "device_traces");
    bytes.extend(b"](");
    bytes.extend(b"h\x01".repeat(200_000));
    bytes.extend(b"eu.");
    let snapshot = read(&bytes).expect("the outermost dict is read");
    let events: usize = snapshot.traces.iter().map(Trace::len).sum();
    assert!(events <= bytes.len(), "{events} events from {} bytes", bytes.len());
    assert_eq!(snapshot.problems.len(), 1);
}

#[test]
fn many_segments_that_share_a_list_of_no_blocks_cost_no_square() {
    let mut bytes = b"\x80\x04}(".to_vec();
    put(&mut bytes, "event");
    bytes.extend(b"}\x94(");
    put(&mut bytes, "action");
    put(&mut bytes, "alloc");
    bytes.push(b'u');
    put(&mut bytes, "runs");
    bytes.extend(b"]\x94(");
    bytes.extend(b"h\x00".repeat(500_000));
    bytes.push(b'e');
    // As values: as keys they would make the outermost dict a segment.
    for key in ["address", "blocks"] {
        put(&mut bytes, "word");
        put(&mut bytes, key);
        bytes.push(0x94);
    }
    put(&mut bytes, "segments");
    bytes.extend(b"](");
    bytes.extend(b"}(h\x02K\x00h\x03h\x01u".repeat(100_000));
    bytes.extend(b"eu.");
    let snapshot = read(&bytes).expect("the outermost dict is read");
    assert_eq!(snapshot.segments.len(), 100_000);
    assert_eq!(snapshot.problems.len(), 1);
}

#[test]
fn a_long_name_shared_by_many_frames_is_not_copied_without_bound() {
    let name = Node::Shared(Rc::new(Node::Text("x".repeat(60_000))));
    let frames = (0..100_000).map(|line| {
        Node::Dict(vec![("filename", name.clone()), ("name", name.clone()), ("line", line.into())])
    });
    let trace = vec![event("alloc", 0, 512, Node::List(frames.collect()))];
    let bytes = snapshot(Vec::new(), vec![trace]);
    let snapshot = read(&bytes).expect("the file is whole");
    let stack = snapshot.traces[0].iter().next().expect("one event").1.stack;
    let names: usize =
        snapshot.stacks.frames_of(stack).map(|frame| frame.file.len() + frame.function.len()).sum();
    assert!(names <= bytes.len() * 16 + (16 << 20), "{names} bytes of names");
    assert_eq!(snapshot.problems.len(), 1);
}

#[test]
fn an_unknown_word_that_is_long_is_counted_as_one() {
    let long: &'static str = "long".repeat(50).leak();
    let odd = Node::Dict(vec![("action", "alloc".into()), (long, Node::None)]);
    let snapshot = read(&snapshot(Vec::new(), vec![vec![odd; 3]])).expect("whole");
    assert_eq!(snapshot.unknown.len(), 1);
    assert_eq!((snapshot.unknown[0].word.len(), snapshot.unknown[0].count), (80, 3));
}

#[test]
fn a_shared_event_counts_each_time_and_shared_settings_are_read() {
    let shared = Node::Shared(Rc::new(event("alloc", 512, 512, Node::List(Vec::new()))));
    let settings = Node::Shared(Rc::new(Node::Dict(vec![("max_split_size", 1024.into())])));
    let bytes = pickle(&Node::Dict(vec![
        ("other", settings.clone()),
        ("allocator_settings", settings),
        ("device_traces", Node::List(vec![Node::List(vec![shared.clone(), shared])])),
    ]));
    let snapshot = read(&bytes).expect("the outermost dict is read");
    assert_eq!(snapshot.traces[0].len(), 2);
    assert_eq!(snapshot.settings.max_split_size, Some(oomscope_model::Bytes(1024)));
    assert_eq!(snapshot.unknown[0].word, "other");
}

#[test]
fn a_key_that_comes_before_the_one_that_tells_the_kind_is_kept() {
    // Protocol 2 with single SETITEMs: addr, size, then action; line, then filename.
    let bytes = b"\x80\x02}q\x00U\x0ddevice_traces]q\x01]q\x02}q\x03U\x04addrM\x00\x10sU\x04sizeK\x08s\
        U\x06framesq\x04]q\x05}q\x06U\x04lineK\x07sU\x08filenameU\x01asasU\x06actionU\x05allocsaas.";
    let snapshot = read(bytes).expect("the file is whole");
    assert_eq!(snapshot.problems, []);
    let event = snapshot.traces[0].event(oomscope_model::EventIndex(0)).expect("one event");
    assert_eq!((event.addr, event.size.0), (0x1000, 8));
    let lines: Vec<u32> = snapshot.stacks.frames_of(event.stack).map(|frame| frame.line).collect();
    assert_eq!(lines, [7]);
}

#[test]
fn stacks_deeper_than_a_batch_are_whole() {
    let frames = (0..2345).map(|line| frame("deep.py", "f", line)).collect();
    let trace = vec![event("alloc", 0, 512, Node::List(frames))];
    let snapshot = read(&snapshot(Vec::new(), vec![trace])).expect("the file is whole");
    let stack = snapshot.traces[0].iter().next().expect("one event").1.stack;
    let lines: Vec<u32> = snapshot.stacks.frames_of(stack).map(|frame| frame.line).collect();
    assert_eq!(lines, (0..2345).collect::<Vec<u32>>());
}

#[test]
fn json_reads_as_the_pickle_does() {
    let json = br#"{"segments": [{"device": 0, "address": 4096, "total_size": 2097152,
        "stream": 0, "segment_type": "small", "segment_pool_id": [0, 0], "is_expandable": false,
        "frames": [], "blocks": [
          {"address": 4096, "size": 1024, "requested_size": 1000, "state": "active_allocated",
           "frames": [{"name": "main", "filename": "train.py", "line": 1}]},
          {"address": 5120, "size": 2096128, "requested_size": 0, "state": "inactive",
           "frames": []}]}],
      "device_traces": [[
        {"action": "segment_alloc", "addr": 4096, "size": 2097152, "stream": 0,
         "time_us": 1700000000000000, "compile_context": "N/A", "user_metadata": "",
         "frames": [{"name": "main", "filename": "train.py", "line": 1}]},
        {"action": "alloc", "addr": 4096, "size": 1000, "stream": 0,
         "time_us": 1700000000000000, "compile_context": "N/A", "user_metadata": "",
         "frames": [{"name": "main", "filename": "train.py", "line": 1}]}]],
      "allocator_settings": {"PYTORCH_CUDA_ALLOC_CONF": "", "max_split_size": -1,
        "garbage_collection_threshold": 0.0, "expandable_segments": false},
      "external_annotations": []}"#;
    assert_eq!(read(json), read(&one_live_block()));
    for len in 0..json.len() {
        exercise(&json[..len]);
    }
}

#[test]
fn a_device_that_no_file_names_is_empty() {
    let snapshot = read(&one_live_block()).expect("the fixture is whole");
    assert_eq!(state_at(&snapshot, DeviceId(7), At::End).live, []);
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        exercise(&bytes);
        exercise(&[&[0x80, 4][..], &bytes].concat());
        exercise(&[&b"{\"segments\""[..], &bytes].concat());
    }

    #[test]
    fn random_opcodes_never_panic(
        picks in proptest::collection::vec((0..40_usize, any::<u8>()), 0..400)
    ) {
        let opcodes: [&[u8]; 20] = [
            b"}\x94", b"]\x94", b"(", b"e", b"u", b"a", b"s", b"h", b"K", b"\x86", b"0", b"2",
            b"\x8c\x06action", b"\x8c\x08filename", b"\x8c\x06blocks", b"\x8c\x08segments",
            b"\x8c\x0ddevice_traces", b"\x8c\x06frames", b"\x8c\x05state", b"\x8c\x05alloc",
        ];
        let mut bytes = vec![0x80, 4];
        for (pick, operand) in picks {
            let opcode = opcodes[pick % opcodes.len()];
            bytes.extend(opcode);
            if matches!(opcode, b"h" | b"K") {
                bytes.push(operand % 16);
            }
        }
        exercise(&bytes);
    }

    #[test]
    fn a_flipped_byte_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = many_events(30);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        exercise(&bytes);
    }
}
