//! Runs the model beside a recorded trace: does it decide as PyTorch did, and what did the program
//! ask for?
//!
//! A trace lists what happened, not who caused it. A run of device events before a request belongs
//! to the request, unless the cache could have served it or the stacks tell otherwise: then the
//! program emptied the cache before.

mod beginning;
mod device_events;

use std::collections::BTreeMap;

use oomscope_model::{Event, EventKind};
use rustc_hash::FxHashMap;

use crate::allocator::{Allocator, Request, Rules, StartSegment};
use crate::block::BlockId;
use crate::counters::Counters;
use crate::faults::{FaultKind, Faults};
use crate::layout::Layout;
use crate::limits::Limits;
use crate::pool::PoolId;
use crate::program::{Lane, Program, Step};
use crate::recorded::{Divergence, Recorded};
use crate::release::Release;
use crate::rounding::LARGEST;
use crate::settings::Settings;
use crate::trace::Trace;

pub use beginning::Learned;

/// How a trace was recorded.
#[derive(Clone, Debug)]
pub struct Setup<'s> {
    /// The allocator's settings.
    pub settings: Settings,
    /// The PyTorch release.
    pub release: Release,
    /// Bytes that the process was allowed to hold, `set_per_process_memory_fraction`; `None` for
    /// no cap. Only garbage collection depends on it here.
    pub allowed: Option<u64>,
    /// What was held before the first event, by address; empty for a complete trace.
    pub start: &'s [StartSegment],
}

/// What a trace says, read with the model.
#[derive(Clone, Debug)]
pub struct Followed {
    /// What the program asked for.
    pub program: Program,
    /// The first event at which the model decides otherwise; `None` when it agrees throughout.
    pub divergence: Option<Divergence>,
    /// Events that cannot be.
    pub faults: Faults,
    /// What was open about the beginning, and the trace settled.
    pub learned: Learned,
    /// What the device was seen to give and to refuse.
    pub limits: Limits,
    /// The model's counters after the last event, or at the divergence.
    pub counters: Counters,
    /// The model's segments and blocks after the last event, or at the divergence.
    pub layout: Layout,
}

/// Runs the model beside `trace`.
pub fn follow<T: Trace + ?Sized>(trace: &T, setup: &Setup<'_>) -> Followed {
    let rules = Rules {
        settings: setup.settings.clone(),
        release: setup.release,
        allowed: setup.allowed,
        device_total: LARGEST,
    };
    let mut follower = Follower::new(trace, rules);
    follower.begin(setup.start);
    let mut at = 0;
    while let Some(event) = trace.event(at) {
        at = follower.step(at, event).max(at + 1);
        #[cfg(any(test, feature = "check"))]
        if follower.world.divergence.is_none() {
            follower.allocator.check();
        }
    }
    follower.finish()
}

/// A live block.
#[derive(Clone, Copy)]
struct Live {
    slot: u32,
    block: BlockId,
    /// The allocator's count of flushes when the program gave the block up.
    given_up: Option<u32>,
}

struct Follower<'t, T: ?Sized> {
    trace: &'t T,
    world: Recorded<'t, T>,
    allocator: Allocator,
    live: FxHashMap<u64, Live>,
    vacant: Vec<u32>,
    lanes: FxHashMap<Lane, u16>,
    last_lane: Option<(Lane, u16)>,
    /// Memory of private pools, by address: its end, its pool.
    private: BTreeMap<u64, (u64, PoolId)>,
    program: Program,
    faults: Faults,
    limits: Limits,
    /// Steps that emptied the cache, unless the device refused the request after it.
    doubtful: Vec<(usize, u64)>,
    learned: Learned,
    /// Up to where completed frees were looked at for [`Follower::flush_at`].
    flush_seen: usize,
    last_time: u64,
    /// Whether the trace has `free_requested` events: `skip_actions` may leave them out.
    records_releases: bool,
}

