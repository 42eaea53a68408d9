//! How much is unavoidable: what is live at once, and what the same blocks take when they are
//! packed into one address space without pools, streams or segments.

use crate::arena::Arena;
use crate::block::BlockId;
use crate::program::{Program, Step};
use crate::rounding::Rounding;

/// Bounds of what a program needs, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// The most that was live at once, in blocks of 512 bytes, a request that failed when it was
    /// recorded included. No allocator can do with less.
    pub live: u64,
    /// What best fit in one address space takes for the same lifetimes: an estimate of perfect
    /// packing from above, which an allocator can reach that knows no future.
    pub packed: u64,
}

/// Packs all blocks of a program, each for its life.
pub fn need(program: &Program) -> Need {
    let mut arena = Arena::new();
    let mut slots = vec![BlockId::NONE; program.slots as usize];
    let rounding = Rounding::default();
    let mut live = 0_u64;
    let mut need = Need::default();
    let held = program.start.iter().flat_map(|segment| &segment.blocks);
    let start = held.zip(0_u32..).map(|(block, slot)| (slot, block.asked()));
    let asked = program.steps.iter().map(|step| match *step {
        Step::Alloc { slot, size, .. } => Change::Take(slot, size),
        Step::Free { slot } | Step::Complete { slot } => Change::Give(slot),
        Step::Failed { size, .. } => Change::Touch(size),
        _ => Change::Nothing,
    });
    for change in start.map(|(slot, size)| Change::Take(slot, size)).chain(asked) {
        match change {
            Change::Take(slot, size) => {
                let size = rounding.block_size(size);
                if let Some(place) = slots.get_mut(slot as usize) {
                    live = live.saturating_add(size);
                    *place = arena.take(size);
                }
            }
            Change::Give(slot) => {
                let block = slots.get_mut(slot as usize);
                if let Some(block) =
                    block.and_then(|block| std::mem::replace(block, BlockId::NONE).some())
                {
                    live = live.saturating_sub(arena.size(block));
                    arena.give(block);
                }
            }
            Change::Touch(size) => {
                let size = rounding.block_size(size);
                need.live = need.live.max(live.saturating_add(size));
                if let Some(block) = arena.take(size).some() {
                    need.packed = need.packed.max(arena.top());
                    arena.give(block);
                }
            }
            Change::Nothing => {}
        }
        need.live = need.live.max(live);
        need.packed = need.packed.max(arena.top());
    }
    need
}

#[derive(Clone, Copy)]
enum Change {
    Take(u32, u64),
    Give(u32),
    Touch(u64),
    Nothing,
}
