//! `backend:cudaMallocAsync`: the driver's own pool. Its source is not public and PyTorch records no
//! trace under it, so this is an estimate: best fit in one address space for all streams, which
//! grows by 32 MiB and keeps what it has until the cache is emptied.

use crate::arena::Arena;
use crate::block::BlockId;
use crate::counters::Counters;
use crate::program::{Program, Step};
use crate::replay::{Capacity, Failure, Outcome, Watch};
use crate::rounding::Rounding;

/// What the pool grows by, bytes: assumed.
const GROWTH: u64 = 32 << 20;

/// Runs a program on the estimated pool.
pub(crate) fn replay(program: &Program, capacity: Capacity, watch: &mut impl Watch) -> Outcome {
    let mut pool = Pool {
        arena: Arena::new(),
        slots: vec![(BlockId::NONE, 0); program.slots as usize],
        counters: Counters::default(),
        available: capacity.available,
    };
    let held = program.start.iter().flat_map(|segment| &segment.blocks);
    for (block, slot) in held.zip(0_u32..) {
        pool.take(Some(slot), block.asked());
    }
    let (mut requests, mut survived, mut avoided) = (0, 0, 0);
    let mut failure = None;
    for (step, event) in program.steps.iter().zip(&program.events) {
        let mut failed = None;
        match *step {
            Step::Alloc { slot, size, .. } => {
                requests += 1;
                failed = (!pool.take(Some(slot), size)).then_some(size);
            }
            Step::Failed { size, .. } => {
                requests += 1;
                if pool.take(None, size) {
                    avoided += 1;
                } else if requests == program.requests {
                    failed = Some(size);
                } else {
                    survived += 1;
                }
            }
            Step::Free { slot } | Step::Complete { slot } => pool.give(slot),
            Step::EmptyCache => pool.trim(),
            Step::GiveUp { .. } | Step::RetirePool { .. } | Step::Nothing => {}
        }
        watch.step(*event, &pool.counters);
        if let Some(size) = failed {
            pool.counters.ooms += 1;
            let Counters { reserved, active, .. } = pool.counters;
            failure =
                Some(Failure { request: requests - 1, event: *event, size, reserved, active });
            break;
        }
    }
    Outcome { counters: pool.counters, failure, survived, avoided, segments: 1 }
}

struct Pool {
    arena: Arena,
    /// Blocks with the bytes that were asked for.
    slots: Vec<(BlockId, u64)>,
    counters: Counters,
    available: u64,
}

impl Pool {
    /// Takes a block; into no slot, it is given back at once. Whether there was room.
    fn take(&mut self, slot: Option<u32>, requested: u64) -> bool {
        let size = Rounding::default().block_size(requested);
        let Some(block) = self.arena.take(size).some() else { return false };
        let wanted = self.arena.top().next_multiple_of(GROWTH);
        if wanted > self.available {
            self.arena.give(block);
            return false;
        }
        if let Some(more) = wanted.checked_sub(self.counters.reserved).filter(|more| *more > 0) {
            self.counters.obtain(more);
        }
        match slot.and_then(|slot| self.slots.get_mut(slot as usize)) {
            Some(place) => {
                *place = (block, requested);
                self.counters.hold(size, requested);
            }
            None => self.arena.give(block),
        }
        true
    }

    fn give(&mut self, slot: u32) {
        let Some(place) = self.slots.get_mut(slot as usize) else { return };
        let (block, requested) = std::mem::replace(place, (BlockId::NONE, 0));
        if let Some(block) = block.some() {
            let size = self.arena.size(block);
            self.counters.give_up(size);
            self.counters.release(size, requested);
            self.arena.give(block);
        }
    }

    /// `cudaMemPoolTrimTo`: what lies above the last block goes back.
    fn trim(&mut self) {
        let kept = self.arena.top().next_multiple_of(GROWTH);
        if let Some(less) = self.counters.reserved.checked_sub(kept).filter(|less| *less > 0) {
            self.counters.give_back(less);
        }
    }
}
