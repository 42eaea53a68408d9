//! Pickles made of the reader's own opcodes and words, which random bytes seldom hit: the shortcuts
//! for events and stacks read what the opcodes one by one would read. See `README.md`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oomscope_model::{Event, EventIndex, FrameId};
use oomscope_snapshot::{At, Snapshot, Trace, history, read};

/// A piece of a pickle; those that end in a number take one byte of it from the input.
const PIECES: [&[u8]; 44] = [
    b"}\x94(",
    b"}\x94",
    b"]\x94(",
    b"]\x94",
    b"(",
    b"e",
    b"u",
    b"a",
    b"s",
    b"\x94",
    b"h",
    b"h",
    b"h",
    b"K",
    b"K",
    b"K\0K\x01\x86\x94",
    b"\x86",
    b"0",
    b"2",
    b"N",
    b"q",
    b"\x8a\x08\0\0\0\x40\0\0\0\0",
    b"\x8c\x06action\x94",
    b"\x8c\x05alloc\x94",
    b"\x8c\x0efree_requested\x94",
    b"\x8c\x0efree_completed\x94",
    b"\x8c\x0dsegment_alloc\x94",
    b"\x8c\x0csegment_free\x94",
    b"\x8c\x03oom\x94",
    b"\x8c\x04addr\x94",
    b"\x8c\x04size\x94",
    b"\x8c\x06stream\x94",
    b"\x8c\x06frames\x94",
    b"\x8c\x08filename\x94",
    b"\x8c\x04name\x94",
    b"\x8c\x04line\x94",
    b"\x8c\x06blocks\x94",
    b"\x8c\x05state\x94",
    b"\x8c\x10active_allocated\x94",
    b"\x8c\x08segments\x94",
    b"\x8c\x0ddevice_traces\x94",
    b"\x8c\x0duser_metadata\x94",
    b"\x8c\x05stage\x94",
    b"\x8c\x14external_annotations\x94",
];

fuzz_target!(|picks: &[u8]| {
    let mut pickle = vec![0x80, 4];
    let mut picks = picks.iter();
    while let Some(&pick) = picks.next() {
        let piece = PIECES[usize::from(pick) % PIECES.len()];
        pickle.extend(piece);
        if matches!(piece, b"h" | b"K" | b"q") {
            pickle.push(picks.next().copied().unwrap_or_default() % 48);
        }
    }
    pickle.push(b'.');
    let whole = read(&pickle);
    // A frame opcode between two opcodes means nothing, but stands in the way of the shortcuts.
    let slow = read(&without_shortcuts(&pickle));
    match (&whole, &slow) {
        (Ok(whole), Ok(slow)) => {
            assert_eq!(events(whole), events(slow));
            assert_eq!(whole.segments, slow.segments);
            assert_eq!(whole.annotations, slow.annotations);
            assert_eq!(whole.unknown, slow.unknown);
            assert_eq!(whole.problems.len(), slow.problems.len());
        }
        (whole, slow) => assert_eq!(whole.is_ok(), slow.is_ok()),
    }
    let Ok(snapshot) = whole else { return };
    for device in snapshot.devices() {
        let history = history(&snapshot, device);
        let _ = (history.timeline(), history.state_at(At::End));
    }
});

/// What every event says.
fn events(snapshot: &Snapshot) -> Vec<(Event, (u64, u64), Option<String>, Vec<FrameId>)> {
    let of_trace = |trace: &Trace| -> Vec<_> {
        let of_event = |(index, event): (EventIndex, Event)| {
            let text = trace.user_metadata(index).map(str::to_owned);
            let frames = snapshot.stacks.frame_ids_of(event.stack).collect();
            (event, trace.pool_id(index), text, frames)
        };
        trace.iter().map(of_event).collect()
    };
    snapshot.traces.iter().flat_map(of_trace).collect()
}

/// The same opcodes with an empty `FRAME` after each `EMPTY_DICT` and `MARK`.
fn without_shortcuts(pickle: &[u8]) -> Vec<u8> {
    const FRAME: [u8; 9] = [0x95, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut slow = Vec::with_capacity(pickle.len() * 2);
    let mut rest = pickle;
    while let Some(&opcode) = rest.first() {
        let len = match opcode {
            b'h' | b'K' | b'q' | 0x80 => 2,
            0x8c | 0x8a => 2 + usize::from(rest.get(1).copied().unwrap_or_default()),
            _ => 1,
        };
        let (piece, after) = rest.split_at(len.min(rest.len()));
        slow.extend(piece);
        if matches!(opcode, b'}' | b'(') {
            slow.extend(FRAME);
        }
        rest = after;
    }
    slow
}
