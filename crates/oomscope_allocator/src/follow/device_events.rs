//! Whose device events are they? A trace lists what happened, not who caused it.

use std::ops::Range;

use oomscope_model::{Event, EventKind, StackId};
use rustc_hash::FxHashSet;

use crate::faults::FaultKind;
use crate::follow::Follower;
use crate::pool::PoolId;
use crate::program::{Lane, Step};
use crate::trace::Trace;

impl<T: Trace + ?Sized> Follower<'_, T> {
    /// A run of device events: of the request that follows, or of an emptied cache.
    pub(super) fn device_events(&mut self, at: usize) -> usize {
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
    pub(super) fn unmake(&mut self, step: usize) {
        if let Some(step) = self.program.steps.get_mut(step) {
            *step = Step::Nothing;
        }
    }

    /// Whether the events from `at` on complete all frees that wait: the index after them.
    pub(super) fn flush_at(&mut self, at: usize) -> Option<usize> {
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
    pub(super) fn forget(&mut self, completed: Range<usize>) {
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
    pub(super) fn flush(&mut self, at: usize) -> Option<usize> {
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
    pub(super) fn retire(&mut self, from: usize, to: usize, asking: PoolId) {
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
    pub(super) fn note_pool(&mut self, from: usize, to: usize, pool: PoolId) {
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

    pub(super) fn empty_cache(&mut self, at: usize, end: usize) -> usize {
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
}
