//! A cut snapshot is itself exact: every kept event's state is what it was in the whole one.
#![allow(clippy::disallowed_methods, clippy::print_stdout, missing_docs)]

mod files;

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use oomscope_model::{DeviceId, EventIndex, Frame, StackId};
use oomscope_snapshot::fixture::{self, Node, Recording, write_recording};
use oomscope_snapshot::{
    Annotation, At, History, Snapshot, Split, Stage, State, Trace, cut, history, read, split,
    write_pickle,
};
use proptest::prelude::*;

/// A snapshot with its past, and its stacks as hashes of their frames: ids differ from file to file.
struct Told<'s> {
    snapshot: &'s Snapshot,
    history: History,
    stacks: HashMap<StackId, u64>,
}

fn told(snapshot: &Snapshot, device: DeviceId) -> Told<'_> {
    Told { snapshot, history: history(snapshot, device), stacks: HashMap::new() }
}

impl Told<'_> {
    /// The live blocks after an event: what a cut must keep of each, and who made it.
    fn lines(&mut self, at: u32) -> Vec<(String, Option<u64>)> {
        let state = self.history.state_at(At::After(EventIndex(at)));
        let mut lines = Vec::new();
        for block in &state.live {
            let maker = *self.stacks.entry(block.stack).or_insert_with(|| {
                let frames: Vec<&Frame> = self.snapshot.stacks.frames_of(block.stack).collect();
                BuildHasherDefault::<DefaultHasher>::default().hash_one(frames)
            });
            let maker = (block.stack != StackId::NONE).then_some(maker);
            let what =
                format!("{} {:?} {} {:?}", block.addr, block.requested, block.stream, block.state);
            lines.push((what, maker));
        }
        lines
    }
}

fn assert_cut_is_exact(snapshot: &Snapshot, device: DeviceId, from: u32, to: u32, name: &str) {
    let part = cut(snapshot, EventIndex(from), EventIndex(to));
    let mut bytes = Vec::new();
    write_pickle(&part, &mut bytes).expect("memory takes all");
    let part = read(&bytes).expect("it is whole");
    let trace = part.trace(device).expect("the device keeps its trace");
    assert_eq!(trace.len() as u32, to - from, "{name}");
    let (mut whole, mut ours) = (told(snapshot, device), told(&part, device));
    if whole.history.contradictions == 0 {
        assert_eq!(ours.history.contradictions, 0, "{name} {from}..{to}");
    }
    let step = ((to - from) / 5).max(1);
    for at in (from..to).step_by(step as usize).chain([to - 1]) {
        let part_state = ours.history.state_at(At::After(EventIndex(at - from)));
        let state = whole.history.state_at(At::After(EventIndex(at)));
        let place = format!("{name} {from}..{to} at {at}");
        assert_eq!(part_state.counters.reserved, state.counters.reserved, "{place}");
        let ranges = |state: &State| -> Vec<(u64, u64, u64)> {
            state.segments.iter().map(|it| (it.addr, it.total.0, it.stream)).collect()
        };
        assert_eq!(ranges(&part_state), ranges(&state), "{place}");
        let has_pending = state.counters.pending_free.0 > 0;
        let (our_lines, lines) = (ours.lines(at - from), whole.lines(at));
        assert_eq!(our_lines.len(), lines.len(), "{place}");
        for ((ours, our_maker), (theirs, maker)) in our_lines.iter().zip(&lines) {
            assert!(ours == theirs || has_pending, "{place}: {ours} {theirs}");
            // Older than the cut and freed inside it: who made it is lost, as in any ring buffer.
            assert!(our_maker == maker || our_maker.is_none(), "{place}: {our_maker:?} {maker:?}");
        }
        // Of such a block only the request is known; a rest of up to 1 MiB may have been its own.
        for (ours, theirs) in part_state.live.iter().zip(&state.live) {
            let is_known = ours.allocated_at.is_some() || ours.stack != StackId::NONE;
            let off = ours.size.0.abs_diff(theirs.size.0);
            assert!(off == 0 || !is_known && off <= 1 << 20, "{place}: {ours:?} {theirs:?}");
        }
    }
    // The last event is what a cut is made for: nothing about it is lost.
    assert_eq!(ours.lines(to - 1 - from), whole.lines(to - 1), "{name} {from}..{to}");
    let counters = |told: &Told, at| told.history.state_at(At::After(EventIndex(at))).counters;
    let last = (counters(&ours, to - 1 - from), counters(&whole, to - 1));
    assert_eq!(last.0, last.1, "{name} {from}..{to}");
}

