//! Any events: followed, run again under other settings, recorded and followed once more. The
//! feature `check` has the model check itself after every step. See `README.md` for how to run it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oomscope_allocator::{
    Capacity, PoolId, Release, Settings, Setup, StartBlock, StartSegment, Trace, follow,
    follow_with_cap, need, record, replay,
};
use oomscope_model::{Bytes, Event, EventKind, StackId};

const MIB: u64 = 1 << 20;

const CONFS: [&str; 8] = [
    "",
    "expandable_segments:True",
    "max_split_size_mb:32",
    "roundup_power2_divisions:4",
    "expandable_segments:True,max_split_size_mb:64,large_segment_size_mb:30",
    "garbage_collection_threshold:0.3,per_process_memory_fraction:0.5",
    "expandable_segments:True,garbage_collection_threshold:0.1,per_process_memory_fraction:1",
    "backend:cudaMallocAsync",
];

const KINDS: [EventKind; 10] = [
    EventKind::Alloc,
    EventKind::FreeRequested,
    EventKind::FreeCompleted,
    EventKind::SegmentAlloc,
    EventKind::SegmentFree,
    EventKind::SegmentMap,
    EventKind::SegmentUnmap,
    EventKind::Oom,
    EventKind::Snapshot,
    EventKind::Other,
];

struct Bytewise<'b>(&'b [u8]);

impl Bytewise<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Mostly numbers that occur: few of them, so that they meet again.
    fn number(&mut self) -> Option<u64> {
        let byte = u64::from(self.byte()?);
        Some(match byte >> 5 {
            0 => (byte & 31) * 512,
            1 => (byte & 31) * 200_000,
            2 => (byte & 31) * MIB,
            3 | 4 => (byte & 63) * 10 * MIB,
            5 => 1 << (byte & 31) << 10,
            6 => u64::MAX >> (byte & 31),
            _ => {
                let mut number = 0;
                for _ in 0..=(byte & 7) {
                    number = number << 8 | u64::from(self.byte()?);
                }
                number
            }
        })
    }
}

struct Tape {
    events: Vec<Event>,
    pools: Vec<PoolId>,
}

impl Trace for Tape {
    fn len(&self) -> usize {
        self.events.len()
    }

    fn event(&self, index: usize) -> Option<Event> {
        self.events.get(index).copied()
    }

    fn pool(&self, index: usize) -> PoolId {
        self.pools.get(index).copied().unwrap_or_default()
    }
}

fn event(bytes: &mut Bytewise<'_>, tape: &mut Tape) -> Option<()> {
    let (kind, flags) = (bytes.byte()?, u64::from(bytes.byte()?));
    // Requests are the most of a trace.
    let kind = KINDS.get(usize::from(kind) % 16).copied().unwrap_or(EventKind::Alloc);
    let (addr, size) = (bytes.number()?, bytes.number()?);
    let stack = if flags & 32 == 0 { StackId::NONE } else { StackId((flags >> 6) as u32) };
    let time_us = (flags & 16 == 0).then_some(tape.events.len() as u64 ^ (flags & 8));
    tape.pools.push((0, flags >> 2 & 1));
    tape.events.push(Event { kind, addr, size: Bytes(size), stream: flags & 3, time_us, stack });
    Some(())
}

fn segment(bytes: &mut Bytewise<'_>) -> Option<StartSegment> {
    let (flags, addr, size) = (u64::from(bytes.byte()?), bytes.number()?, bytes.number()?);
    let mut blocks = Vec::new();
    for _ in 0..flags >> 6 {
        let (offset, size, requested) = (bytes.number()?, bytes.number()?, bytes.number()?);
        let addr = addr.wrapping_add(offset);
        blocks.push(StartBlock { addr, size, requested, is_pending: requested & 1 == 1 });
    }
    Some(StartSegment {
        addr,
        size,
        stream: flags & 3,
        pool: (0, flags >> 2 & 1),
        is_small: flags & 8 != 0,
        is_expandable: flags & 16 != 0,
        age: 0,
        blocks,
    })
}

fn run(bytes: &[u8]) -> Option<()> {
    let mut bytes = Bytewise(bytes);
    let (conf, minor, segments) = (bytes.byte()?, bytes.byte()?, bytes.byte()?);
    let (available, total) = (bytes.number()?, bytes.number()?);
    let conf = CONFS[usize::from(conf) % CONFS.len()];
    let release = Release { major: 2, minor: u16::from(minor) % 16 };
    let settings = Settings::parse(conf, Release::NEWEST).expect("good settings");
    let capacity = Capacity { available, total };
    let start: Vec<StartSegment> = (0..segments % 8).map_while(|_| segment(&mut bytes)).collect();
    let mut tape = Tape { events: Vec::new(), pools: Vec::new() };
    while event(&mut bytes, &mut tape).is_some() {}

    let setup = Setup { settings: settings.clone(), release, allowed: None, start: &start };
    let (followed, _) = follow_with_cap(&tape, &setup);
    let program = &followed.program;
    let before = need(program);
    // Sums of requests that no device has reach the end of the address space.
    assert!(before.live <= before.packed || before.live > 1 << 60);
    for conf in CONFS {
        let settings = Settings::parse(conf, Release::NEWEST).expect("good settings");
        let first = replay(program, &settings, release, capacity, &mut ());
        assert_eq!(first, replay(program, &settings, release, capacity, &mut ()));
    }
    // From the beginning of a run, the model follows itself; what came before it is not recorded,
    // nor how large the device is.
    let recording = record(program, &settings, release, capacity);
    let allowed = settings.memory_fraction.map(|share| (share * total as f64) as u64);
    let setup = Setup { settings, release, allowed, start: &start };
    let again = follow(&recording, &setup);
    assert!(again.program.steps() <= recording.events().len() * 2 + 1);
    Some(())
}

fuzz_target!(|bytes: &[u8]| {
    let _ = run(bytes);
});
