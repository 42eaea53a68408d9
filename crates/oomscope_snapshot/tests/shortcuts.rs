//! The shortcuts for events and stacks read what the opcodes one by one read.
#![allow(missing_docs)]

use oomscope_model::EventIndex;
use oomscope_snapshot::{Snapshot, read};

/// An empty `FRAME`: it means nothing, but stands in the way of every shortcut.
const FRAME: &[u8] = &[0x95, 0, 0, 0, 0, 0, 0, 0, 0];
/// Where one may stand.
const GAP: &str = "|";

const KEYS: [&str; 10] = [
    "action",
    "alloc",
    "addr",
    "size",
    "stream",
    "user_metadata",
    "pool_id",
    "frames",
    "filename",
    "oom",
];

/// A file with these events, whose keys are memo entries 2 to 11, and frames 12 and 13.
fn file(events: &[&str], gap: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x80\x04}\x94(\x8c\x01x]\x94(".to_vec();
    for key in KEYS {
        bytes.extend([0x8c, key.len() as u8]);
        bytes.extend(key.as_bytes());
        bytes.push(0x94);
    }
    for name in [b'a', b'b'] {
        bytes.extend(b"}\x94(h\x0a\x8c\x01");
        bytes.push(name);
        bytes.extend(b"u");
    }
    bytes.extend(b"e\x8c\x0ddevice_traces](](");
    for event in events {
        // Letters stand for bytes, so that a text holds them.
        let parts: Vec<Vec<u8>> = event
            .split(GAP)
            .map(|part| part.chars().map(|letter| letter as u8).collect())
            .collect();
        bytes.extend(parts.join(gap));
    }
    bytes.extend(b"eeu.");
    bytes
}

/// What the events of a file say, and its problems.
fn told(snapshot: &Snapshot) -> Vec<String> {
    let trace = snapshot.traces.first().expect("one device");
    let of_event = |index: EventIndex| {
        let event = trace.event(index).expect("an event");
        let frames = snapshot.stacks.frames_of(event.stack).map(|frame| frame.file.as_str());
        format!(
            "{:?} {:x} {} {} {:?} {:?} {:?}",
            event.kind,
            event.addr,
            event.size.0,
            event.stream,
            trace.pool_id(index),
            trace.user_metadata(index),
            frames.collect::<Vec<_>>(),
        )
    };
    trace.iter().map(|(index, _)| of_event(index)).collect()
}

#[test]
fn with_and_without_shortcuts_a_file_says_the_same() {
    // alloc, addr, size, stream, a text that is memoised, a pool, two frames.
    let whole = "}|\u{94}(|h\u{2}h\u{3}h\u{4}M\0\u{10}h\u{5}K\u{8}h\u{6}K\u{7}h\u{7}\u{8c}\u{3}one\u{94}\
        h\u{8}K\0K\u{2}\u{86}\u{94}h\u{9}]|\u{94}(|h\u{c}h\u{d}eu";
    // Refers to the text, the pool and the list of the event before it: entries 15, 16, 17.
    let refers = "}|\u{94}(|h\u{2}h\u{3}h\u{7}h\u{f}h\u{8}h\u{10}h\u{9}h\u{11}u";
    let odd = [
        // No frames; a list that is empty; a list of something else; a nested dict; no keys.
        "}|\u{94}(|h\u{2}h\u{3}u",
        "}|\u{94}(|h\u{2}h\u{3}h\u{9}]\u{94}u",
        "}|\u{94}(|h\u{2}h\u{3}h\u{9}]|\u{94}(|K\u{1}K\u{2}eu",
        "}|\u{94}(|h\u{2}h\u{3}h\u{4}K\u{9}h\u{9}}|\u{94}h\u{5}K\u{8}u",
        "}|\u{94}",
        // The action is unknown, comes last, comes twice, or is no text.
        "}|\u{94}(|h\u{2}h\u{4}h\u{4}K\u{9}u",
        "}|\u{94}(|h\u{4}K\u{9}h\u{2}h\u{b}u",
        "}|\u{94}(|h\u{2}h\u{3}h\u{4}K\u{9}h\u{2}h\u{b}u",
        "}|\u{94}(|h\u{2}K\u{1}u",
        // A key is unknown, or written out.
        "}|\u{94}(|h\u{2}h\u{3}\u{8c}\u{3}newK\u{1}h\u{4}K\u{9}u",
        "}|\u{94}(|h\u{2}h\u{3}\u{8c}\u{4}sizeK\u{5}u",
        // Its own dict as a value; a stack in two parts; not memoised.
        "}|\u{94}(|h\u{2}h\u{3}h\u{9}h\u{e}u",
        "}|\u{94}(|h\u{2}h\u{3}h\u{9}]|\u{94}(|h\u{c}e(|h\u{d}eu",
        "}|(|h\u{2}h\u{3}h\u{4}K\u{9}u",
    ];
    for odd in odd {
        for events in [&[whole, odd, whole][..], &[odd, whole, refers], &[whole, refers, odd, odd]]
        {
            let (quick, slow) = (file(events, b""), file(events, FRAME));
            let (quick, slow) = (read(&quick).expect("read"), read(&slow).expect("read"));
            assert_eq!(told(&quick), told(&slow), "{odd:?}");
            assert_eq!(quick.unknown, slow.unknown, "{odd:?}");
            assert_eq!(quick.problems.len(), slow.problems.len(), "{odd:?}");
        }
    }
    let snapshot = read(&file(&[whole, refers], b"")).expect("read");
    let expected = [
        "Alloc 1000 8 7 (0, 2) Some(\"one\") [\"a\", \"b\"]",
        "Alloc 0 0 0 (0, 2) Some(\"one\") [\"a\", \"b\"]",
    ];
    assert_eq!(told(&snapshot), expected);
}

#[test]
fn a_cut_inside_an_event_says_the_same_with_and_without_shortcuts() {
    let event = "}|\u{94}(|h\u{2}h\u{3}h\u{4}M\0\u{10}h\u{7}\u{8c}\u{3}one\u{94}h\u{9}]|\u{94}(|h\u{c}h\u{d}eu";
    let whole = file(&[event; 3], b"");
    for len in whole.len() - 50..whole.len() {
        let cut = read(&whole[..len]).expect("the prefix is read");
        assert!(told(&cut).iter().all(|event| event.ends_with("[\"a\", \"b\"]")), "{len}");
        assert_eq!(cut.problems.len(), 1);
    }
}
