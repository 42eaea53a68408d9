//! Runs the model beside a recorded trace: does it decide as PyTorch did, and what did the program
//! ask for?
//!
//! A trace lists what happened, not who caused it. A run of device events before a request belongs
//! to the request, unless the cache could have served it or the stacks tell otherwise: then the
//! program emptied the cache before.

use oomscope_model::{Event, EventKind, StackId};
use rustc_hash::FxHashMap;

use crate::allocator::{Allocator, Request, Rules, StartSegment, sound};
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
    /// Segments of private pools, by address.
    private: FxHashMap<u64, PoolId>,
    program: Program,
    faults: Faults,
    limits: Limits,
    /// Steps that emptied the cache, unless the device refused the request after it.
    doubtful: Vec<(usize, u64)>,
    last_time: u64,
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
            private: FxHashMap::default(),
            program: Program::default(),
            faults: Faults::default(),
            limits: Limits::default(),
            doubtful: Vec::new(),
            last_time: 0,
        }
    }

    fn begin(&mut self, start: &[StartSegment]) {
        let (start, left_out) = sound(start);
        let (live, program) = (&mut self.live, &mut self.program);
        self.allocator.import(&start, |held, block| {
            let slot = program.slots;
            program.slots += 1;
            let given_up = held.is_pending.then_some(0);
            live.insert(held.addr, Live { slot, block, given_up });
        });
        self.faults.add_many(FaultKind::Start, left_out);
        self.limits.grant(self.allocator.counters.reserved);
        let private = start.iter().filter(|segment| segment.pool != (0, 0));
        self.private.extend(private.map(|segment| (segment.addr, segment.pool)));
        self.program.start = start;
    }

    /// Deals with the event at `at` and those that belong to it; the index after them.
    fn step(&mut self, at: usize, event: Event) -> usize {
        if let Some(time) = event.time_us {
            if time < self.last_time {
                self.faults.add(FaultKind::TimeGoesBack, at);
            }
            self.last_time = time;
        }
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

    /// A run of device events: of the request that follows, or of an emptied cache.
    fn device_events(&mut self, at: usize) -> usize {
        let kind = |index: usize| self.trace.event(index).map(|event| event.kind);
        let is_release =
            |kind| matches!(kind, Some(EventKind::SegmentFree | EventKind::SegmentUnmap));
        let is_device = |kind| {
            is_release(kind)
                || matches!(kind, Some(EventKind::SegmentAlloc | EventKind::SegmentMap))
        };
        let len = self.trace.len();
        let frees_end = (at..len).find(|index| !is_release(kind(*index))).unwrap_or(len);
        let end = (frees_end..len).find(|index| !is_device(kind(*index))).unwrap_or(len);
        let terminal = self.trace.event(end);
        let request =
            terminal.filter(|event| matches!(event.kind, EventKind::Alloc | EventKind::Oom));
        let Some(request) = request else {
            if frees_end > at {
                return self.empty_cache(at, frees_end);
            }
            self.faults.add(FaultKind::SegmentWithoutRequest, at);
            self.limits.apply(self.trace, at, end);
            self.world.at = at;
            self.world.diverge(EventKind::Other, 0, 0);
            return end;
        };
        if frees_end > at {
            let origin = self.trace.event(at).map_or(StackId::NONE, |event| event.stack);
            let is_same = origin == request.stack;
            let is_told = origin != StackId::NONE && request.stack != StackId::NONE;
            let wanted = self.request_of(end, request);
            let by_cache = self.world.divergence.is_none() && self.allocator.has_block_for(wanted);
            if if is_told { !is_same } else { by_cache } {
                return self.empty_cache(at, frees_end);
            }
            let size = self.allocator.rules.settings.rounding.block_size(request.size.0);
            let segment = self.allocator.rules.segment_size(size);
            let refused = self.limits.reserved.saturating_add(segment);
            if is_told {
                self.limits.refuse(refused);
            } else {
                self.doubtful.push((self.program.steps.len(), refused));
                self.push(Step::EmptyCache, at);
            }
        }
        self.limits.apply(self.trace, at, end);
        match request.kind {
            EventKind::Alloc => self.alloc(at, end, request),
            _ => self.oom(at, end, request),
        }
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
        let size = self.allocator.rules.settings.rounding.block_size(request.size);
        let segment = self.allocator.rules.segment_size(size);
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
        let block = self.allocator.malloc(request, &mut self.world);
        if self.world.at != at {
            self.world.diverge(EventKind::Alloc, 0, request.size);
        }
        if request.pool != (0, 0) {
            let obtained = (from..at).filter_map(|index| self.trace.event(index));
            let obtained = obtained.filter(|event| event.kind == EventKind::SegmentAlloc);
            self.private.extend(obtained.map(|event| (event.addr, request.pool)));
        }
        block
    }

    fn empty_cache(&mut self, at: usize, end: usize) -> usize {
        for index in at..end {
            let addr = self.trace.event(index).map_or(0, |event| event.addr);
            if let Some(pool) = self.private.remove(&addr) {
                self.allocator.retire_pool(pool);
                let lane = self.lane(Lane { stream: 0, pool });
                self.push(Step::RetirePool { lane }, at);
            }
        }
        self.push(Step::EmptyCache, at);
        self.limits.apply(self.trace, at, end);
        if self.world.divergence.is_none() {
            self.world.at = at;
            self.allocator.release_cached(&mut self.world);
            if self.world.at != end {
                self.world.diverge(EventKind::Other, 0, 0);
            }
        }
        end
    }

    fn free_requested(&mut self, at: usize, event: Event) -> usize {
        let Some(live) = self.live.get(&event.addr).copied() else {
            self.faults.add(FaultKind::UnknownAddress, at);
            return at + 1;
        };
        if live.given_up.is_some() {
            self.faults.add(FaultKind::FreedTwice, at);
            return at + 1;
        }
        let next = self.trace.event(at + 1);
        let is_completed = next
            .is_some_and(|next| next.kind == EventKind::FreeCompleted && next.addr == event.addr);
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
            self.faults.add(FaultKind::CompletedUnasked, at);
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
        // A release before a request that fitted after all was the program's own.
        let capacity = self.limits.capacity();
        for (step, refused) in std::mem::take(&mut self.doubtful) {
            let was_refused = match capacity {
                Some(capacity) => refused > capacity,
                None => refused > self.limits.granted,
            };
            if was_refused {
                self.limits.refuse(refused);
                if let Some(step) = self.program.steps.get_mut(step) {
                    *step = Step::Nothing;
                }
            }
        }
        let layout = self.allocator.layout();
        Followed {
            counters: self.allocator.counters,
            layout,
            program: self.program,
            divergence: self.world.divergence,
            faults: self.faults,
            limits: self.limits,
        }
    }
}
