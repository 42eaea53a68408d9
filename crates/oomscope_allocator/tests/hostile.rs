//! Traces that no allocator wrote: nothing panics, faults are counted, and time stays bounded.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "time is what is tested")]

use std::time::Instant;

use oomscope_allocator::{
    Backend, Capacity, FaultKind, Followed, PoolId, Release, Settings, Setup, StartBlock,
    StartSegment, Trace, follow, follow_with_cap, need, replay,
};
use oomscope_model::{Bytes, Event, EventKind, StackId};

use EventKind::{Alloc, FreeCompleted, FreeRequested, Oom, SegmentAlloc, SegmentFree, SegmentMap};
use EventKind::{Other, SegmentUnmap};

const MIB: u64 = 1 << 20;
/// A million; fewer where the compiler did not optimise.
const EVENTS: u64 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
/// What a case sets up takes this many turns.
const MANY: u64 = EVENTS / 10;

/// Events, each with a stream, and its pool.
#[derive(Default)]
struct Tape {
    events: Vec<Event>,
    pools: Vec<PoolId>,
    stream: u64,
    pool: PoolId,
}

impl Tape {
    fn add(&mut self, kind: EventKind, addr: u64, size: u64) {
        let (stream, time_us) = (self.stream, Some(self.events.len() as u64));
        let stack = StackId::NONE;
        self.events.push(Event { kind, addr, size: Bytes(size), stream, time_us, stack });
        self.pools.push(self.pool);
    }

    fn of(events: &[(EventKind, u64, u64)]) -> Tape {
        let mut tape = Tape::default();
        for (kind, addr, size) in events {
            tape.add(*kind, *addr, *size);
        }
        tape
    }
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

fn settings(text: &str) -> Settings {
    Settings::parse(text, Release::NEWEST).expect("good settings")
}

/// Follows a tape and runs what it asks for under several settings.
fn run(tape: &Tape, conf: &str, start: &[StartSegment]) -> Followed {
    let settings = settings(conf);
    let setup =
        Setup { settings: settings.clone(), release: Release::NEWEST, allowed: None, start };
    let (followed, _) = follow_with_cap(tape, &setup);
    let small = Capacity { available: 300 * MIB, total: 400 * MIB };
    let all = Capacity { available: u64::MAX, total: u64::MAX };
    let driver = Settings { backend: Backend::CudaMallocAsync, ..Settings::default() };
    let expandable = Settings { expandable_segments: true, ..Settings::default() };
    for settings in [settings, Settings::default(), expandable, driver] {
        for (capacity, release) in [(small, Release::V2_4), (all, Release::V2_12)] {
            replay(&followed.program, &settings, release, capacity, &mut ());
        }
    }
    let need = need(&followed.program);
    assert!(need.live <= need.packed || need.live > 1 << 60);
    followed
}

#[test]
fn faults_are_counted_with_the_event_that_came_first() {
    use FaultKind::{CompletedUnasked, FreedTwice, Overlap, SegmentWithoutRequest, Size};
    use FaultKind::{TimeGoesBack, UnknownAddress};
    let page = 2 * MIB;
    let held = [(SegmentAlloc, page, page), (Alloc, page, 512)];
    /// Events, what is wrong with them, how often, and where first.
    type Case<'c> = (&'c [(EventKind, u64, u64)], FaultKind, u64, u32);
    let cases: &[Case<'_>] = &[
        (&[(FreeRequested, 512, 512), (FreeCompleted, 512, 512)], UnknownAddress, 2, 2),
        (&[(FreeCompleted, page, 512), (FreeRequested, page, 512)], CompletedUnasked, 1, 2),
        (
            &[(FreeRequested, page, 512), (Other, 0, 0), (FreeRequested, page, 512)],
            FreedTwice,
            1,
            4,
        ),
        (&[(Alloc, page, 512), (Alloc, page, 1)], Overlap, 2, 2),
        (&[(Other, 0, 0), (Alloc, page * 2, u64::MAX)], Size, 1, 3),
        (&[(Alloc, 0, 1 << 63)], Size, 1, 2),
        (&[(SegmentAlloc, 7, 7), (Other, 0, 0), (SegmentMap, 7, 7)], SegmentWithoutRequest, 2, 2),
    ];
    for (events, kind, count, first) in cases {
        let tape = Tape::of(&[&held, *events].concat());
        let faults = run(&tape, "", &[]).faults;
        let fault = faults.kinds.iter().find(|fault| fault.kind == *kind);
        let found = fault.map(|fault| (fault.count, fault.first.map(|event| event.0)));
        assert_eq!(found, Some((*count, Some(*first))), "{kind:?}: {faults:?}");
    }
    let mut tape = Tape::of(&held);
    tape.add(Other, 0, 0);
    tape.events[2].time_us = Some(0);
    let faults = run(&tape, "", &[]).faults;
    assert_eq!(faults.kinds.first().map(|fault| fault.kind), Some(TimeGoesBack));
}

