//! Runs the model beside a recorded trace: does it decide as PyTorch did, and what did the program
//! ask for?
//!
//! A trace lists what happened, not who caused it. A run of device events before a request belongs
//! to the request, unless the cache could have served it or the stacks tell otherwise: then the
//! program emptied the cache before.

use std::collections::BTreeMap;
use std::ops::Range;

use oomscope_model::{Event, EventKind, StackId};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::allocator::{Allocator, Lesson, Request, Rules, StartSegment, sound};
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
    /// What was open about the beginning, and the trace settled.
    pub learned: Learned,
    /// What the device was seen to give and to refuse.
    pub limits: Limits,
    /// The model's counters after the last event, or at the divergence.
    pub counters: Counters,
    /// The model's segments and blocks after the last event, or at the divergence.
    pub layout: Layout,
}

/// How often a later event corrected what was assumed of the state that a trace began with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// Blocks that are larger than their requests say.
    pub sizes: u64,
    /// Segments that are older than was assumed.
    pub ages: u64,
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
        }
    }

    fn begin(&mut self, start: &[StartSegment]) {
        let (mut start, left_out) = sound(start);
        for (segment, age) in start.iter_mut().rev().zip(1_u32..) {
            if segment.age == 0 {
                segment.age = age;
            }
        }
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
        self.private.extend(private.map(|segment| {
            let end = segment.addr.saturating_add(segment.size);
            (segment.addr, (end, segment.pool))
        }));
        self.program.settings = self.allocator.rules.settings.clone();
        self.program.start = start;
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
        let stack = |index: usize| self.trace.event(index).map(|event| event.stack);
        let begin = stack(at);
        let is_same = |index: usize| is_release(kind(index)) && stack(index) == begin;
        let frees_end = (at..len).find(|index| !is_same(*index)).unwrap_or(len);
        let run_end = |from: usize| (from..len).find(|index| !is_device(kind(*index)));
        let mut end = run_end(frees_end).unwrap_or(len);
        // Garbage was collected, then all frees that waited were completed for the same request.
        let completed = end..self.flush_at(end).unwrap_or(end);
        let after = kind(completed.end);
        if !completed.is_empty() && (is_release(after) || after == Some(EventKind::Oom)) {
            end = run_end(completed.end).unwrap_or(len);
        }
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
        let mut release = None;
        if frees_end > at {
            let origin = self.trace.event(at).map_or(StackId::NONE, |event| event.stack);
            let is_same = origin == request.stack;
            let is_told = origin != StackId::NONE && request.stack != StackId::NONE;
            let wanted = self.request_of(end, request);
            let by_cache = !self.allocator.rules.retries(wanted.pool)
                || self.world.divergence.is_none() && self.allocator.has_block_for(wanted);
            if if is_told { !is_same } else { by_cache } {
                return self.empty_cache(at, frees_end);
            }
            let segment = self.allocator.rules.obtains(request.size.0);
            let refused = self.limits.reserved.saturating_add(segment);
            release = Some((is_told, self.program.steps.len(), refused));
            if !is_told {
                self.push(Step::EmptyCache, at);
            }
        }
        if end > completed.start {
            self.forget(completed);
        }
        self.limits.apply(self.trace, at, end);
        self.retire(at, end, self.trace.pool(end));
        self.note_time(end, request);
        let refusals = self.allocator.refusals;
        let next = match request.kind {
            EventKind::Alloc => self.alloc(at, end, request),
            _ => self.oom(at, end, request),
        };
        let is_garbage = self.world.divergence.is_none() && self.allocator.refusals == refusals;
        match release {
            Some((false, step, _)) if is_garbage => self.unmake(step),
            Some((false, step, refused)) => self.doubtful.push((step, refused)),
            Some((true, _, refused)) if !is_garbage => self.limits.refuse(refused),
            _ => {}
        }
        next
    }

    /// A step was the allocator's own.
    fn unmake(&mut self, step: usize) {
        if let Some(step) = self.program.steps.get_mut(step) {
            *step = Step::Nothing;
        }
    }

    /// Whether the events from `at` on complete all frees that wait: the index after them.
    fn flush_at(&mut self, at: usize) -> Option<usize> {
        let waiting = self.allocator.waiting();
        let end = at + waiting;
        let is_completed = |index: usize| {
            self.trace.event(index).filter(|event| event.kind == EventKind::FreeCompleted)
        };
        let is_run = waiting > 0
            && self.world.divergence.is_none()
            && at >= self.flush_seen
            && is_completed(end - 1).is_some()
            && is_completed(end).is_none();
        if !is_run {
            return None;
        }
        self.flush_seen = end;
        let mut seen = FxHashSet::default();
        let mut waits = |event: Event| {
            let live = self.live.get(&event.addr);
            live.is_some_and(|live| live.given_up == Some(self.allocator.flushes))
                && seen.insert(event.addr)
        };
        (at..end).map(is_completed).all(|event| event.is_some_and(&mut waits)).then_some(end)
    }

    /// Frees that the allocator itself completes, for a request.
    fn forget(&mut self, completed: Range<usize>) {
        for at in completed {
            let addr = self.trace.event(at).map(|event| event.addr);
            if let Some(live) = addr.and_then(|addr| self.live.remove(&addr)) {
                self.push(Step::Complete { slot: live.slot }, at);
                self.vacant.push(live.slot);
            }
        }
    }

    /// All frees that wait are completed by a request that the device refused: `at` is the first.
    /// `None` where the program's streams were done with them before it.
    fn flush(&mut self, at: usize) -> Option<usize> {
        let flushed = self.flush_at(at)?;
        let len = self.trace.len();
        let kind = |index: usize| self.trace.event(index).map(|event| event.kind);
        let is_device = |index: &usize| {
            use EventKind::{SegmentAlloc, SegmentFree, SegmentMap, SegmentUnmap};
            matches!(kind(*index), Some(SegmentAlloc | SegmentFree | SegmentMap | SegmentUnmap))
        };
        let end = (flushed..len).find(|index| !is_device(index)).unwrap_or(len);
        let request = self.trace.event(end)?;
        let is_refused = match request.kind {
            EventKind::Oom => true,
            EventKind::Alloc => {
                matches!(kind(flushed), Some(EventKind::SegmentFree | EventKind::SegmentUnmap))
            }
            _ => false,
        };
        let origin = self.trace.event(flushed)?.stack;
        let wanted = self.request_of(end, request);
        if !is_refused || origin != request.stack || !self.allocator.flushes_first(wanted) {
            return None;
        }
        self.forget(at..flushed);
        self.limits.apply(self.trace, flushed, end);
        self.retire(flushed, end, wanted.pool);
        Some(match request.kind {
            EventKind::Alloc => self.alloc(at, end, request),
            _ => self.oom(at, end, request),
        })
    }

    /// Memory of a private pool goes back only when its graph is gone, but for a request of its own.
    fn retire(&mut self, from: usize, to: usize, asking: PoolId) {
        if self.private.is_empty() {
            return;
        }
        for at in from..to {
            let Some(event) = self.trace.event(at) else { return };
            let Some((&begin, &(end, pool))) = self.private.range(..=event.addr).next_back() else {
                continue;
            };
            let is_release = matches!(event.kind, EventKind::SegmentFree | EventKind::SegmentUnmap);
            if !is_release || event.addr >= end {
                continue;
            }
            if pool != asking {
                self.allocator.retire_pool(pool);
                let lane = self.lane(Lane { stream: 0, pool });
                self.push(Step::RetirePool { lane }, at);
            }
            if event.kind == EventKind::SegmentFree {
                self.private.remove(&begin);
            }
        }
    }

    /// Notes whose memory the events from `from` to `to` obtained.
    fn note_pool(&mut self, from: usize, to: usize, pool: PoolId) {
        if pool == (0, 0) && self.private.is_empty() {
            return;
        }
        for event in (from..to).filter_map(|index| self.trace.event(index)) {
            if !matches!(event.kind, EventKind::SegmentAlloc | EventKind::SegmentMap) {
                continue;
            }
            let end = event.addr.saturating_add(event.size.0);
            let before: Vec<u64> = self
                .private
                .range(event.addr..end.max(event.addr))
                .map(|(addr, _)| *addr)
                .collect();
            for addr in before {
                self.private.remove(&addr);
            }
            if pool != (0, 0) {
                self.private.insert(event.addr, (end, pool));
            }
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

    /// Brings what a late start leaves open in line with how a request was served.
    fn reconcile(&mut self, from: usize, at: usize, request: Request) {
        if self.program.start.is_empty() {
            return;
        }
        let Some(event) = self.trace.event(at).filter(|event| event.kind == EventKind::Alloc)
        else {
            return;
        };
        let addr = (from == at).then_some(event.addr);
        let (start, learned) = (&mut self.program.start, &mut self.learned);
        self.allocator.reconcile(request, addr, |lesson| take_in(lesson, start, learned));
        self.reconcile_release(from, at);
    }

    /// The same for segments that are given back from `from` to `to`.
    fn reconcile_release(&mut self, from: usize, to: usize) {
        if self.program.start.is_empty() {
            return;
        }
        let events = (from..to).filter_map(|index| self.trace.event(index));
        let freed = events.filter(|event| event.kind == EventKind::SegmentFree);
        let addrs: Vec<u64> = freed.map(|event| event.addr).collect();
        let (start, learned) = (&mut self.program.start, &mut self.learned);
        self.allocator.reconcile_release(&addrs, |lesson| take_in(lesson, start, learned));
    }

    fn empty_cache(&mut self, at: usize, end: usize) -> usize {
        self.retire(at, end, (0, 0));
        self.push(Step::EmptyCache, at);
        self.limits.apply(self.trace, at, end);
        if self.world.divergence.is_none() {
            self.world.at = at;
            self.reconcile_release(at, end);
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
            self.faults.add(FaultKind::CompletedUnasked, at);
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

/// Corrects the beginning.
fn take_in(lesson: Lesson, start: &mut [StartSegment], learned: &mut Learned) {
    match lesson {
        Lesson::Size { addr, size } => {
            learned.sizes += 1;
            let after = start.partition_point(|segment| segment.addr <= addr);
            let segment = after.checked_sub(1).and_then(|at| start.get_mut(at));
            let mut blocks = segment.into_iter().flat_map(|segment| &mut segment.blocks);
            if let Some(block) = blocks.find(|block| block.addr == addr) {
                block.size = size;
            }
        }
        Lesson::Age { older, younger } => {
            learned.ages += 1;
            let place = |addr| start.binary_search_by_key(&addr, |segment| segment.addr).ok();
            if let (Some(older), Some(younger)) = (place(older), place(younger))
                && let (Some(first), Some(second)) = (start.get(older), start.get(younger))
            {
                let ages = (first.age, second.age);
                start[older].age = ages.1;
                start[younger].age = ages.0;
            }
        }
    }
}
