//! Blocks that each step replaces by larger ones, as a cache that is concatenated: no old block
//! is live, but the floor of live bytes rises and the blocks of a stack get larger.

use crate::LiveBlock;
use oomscope_model::{Bytes, Growth, StackId};
use rustc_hash::{FxHashMap, FxHashSet};

use super::{backward_periods, median, rising_share};
use crate::analysis::past::Past;

/// Fewer periods than this are no series.
const FEWEST_PERIODS: usize = 6;
/// Most steps go up; a few may not.
const RISING: f64 = 0.8;
/// A concatenation holds old and new at the failure, so about half is kept between steps. Longer
/// batches make larger blocks too, but those are gone when the next step starts.
const KEPT_BETWEEN_STEPS: f64 = 0.4;

pub(super) fn find(past: &Past<'_>) -> Option<Growth> {
    let floors: Vec<Bytes> = past
        .periods()
        .starts
        .iter()
        .filter_map(|start| past.timeline().allocated.get(*start as usize).copied().map(Bytes))
        .collect();
    if floors.len() < FEWEST_PERIODS || rising_share(&floors) < RISING {
        return None;
    }
    let growing = growing_stacks(past);
    let blocks: Vec<LiveBlock> =
        past.live.iter().filter(|block| growing.contains(&block.stack)).copied().collect();
    let total: Bytes = blocks.iter().map(|block| block.size).sum();
    if blocks.is_empty() || floors.last()?.share_of(total) < KEPT_BETWEEN_STEPS {
        return None;
    }
    let rises = floors.windows(2).filter_map(|pair| pair.last()?.checked_sub(*pair.first()?));
    Some(Growth {
        periods: past.periods().starts.len() as u32,
        growing_periods: floors.len() as u32,
        per_period: Some(median(rises.collect())),
        total,
        lines: past.holders(&blocks),
        stacks_per_period: growing.len() as u32,
        call_kept_percent: None,
        blocks_get_larger: true,
        backward_ran: backward_periods(past).len() * 2 > floors.len(),
    })
}

/// Stacks of live blocks whose largest block of a period rises from period to period.
fn growing_stacks(past: &Past<'_>) -> FxHashSet<StackId> {
    let held: FxHashSet<StackId> = past
        .live
        .iter()
        .filter(|block| block.size >= Bytes::MIB && past.summary(block.stack).place.is_some())
        .map(|block| block.stack)
        .collect();
    let mut largest: FxHashMap<StackId, Vec<(u32, Bytes)>> = FxHashMap::default();
    for (index, event) in past.allocations().filter(|(_, event)| held.contains(&event.stack)) {
        let period = past.period_of(index);
        let sizes = largest.entry(event.stack).or_default();
        match sizes.last_mut() {
            Some((last, size)) if *last == period => *size = (*size).max(event.size),
            _ => sizes.push((period, event.size)),
        }
    }
    largest
        .into_iter()
        .filter(|(_, sizes)| {
            let sizes: Vec<Bytes> = sizes.iter().map(|(_, size)| *size).collect();
            sizes.len() >= FEWEST_PERIODS && rising_share(&sizes) >= RISING
        })
        .map(|(stack, _)| stack)
        .collect()
}
