//! What was held before the first event, and what later events tell of it.

use oomscope_model::EventKind;

use crate::allocator::{Lesson, Request, StartSegment, sound};
use crate::faults::FaultKind;
use crate::follow::{Follower, Live};
use crate::trace::Trace;

/// How often a later event corrected what was assumed of the state that a trace began with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// Blocks that are larger than their requests say.
    pub sizes: u64,
    /// Segments that are older than was assumed.
    pub ages: u64,
}

impl<T: Trace + ?Sized> Follower<'_, T> {
    pub(super) fn begin(&mut self, start: &[StartSegment]) {
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

    /// Brings what a late start leaves open in line with how a request was served.
    pub(super) fn reconcile(&mut self, from: usize, at: usize, request: Request) {
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
    pub(super) fn reconcile_release(&mut self, from: usize, to: usize) {
        if self.program.start.is_empty() {
            return;
        }
        let events = (from..to).filter_map(|index| self.trace.event(index));
        let freed = events.filter(|event| event.kind == EventKind::SegmentFree);
        let addrs: Vec<u64> = freed.map(|event| event.addr).collect();
        let (start, learned) = (&mut self.program.start, &mut self.learned);
        self.allocator.reconcile_release(&addrs, |lesson| take_in(lesson, start, learned));
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