impl<'t, T: Trace + ?Sized> Follower<'t, T> {
    fn new(trace: &'t T, rules: Rules) -> Follower<'t, T> {
        Follower {
            trace,
            world: Recorded::new(trace),
            allocator: Allocator::new(rules),
            live: FxHashMap::default(),
            vacant: Vec::new(),
            lanes: FxHashMap::default(),
            last_lane: None,
            private: BTreeMap::new(),
            program: Program::default(),
            faults: Faults::default(),
            limits: Limits::default(),
            doubtful: Vec::new(),
            learned: Learned::default(),
            flush_seen: 0,
            last_time: 0,
            records_releases: false,
        }
    }

    /// Deals with the event at `at` and those that belong to it; the index after them.
    fn step(&mut self, at: usize, event: Event) -> usize {
        self.note_time(at, event);
        match event.kind {
            EventKind::Alloc => self.alloc(at, at, event),
            EventKind::Oom => self.oom(at, at, event),
            EventKind::FreeRequested => self.free_requested(at, event),
            EventKind::FreeCompleted => self.free_completed(at, event),
            EventKind::SegmentAlloc
            | EventKind::SegmentFree
            | EventKind::SegmentMap
            | EventKind::SegmentUnmap => self.device_events(at),
            EventKind::Snapshot | EventKind::Other => at + 1,
        }
    }

    fn note_time(&mut self, at: usize, event: Event) {
        let Some(time) = event.time_us else { return };
        if time < self.last_time {
            self.faults.add(FaultKind::TimeGoesBack, at);
        }
        self.last_time = time;
    }

    fn request_of(&self, at: usize, event: Event) -> Request {
        Request { size: event.size.0, stream: event.stream, pool: self.trace.pool(at) }
    }

    /// A request that was served by the event `at`; its device events begin at `from`.
    fn alloc(&mut self, from: usize, at: usize, event: Event) -> usize {
        let request = self.request_of(at, event);
        if request.size >= LARGEST {
            self.faults.add(FaultKind::Size, at);
            return at + 1;
        }
        if let Some(old) = self.live.get(&event.addr).copied() {
            self.faults.add(FaultKind::Overlap, at);
            self.end_of(event.addr, old, at);
        }
        let block = self.ask(from, at, request);
        if self.world.divergence.is_none() {
            match block.map(|block| self.allocator.blocks[block].addr) {
                Some(addr) if addr == event.addr => {}
                Some(addr) => self.world.diverge(EventKind::Alloc, addr, request.size),
                None => self.world.diverge(EventKind::Oom, 0, request.size),
            }
        }
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.program.slots += 1;
            self.program.slots - 1
        });
        let lane = self.lane(Lane { stream: request.stream, pool: request.pool });
        self.push(Step::Alloc { slot, lane, size: request.size }, from);
        self.program.requests += 1;
        let block = block.unwrap_or(BlockId::NONE);
        self.live.insert(event.addr, Live { slot, block, given_up: None });
        at + 1
    }

    /// A request that failed.
    fn oom(&mut self, from: usize, at: usize, event: Event) -> usize {
        let request = self.request_of(at, event);
        let block = self.ask(from, at, request);
        if self.world.divergence.is_none()
            && let Some(block) = block
        {
            let addr = self.allocator.blocks[block].addr;
            self.world.diverge(EventKind::Alloc, addr, request.size);
        }
        let segment = self.allocator.rules.obtains(request.size);
        self.limits.fail(segment, event.addr);
        let lane = self.lane(Lane { stream: request.stream, pool: request.pool });
        self.push(Step::Failed { lane, size: request.size }, from);
        self.program.requests += 1;
        at + 1
    }

    /// Has the model serve a request with the device events from `from` to `at`.
    fn ask(&mut self, from: usize, at: usize, request: Request) -> Option<BlockId> {
        if self.world.divergence.is_some() {
            return None;
        }
        self.world.at = from;
        self.reconcile(from, at, request);
        let block = self.allocator.malloc(request, &mut self.world);
        if self.world.at != at {
            self.world.diverge(EventKind::Alloc, 0, request.size);
        }
        self.note_pool(from, at, request.pool);
        block
    }

    fn free_requested(&mut self, at: usize, event: Event) -> usize {
        self.records_releases = true;
        let Some(live) = self.live.get(&event.addr).copied() else {
            self.faults.add(FaultKind::UnknownAddress, at);
            return at + 1;
        };
        if live.given_up.is_some() {
            self.faults.add(FaultKind::FreedTwice, at);
            return at + 1;
        }
        let next = self.trace.event(at + 1);
        // With another stack, it is a later request that completes it.
        let is_completed = next.is_some_and(|next| {
            next.kind == EventKind::FreeCompleted
                && next.addr == event.addr
                && next.stack == event.stack
        });
        if is_completed {
            self.end_of(event.addr, live, at);
            return at + 2;
        }
        self.push(Step::GiveUp { slot: live.slot }, at);
        if self.world.divergence.is_none() {
            self.allocator.give_up(live.block);
        }
        let given_up = Some(self.allocator.flushes);
        self.live.insert(event.addr, Live { given_up, ..live });
        at + 1
    }

    fn free_completed(&mut self, at: usize, event: Event) -> usize {
        let Some(live) = self.live.get(&event.addr).copied() else {
            self.faults.add(FaultKind::UnknownAddress, at);
            return at + 1;
        };
        if live.given_up.is_none() {
            // A recording may begin between the two events of a block that is older.
            let block = live.block.some().map(|block| &self.allocator.blocks[block]);
            if !block.is_some_and(|block| block.is_old) {
                self.faults.add(FaultKind::CompletedUnasked, at);
            }
        } else if let Some(next) = self.flush(at) {
            return next;
        }
        self.end_of(event.addr, live, at);
        at + 1
    }

    /// A block's life ends.
    fn end_of(&mut self, addr: u64, live: Live, at: usize) {
        let follows = self.world.divergence.is_none() && live.block != BlockId::NONE;
        if let Some(flushes) = live.given_up {
            self.push(Step::Complete { slot: live.slot }, at);
            if follows && flushes == self.allocator.flushes {
                self.allocator.complete(live.block);
            }
        } else {
            self.push(Step::Free { slot: live.slot }, at);
            if follows {
                self.allocator.free(live.block);
            }
        }
        self.live.remove(&addr);
        self.vacant.push(live.slot);
    }

    fn push(&mut self, step: Step, at: usize) {
        self.program.steps.push(step);
        self.program.events.push(u32::try_from(at).unwrap_or(u32::MAX));
    }

    fn lane(&mut self, lane: Lane) -> u16 {
        if let Some((last, number)) = self.last_lane
            && last == lane
        {
            return number;
        }
        let next = u16::try_from(self.program.lanes.len()).unwrap_or(u16::MAX);
        let number = *self.lanes.entry(lane).or_insert_with(|| {
            // More streams than any program has: the rest shares the last lane.
            if next < u16::MAX {
                self.program.lanes.push(lane);
            }
            next.min(u16::MAX - 1)
        });
        self.last_lane = Some((lane, number));
        number
    }

    fn finish(mut self) -> Followed {
        if !self.records_releases {
            self.faults.kinds.retain(|fault| fault.kind != FaultKind::CompletedUnasked);
        }
        // A release before a request that fitted after all was the program's own.
        let capacity = self.limits.capacity();
        for (step, refused) in std::mem::take(&mut self.doubtful) {
            let was_refused = match capacity {
                Some(capacity) => refused > capacity,
                None => refused > self.limits.granted,
            };
            if was_refused {
                self.limits.refuse(refused);
                self.unmake(step);
            }
        }
        let layout = self.allocator.layout();
        Followed {
            counters: self.allocator.counters,
            layout,
            program: self.program,
            divergence: self.world.divergence,
            faults: self.faults,
            learned: self.learned,
            limits: self.limits,
        }
    }
}
