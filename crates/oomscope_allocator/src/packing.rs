//! How much is unavoidable: what is live at once, and what the same blocks take when they are
//! packed without pools, streams or segments.

use crate::arena::Arena;
use crate::block::BlockId;
use crate::program::{Program, Step};
use crate::rounding::Rounding;

/// Bounds of what a program needs, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// The most that was live at once, in blocks of 512 bytes. A request that failed and ended the
    /// recording counts; one that the program survived does not. No allocator can do with less.
    pub live: u64,
    /// What the same blocks take for the same lifetimes, packed by best fit with those that live
    /// long apart from the others: an estimate of perfect packing, from above.
    pub packed: u64,
}

/// Blocks that live for more than this part of the run live long: each is tried, the first has
/// none apart.
const LONG: [u64; 4] = [1, 4, 16, 64];

/// Packs all blocks of a program, each for its life.
pub fn need(program: &Program) -> Need {
    let lives = lives(program);
    let packings = LONG.map(|part| packed(program, &lives, lives.len() as u64 / part));
    let live = packings.first().map_or(0, |(live, _)| *live);
    let packed = packings.into_iter().map(|(_, packed)| packed).min().unwrap_or_default();
    Need { live, packed }
}

/// For each change that takes a block, for how many changes it lives.
fn lives(program: &Program) -> Vec<u32> {
    let mut lives: Vec<u32> = Vec::new();
    let mut taken = vec![None::<usize>; program.slots as usize];
    for (at, change) in changes(program).enumerate() {
        lives.push(u32::MAX);
        match change {
            Change::Take(slot, _) => {
                if let Some(place) = taken.get_mut(slot as usize) {
                    *place = Some(at);
                }
            }
            Change::Give(slot) => {
                let begin = taken.get_mut(slot as usize).and_then(Option::take);
                if let Some(begin) = begin
                    && let Some(life) = lives.get_mut(begin)
                {
                    *life = u32::try_from(at - begin).unwrap_or(u32::MAX);
                }
            }
            Change::Touch(_) | Change::Nothing => {}
        }
    }
    lives
}

/// The most that is live, and what the blocks take with those apart that live for more than
/// `long` changes.
fn packed(program: &Program, lives: &[u32], long: u64) -> (u64, u64) {
    let (mut short_lived, mut long_lived) = (Arena::new(), Arena::new());
    let mut slots = vec![(BlockId::NONE, false); program.slots as usize];
    let rounding = Rounding::default();
    let (mut live, mut most_live, mut most) = (0_u64, 0_u64, 0_u64);
    for (change, life) in changes(program).zip(lives) {
        let is_long = u64::from(*life) > long && long < lives.len() as u64;
        let mut touched = 0;
        match change {
            Change::Take(slot, size) => {
                let size = rounding.block_size(size);
                if let Some(place) = slots.get_mut(slot as usize) {
                    live = live.saturating_add(size);
                    let arena = if is_long { &mut long_lived } else { &mut short_lived };
                    *place = (arena.take(size), is_long);
                }
            }
            Change::Give(slot) => {
                let place = slots.get_mut(slot as usize);
                let nothing = (BlockId::NONE, false);
                let held = place.map(|place| std::mem::replace(place, nothing));
                if let Some((block, is_long)) = held.filter(|held| held.0 != BlockId::NONE) {
                    let arena = if is_long { &mut long_lived } else { &mut short_lived };
                    live = live.saturating_sub(arena.size(block));
                    arena.give(block);
                }
            }
            Change::Touch(size) => {
                touched = rounding.block_size(size);
                if let Some(block) = short_lived.take(touched).some() {
                    most = most.max(short_lived.top().saturating_add(long_lived.top()));
                    short_lived.give(block);
                }
            }
            Change::Nothing => {}
        }
        most_live = most_live.max(live.saturating_add(touched));
        most = most.max(short_lived.top().saturating_add(long_lived.top()));
    }
    (most_live, most)
}

/// What a program takes and gives, what it began with first.
fn changes(program: &Program) -> impl Iterator<Item = Change> {
    let held = program.start.iter().flat_map(|segment| &segment.blocks);
    let start = held.zip(0_u32..).map(|(block, slot)| Change::Take(slot, block.asked()));
    let last = program.requests;
    let mut requests = 0;
    let asked = program.steps.iter().map(move |step| {
        requests += u64::from(matches!(step, Step::Alloc { .. } | Step::Failed { .. }));
        match *step {
            Step::Alloc { slot, size, .. } => Change::Take(slot, size),
            Step::Free { slot } | Step::Complete { slot } => Change::Give(slot),
            Step::Failed { size, .. } if requests == last => Change::Touch(size),
            _ => Change::Nothing,
        }
    });
    start.chain(asked)
}

#[derive(Clone, Copy)]
enum Change {
    Take(u32, u64),
    Give(u32),
    Touch(u64),
    Nothing,
}