#[test]
fn a_recording_that_skips_releases_is_no_fault() {
    // `_record_memory_history(skip_actions=["free_requested"])` of PyTorch 2.15.
    let page = 2 * MIB;
    let tape =
        Tape::of(&[(SegmentAlloc, page, page), (Alloc, page, 512), (FreeCompleted, page, 512)]);
    let followed = run(&tape, "", &[]);
    assert_eq!((followed.faults.kinds.len(), followed.divergence), (0, None));
}

#[test]
fn what_no_device_has_is_not_served_from_the_cache() {
    // In whole units, together more than 1 TiB.
    let (base, quarter) = (1 << 45, 14_000 * 20 * MIB);
    let mut tape = Tape::default();
    for turn in 0..4 {
        tape.add(SegmentMap, base + turn * quarter, quarter);
        tape.add(Alloc, base + turn * quarter, quarter);
    }
    for turn in 0..4 {
        free(&mut tape, base + turn * quarter);
    }
    tape.add(Oom, 0, 1 << 59);
    let followed = run(&tape, "expandable_segments:True", &[]);
    assert_eq!((followed.counters.ooms, followed.counters.requested), (1, 0));
    let all = Capacity { available: u64::MAX, total: u64::MAX };
    for conf in ["", "expandable_segments:True"] {
        let outcome = replay(&followed.program, &settings(conf), Release::NEWEST, all, &mut ());
        assert_eq!((outcome.avoided, outcome.counters.ooms), (0, 1), "{conf}");
    }
}

#[test]
fn no_number_is_too_odd() {
    let numbers = [0, 1, 511, 512, MIB, 20 * MIB, 1 << 40, 1 << 57, 1 << 58, 1 << 63, u64::MAX];
    let kinds = [
        Alloc,
        Oom,
        FreeRequested,
        FreeCompleted,
        SegmentAlloc,
        SegmentFree,
        SegmentMap,
        SegmentUnmap,
        Other,
    ];
    for conf in ["", "expandable_segments:True", "max_split_size_mb:32"] {
        for first in kinds {
            for second in kinds {
                let mut tape = Tape::default();
                for addr in numbers {
                    for size in numbers {
                        tape.add(first, addr, size);
                        tape.add(second, addr, size);
                    }
                }
                run(&tape, conf, &[]);
                for addr in numbers {
                    for size in numbers {
                        run(&Tape::of(&[(first, addr, size), (second, addr, size)]), conf, &[]);
                    }
                }
            }
        }
    }
}

#[test]
fn no_beginning_is_too_odd() {
    let numbers = [0, 1, 512, 2 * MIB, 20 * MIB, 1 << 40, 1 << 57, 1 << 58, 1 << 63, u64::MAX];
    let mut start = Vec::new();
    for is_expandable in [false, true] {
        for addr in numbers {
            for size in numbers {
                let block =
                    |addr: u64, is_pending| StartBlock { addr, size, requested: 9, is_pending };
                let blocks = vec![block(addr, true), block(addr, false), block(0, true)];
                let (stream, pool, is_small) = (addr, (size, 0), size < MIB);
                let segment = StartSegment {
                    addr,
                    size,
                    stream,
                    pool,
                    is_small,
                    is_expandable,
                    age: 0,
                    blocks,
                };
                let tape = Tape::of(&[
                    (FreeRequested, addr, size),
                    (FreeCompleted, addr, size),
                    (SegmentFree, addr, size),
                    (Alloc, addr, 3 * MIB),
                    (SegmentMap, addr, size),
                    (Alloc, addr, 30 * MIB),
                ]);
                for conf in ["", "expandable_segments:True"] {
                    run(&tape, conf, std::slice::from_ref(&segment));
                }
                start.push(segment);
            }
        }
    }
    let followed = run(&Tape::default(), "", &start);
    assert_eq!(followed.faults.kinds.first().map(|fault| fault.kind), Some(FaultKind::Start));
    start.sort_by_key(|segment| segment.addr);
    run(&Tape::default(), "expandable_segments:True", &start);
}

