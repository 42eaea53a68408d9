//! Blocks of many steps that are all still live.
//!
//! A stack grows when blocks that it made in at least three different periods are live and the
//! oldest of them is old: parameters come from one period, activations from the last, a leak
//! from all of them.

use oomscope_model::{Bytes, EventIndex, Growth, Role, StackId};
use oomscope_snapshot::LiveBlock;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{backward_periods, median};
use crate::memory::past::Past;

/// Fewer periods than this are no series.
const FEWEST_PERIODS: usize = 3;
/// A queue of batches in flight is shorter than this.
const LONGEST_WINDOW: u32 = 16;

/// What is left behind in each step.
#[derive(Default)]
struct Left {
    bytes: Bytes,
    stacks: FxHashSet<StackId>,
}

pub(super) fn find(past: &Past<'_>) -> Option<Growth> {
    let mut survivors = survivors(past);
    let mut left: FxHashMap<u32, Left> = FxHashMap::default();
    for block in &survivors {
        let period = block.allocated_at.map_or(0, |at| past.period_of(at));
        let left = left.entry(period).or_default();
        left.bytes += block.size;
        left.stacks.insert(block.stack);
    }
    survivors.extend(older_ones(past, &survivors));
    if left.is_empty() {
        return None;
    }
    let backward = backward_periods(past);
    let with_backward = left.keys().filter(|period| backward.contains(period)).count();
    Some(Growth {
        periods: past.periods.starts.len() as u32,
        growing_periods: left.len() as u32,
        per_period: median(left.values().map(|left| left.bytes).collect()),
        total: survivors.iter().map(|block| block.size).sum(),
        lines: past.holders(&survivors),
        stacks_per_period: median(left.values().map(|left| left.stacks.len() as u32).collect()),
        blocks_get_larger: false,
        backward_ran: with_backward * 2 > left.len(),
    })
}

/// Live blocks of stacks that left some behind in many periods.
fn survivors(past: &Past<'_>) -> Vec<LiveBlock> {
    let mut periods: FxHashMap<StackId, FxHashSet<u32>> = FxHashMap::default();
    let candidates: Vec<(LiveBlock, EventIndex)> = past
        .live
        .iter()
        .filter(|block| !matches!(past.role_of(block), Role::Parameters | Role::OptimizerState))
        .filter_map(|block| Some((*block, block.allocated_at?)))
        .collect();
    for (block, at) in &candidates {
        periods.entry(block.stack).or_default().insert(past.period_of(*at));
    }
    periods.retain(|_, periods| is_growing(past, periods));
    candidates
        .into_iter()
        .map(|(block, _)| block)
        .filter(|block| periods.contains_key(&block.stack))
        .collect()
}

/// Many periods, and not just the last few.
fn is_growing(past: &Past<'_>, periods: &FxHashSet<u32>) -> bool {
    let last = past.periods.starts.len() as u32;
    let earlier = || periods.iter().filter(|period| **period < last);
    let Some(oldest) = earlier().min() else { return false };
    let restarted = past.periods.restarted.map(|event| past.period_of(EventIndex(event)));
    if restarted.is_some_and(|restarted| *oldest >= restarted) {
        return false;
    }
    earlier().count() >= FEWEST_PERIODS
        && (*oldest <= last / 2 || last.saturating_sub(*oldest) >= LONGEST_WINDOW)
}

/// What was left behind before the recording has no history, but the same sizes.
fn older_ones(past: &Past<'_>, survivors: &[LiveBlock]) -> Vec<LiveBlock> {
    let sizes: FxHashSet<Bytes> =
        survivors.iter().map(|block| block.size).filter(|size| *size >= Bytes::MIB).collect();
    past.live
        .iter()
        .filter(|block| block.allocated_at.is_none() && sizes.contains(&block.size))
        .filter(|block| !past.is_parameter_sized(block))
        .copied()
        .collect()
}