#[test]
fn real_files_stay_exact_when_cut() {
    for path in files::snapshots() {
        let bytes = std::fs::read(&path).expect("the file is readable");
        let Ok(snapshot) = read(&bytes) else { continue };
        let Some(trace) = snapshot.traces.iter().find(|trace| !trace.is_empty()) else { continue };
        let (device, len) = (trace.device, trace.len() as u32);
        let name = path.display().to_string();
        for (from, to) in [(0, len), (len / 3, len), (0, len.div_ceil(2)), (len / 3, len * 2 / 3)] {
            if from < to {
                assert_cut_is_exact(&snapshot, device, from, to, &name);
            }
        }
        let whole = cut(&snapshot, EventIndex(0), EventIndex(u32::MAX));
        assert!(whole.segments == snapshot.segments || whole.stacks != snapshot.stacks, "{name}");
        assert!(whole.traces == snapshot.traces || whole.stacks != snapshot.stacks, "{name}");
    }
}

#[test]
fn the_parts_of_a_split_hold_every_event_once() {
    for path in files::snapshots().into_iter().take(12) {
        let bytes = std::fs::read(&path).expect("the file is readable");
        let Ok(snapshot) = read(&bytes) else { continue };
        let count = |snapshot: &Snapshot| -> usize { snapshot.traces.iter().map(Trace::len).sum() };
        for how in [Split::Device, Split::Parts(4), Split::Events(100)] {
            let parts: Vec<(String, Snapshot)> = split(&snapshot, how).collect();
            let sum: usize = parts.iter().map(|(_, part)| count(part)).sum();
            assert_eq!(sum, count(&snapshot), "{how:?} of {}", path.display());
            let mut names: Vec<&String> = parts.iter().map(|(name, _)| name).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), parts.len());
            assert!(parts.iter().map(|(name, _)| name).eq(names), "the names sort");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn made_up_recordings_stay_exact_wherever_they_are_cut(
        entries in 300..6000_u64,
        seed in any::<u64>(),
        bounds in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        let mut bytes = Vec::new();
        let recording = Recording { entries, seed, depth: 12 };
        write_recording(recording, &mut bytes).expect("memory takes all");
        let snapshot = read(&bytes).expect("it is whole");
        let len = snapshot.traces[0].len();
        let (a, b) = (bounds.0.index(len), bounds.1.index(len));
        let (from, to) = (a.min(b) as u32, a.max(b) as u32 + 1);
        assert_cut_is_exact(&snapshot, DeviceId(0), from, to, "made up");
    }
}

/// A recording of one device with an event at each time and ranges named after theirs.
fn annotated(events: &[u64], ranges: &[u64]) -> Snapshot {
    let event = |(at, time): (i64, &u64)| {
        let mut event = fixture::event("alloc", 4096 * at, 512, Node::List(Vec::new()));
        if let Node::Dict(pairs) = &mut event {
            pairs.push(("time_us", time.cast_signed().into()));
        }
        event
    };
    let events = (1..).zip(events).map(event).collect();
    let mut snapshot = read(&fixture::snapshot(Vec::new(), vec![events])).expect("it is whole");
    let range = |&time: &u64| Annotation {
        name: time.to_string(),
        device: None,
        time_us: Some(time),
        stage: Stage::Instant,
    };
    snapshot.annotations = ranges.iter().map(range).collect();
    snapshot
}

#[test]
fn the_parts_of_a_split_hold_every_annotation_once() {
    let snapshot = annotated(&[10, 20, 30, 40], &[5, 10, 15, 20, 25, 30, 35, 40, 45]);
    let parts = split(&snapshot, Split::Parts(3));
    let names: Vec<String> =
        parts.flat_map(|(_, part)| part.annotations).map(|range| range.name).collect();
    assert_eq!(names, ["5", "10", "15", "20", "25", "30", "35", "40", "45"]);
}

#[test]
fn devices_without_events_cost_next_to_nothing() {
    let mut snapshot = annotated(&[10, 20], &[]);
    let mut empty = annotated(&[], &[]).traces.pop().expect("one device");
    for device in 1..200_000 {
        empty.device = DeviceId(device);
        snapshot.traces.push(empty.clone());
    }
    // Were each device looked at once for each of the others, this would not end.
    assert_eq!(split(&snapshot, Split::Device).count(), 1);
    assert_eq!(split(&snapshot, Split::Parts(2)).count(), 2);
}