/// Runs all that is made of a tape of a million events, and prints how long each part takes: what
/// is quadratic does not end.
fn ends(name: &str, tape: &Tape, conf: &str, start: &[StartSegment]) {
    let begin = Instant::now();
    let setup = Setup { settings: settings(conf), release: Release::NEWEST, allowed: None, start };
    let followed = follow(tape, &setup);
    let follows = begin.elapsed();
    let mut times = Vec::new();
    for (conf, available) in [
        ("", u64::MAX),
        ("", 1 << 34),
        ("expandable_segments:True", u64::MAX),
        ("expandable_segments:True", 1 << 34),
        ("max_split_size_mb:32", 1 << 34),
        ("garbage_collection_threshold:0.1,per_process_memory_fraction:0.9", 1 << 36),
        ("backend:cudaMallocAsync", u64::MAX),
    ] {
        let begin = Instant::now();
        let capacity = Capacity { available, total: available };
        replay(&followed.program, &settings(conf), Release::NEWEST, capacity, &mut ());
        times.push(begin.elapsed());
    }
    let begin = Instant::now();
    need(&followed.program);
    times.push(begin.elapsed());
    let diverges = followed.divergence.map(|divergence| divergence.event.0);
    println!("{name} {conf}: {follows:.2?} (diverges {diverges:?}), {times:.2?}");
}

/// Adds a request that gets a segment of its own.
fn segment(tape: &mut Tape, addr: u64, size: u64) {
    tape.add(SegmentAlloc, addr, size);
    tape.add(Alloc, addr, size);
}

fn free(tape: &mut Tape, addr: u64) {
    tape.add(FreeRequested, addr, 0);
    tape.add(FreeCompleted, addr, 0);
}

fn tape(conf: &'static str, fill: impl Fn(&mut Tape, u64)) -> (Tape, &'static str) {
    let mut tape = Tape::default();
    for turn in 0_u64.. {
        if tape.events.len() as u64 >= EVENTS {
            break;
        }
        fill(&mut tape, turn);
    }
    (tape, conf)
}

