//! A made-up allocator that keeps its own books: every past state and the timeline must equal them.
#![allow(missing_docs, clippy::cast_possible_wrap)]

use std::collections::BTreeMap;

use oomscope_model::{Bytes, DeviceId, EventIndex};
use oomscope_snapshot::fixture::{Node, block, event, segment, snapshot};
use oomscope_snapshot::{At, counters, history, read};
use proptest::prelude::*;

const SEGMENT: i64 = 20 << 20;
const SMALL_SIZE: i64 = 1 << 20;

/// What the trace should say after each event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Books {
    allocated: i64,
    active: i64,
    reserved: i64,
    blocks: usize,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    size: i64,
    requested: i64,
    is_pending: bool,
}

/// One segment of 20 MiB per slot, first fit inside; large blocks swallow rests up to 1 MiB.
#[derive(Default)]
struct Allocator {
    held: BTreeMap<i64, Held>,
    segments: Vec<i64>,
    trace: Vec<Node>,
    books: Vec<Books>,
}

impl Allocator {
    fn record(&mut self, action: &str, addr: i64, size: i64) {
        self.trace.push(event(action, addr, size, Node::List(Vec::new())));
        let sum = |is_wanted: fn(&&Held) -> bool| -> i64 {
            self.held.values().filter(is_wanted).map(|held| held.size).sum()
        };
        self.books.push(Books {
            allocated: sum(|held| !held.is_pending),
            active: sum(|_| true),
            reserved: self.segments.len() as i64 * SEGMENT,
            blocks: self.held.len(),
        });
    }

    fn room(&self, size: i64) -> Option<(i64, i64)> {
        self.segments.iter().find_map(|&start| {
            let inside = self.held.range(start..start + SEGMENT);
            let mut free_from = start;
            let ends = inside.map(|(&addr, held)| (addr, addr + held.size));
            for (addr, end) in ends.chain([(start + SEGMENT, 0)]) {
                if addr - free_from >= size {
                    return Some((free_from, addr - free_from));
                }
                free_from = end;
            }
            None
        })
    }

    fn alloc(&mut self, requested: i64) {
        let rounded = (requested.max(1) + 511) / 512 * 512;
        let (addr, room) = self.room(rounded).unwrap_or_else(|| {
            let addr = (1 << 40) + self.trace.len() as i64 * 2 * SEGMENT;
            self.segments.push(addr);
            self.record("segment_alloc", addr, SEGMENT);
            (addr, SEGMENT)
        });
        let size = if room - rounded <= SMALL_SIZE { room } else { rounded };
        self.held.insert(addr, Held { size, requested, is_pending: false });
        self.record("alloc", addr, requested);
    }

    fn request_free(&mut self, pick: usize) {
        let held: Vec<i64> =
            self.held.iter().filter(|(_, held)| !held.is_pending).map(|(&addr, _)| addr).collect();
        let Some(&addr) = held.get(pick % held.len().max(1)) else { return };
        let held = self.held.get_mut(&addr).expect("it is held");
        held.is_pending = true;
        let requested = held.requested;
        self.record("free_requested", addr, requested);
    }

    fn complete_free(&mut self) {
        let pending = self.held.iter().find(|(_, held)| held.is_pending);
        let Some((addr, requested)) = pending.map(|(&addr, held)| (addr, held.requested)) else {
            return;
        };
        self.held.remove(&addr);
        self.record("free_completed", addr, requested);
    }

    fn release_segments(&mut self) {
        let held = &self.held;
        let is_empty = |start: &i64| held.range(*start..*start + SEGMENT).next().is_none();
        let Some(at) = self.segments.iter().position(is_empty) else { return };
        let addr = self.segments.remove(at);
        self.record("segment_free", addr, SEGMENT);
    }

    /// The file, with the oldest `lost` events missing.
    fn dump(&self, lost: usize) -> Vec<u8> {
        let segments = self.segments.iter().map(|&start| {
            let inside = self.held.range(start..start + SEGMENT);
            let blocks = inside.map(|(&addr, held)| {
                let state =
                    if held.is_pending { "active_pending_free" } else { "active_allocated" };
                block(addr, held.size, held.requested, state, Node::List(Vec::new()))
            });
            segment(start, SEGMENT, "large", blocks.collect())
        });
        snapshot(segments.collect(), vec![self.trace.iter().skip(lost).cloned().collect()])
    }
}

fn run(steps: &[(u8, u32)]) -> Allocator {
    let mut allocator = Allocator::default();
    for &(step, number) in steps {
        match step {
            // Above 1 MiB: the large pool.
            0..=3 => allocator.alloc(SMALL_SIZE + 1 + i64::from(number % (9 << 20))),
            4 | 5 => allocator.request_free(number as usize),
            6 => allocator.complete_free(),
            _ => allocator.release_segments(),
        }
    }
    allocator
}

proptest! {
    #[test]
    fn every_past_state_equals_the_allocator_s_books(
        steps in proptest::collection::vec((0..8_u8, any::<u32>()), 1..120)
    ) {
        let allocator = run(&steps);
        let snapshot = read(&allocator.dump(0)).expect("the file is whole");
        let history = history(&snapshot, DeviceId(0));
        let timeline = counters(&snapshot, DeviceId(0));
        prop_assert_eq!(history.contradictions, 0);
        prop_assert_eq!(timeline.len(), allocator.books.len());
        for (books, index) in allocator.books.iter().zip(0_u32..) {
            let state = history.state_at(At::After(EventIndex(index)));
            let at = index as usize;
            prop_assert_eq!(state.counters.allocated, Bytes(books.allocated as u64));
            prop_assert_eq!(state.counters.active, Bytes(books.active as u64));
            prop_assert_eq!(state.counters.reserved, Bytes(books.reserved as u64));
            prop_assert_eq!(state.live.len(), books.blocks);
            prop_assert_eq!(timeline.allocated[at], books.allocated as u64);
            prop_assert_eq!(timeline.active[at], books.active as u64);
            prop_assert_eq!(timeline.reserved[at], books.reserved as u64);
            let before_next = history.state_at(At::Before(EventIndex(index + 1)));
            prop_assert_eq!(before_next, state);
        }
    }

    #[test]
    fn with_a_lost_head_the_timeline_still_agrees_with_the_states(
        steps in proptest::collection::vec((0..8_u8, any::<u32>()), 1..120),
        lost in any::<prop::sample::Index>(),
    ) {
        let allocator = run(&steps);
        let lost = lost.index(allocator.trace.len() + 1);
        let snapshot = read(&allocator.dump(lost)).expect("the file is whole");
        let history = history(&snapshot, DeviceId(0));
        let timeline = history.timeline();
        for (books, index) in allocator.books.iter().skip(lost).zip(0_u32..) {
            let state = history.state_at(At::After(EventIndex(index))).counters;
            let at = index as usize;
            prop_assert_eq!(state.allocated, Bytes(timeline.allocated[at]));
            prop_assert_eq!(state.active, Bytes(timeline.active[at]));
            prop_assert_eq!(state.reserved, Bytes(timeline.reserved[at]));
            // Older blocks that are freed in the trace are known by their request alone.
            prop_assert_eq!(state.reserved, Bytes(books.reserved as u64));
        }
    }
}