#[test]
fn a_million_hostile_events_take_seconds() {
    let base = 1 << 45;
    let pages = |turn: u64| base + turn * 64 * MIB;
    let cases: [(&str, (Tape, &str)); 12] = [
        (
            "a pool for each request",
            tape("", |tape, turn| {
                tape.pool = (0, turn + 1);
                segment(tape, pages(turn), 20 * MIB);
            }),
        ),
        (
            "a stream for each request, and an emptied cache after it",
            tape("", |tape, turn| {
                tape.stream = turn.reverse_bits();
                tape.add(SegmentAlloc, base, 20 * MIB);
                tape.add(Alloc, base, 9 * MIB);
                free(tape, base);
                tape.add(SegmentFree, base, 20 * MIB);
                tape.add(Other, 0, 0);
            }),
        ),
        (
            "device events without a request",
            tape("", |tape, turn| {
                tape.add(
                    if turn % 2 == 0 { SegmentFree } else { SegmentAlloc },
                    pages(turn),
                    2 * MIB,
                );
            }),
        ),
        (
            "blocks that wait, and requests that fail",
            tape("", |tape, turn| match turn % 3 {
                0 => tape.add(Alloc, pages(turn), 512),
                1 => tape.add(FreeRequested, pages(turn - 1), 512),
                _ => tape.add(Oom, 0, 100 * MIB),
            }),
        ),
        (
            "free blocks that cannot be given back, and requests that fail",
            tape("", |tape, turn| {
                if turn < MANY {
                    tape.add(SegmentAlloc, pages(turn), 50 * MIB);
                    tape.add(Alloc, pages(turn), 24 * MIB);
                    tape.add(Alloc, pages(turn) + 24 * MIB, 26 * MIB);
                } else if turn < MANY * 2 {
                    free(tape, pages(turn - MANY));
                } else {
                    tape.add(Oom, 0, 1 << 39);
                }
            }),
        ),
        (
            "gaps that are too small",
            tape("", |tape, turn| {
                if turn < MANY {
                    segment(tape, pages(turn), 20 * MIB);
                } else if turn < MANY * 3 / 2 {
                    free(tape, pages((turn - MANY) * 2));
                    tape.add(SegmentFree, pages((turn - MANY) * 2), 20 * MIB);
                    tape.add(Other, 0, 0);
                } else {
                    segment(tape, pages(turn), 30 * MIB);
                }
            }),
        ),
        (
            "holes in an expandable segment",
            tape("expandable_segments:True", |tape, turn| {
                let at = |turn: u64| base + turn * 20 * MIB;
                if turn < MANY {
                    tape.add(SegmentMap, at(turn), 20 * MIB);
                    tape.add(Alloc, at(turn), 20 * MIB);
                } else if turn < MANY * 3 / 2 {
                    free(tape, at((turn - MANY) * 2));
                } else if turn == MANY * 3 / 2 {
                    for hole in 0..MANY / 2 {
                        tape.add(SegmentUnmap, at(hole * 2), 20 * MIB);
                    }
                    tape.add(Other, 0, 0);
                } else {
                    let addr = at(MANY + (turn - MANY * 3 / 2 - 1) * 2);
                    tape.add(SegmentMap, addr, 40 * MIB);
                    tape.add(Alloc, addr, 40 * MIB);
                }
            }),
        ),
        (
            "address ranges that nothing is mapped into",
            tape("expandable_segments:True", |tape, turn| {
                tape.stream = turn;
                tape.add(Oom, 0, 9 * MIB);
            }),
        ),
        (
            "an address range for each request",
            tape("expandable_segments:True", |tape, turn| {
                tape.add(SegmentMap, base - turn * 40 * MIB, 20 * MIB);
                tape.add(Alloc, base - turn * 40 * MIB, 20 * MIB);
            }),
        ),
        (
            "garbage",
            tape("garbage_collection_threshold:0.5", |tape, turn| {
                segment(tape, pages(turn), 20 * MIB + (turn % 1000) * 2 * MIB);
                if turn % 2 == 1 {
                    free(tape, pages(turn / 2));
                }
            }),
        ),
        (
            "completed frees that wait for nobody",
            tape("", |tape, turn| match turn % 5 {
                0 => segment(tape, pages(turn), 20 * MIB),
                1 => tape.add(FreeRequested, pages(turn - 1), 0),
                _ => tape.add(FreeCompleted, turn, 0),
            }),
        ),
        (
            "one address",
            tape("", |tape, turn| match turn % 4 {
                0 => segment(tape, base, 2 * MIB),
                1 => tape.add(Alloc, base, 512),
                _ => free(tape, base),
            }),
        ),
    ];
    for (name, (tape, conf)) in &cases {
        ends(name, tape, conf, &[]);
    }
}

#[test]
fn a_million_blocks_of_the_beginning_take_seconds() {
    for is_expandable in [false, true] {
        let start: Vec<StartSegment> = (0..EVENTS / 4)
            .map(|turn| {
                let addr = (1 << 45) + turn * 40 * MIB;
                let size = 20 * MIB + (turn % 1000) * 512;
                let block =
                    StartBlock { addr: addr + MIB, size: MIB, requested: 1, is_pending: false };
                let (stream, pool, is_small) = (0, (0, 0), false);
                let blocks = vec![block];
                StartSegment { addr, size, stream, pool, is_small, is_expandable, age: 0, blocks }
            })
            .collect();
        let mut tape = Tape::default();
        for turn in 0..EVENTS / 3 {
            tape.add(Alloc, 512, 15 * MIB + turn);
            free(&mut tape, 512);
        }
        ends("a long beginning", &tape, "expandable_segments:True", &start);
        ends("a long beginning", &tape, "", &start);
    }
}
