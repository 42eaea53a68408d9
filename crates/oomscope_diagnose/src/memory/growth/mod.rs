//! What survives step after step: kept blocks, blocks replaced by larger ones, or, without
//! stacks, a floor that rises.

mod floor;
mod kept;
mod replaced;

use oomscope_model::{Bytes, Growth, Phase};
use rustc_hash::FxHashSet;

use super::past::Past;

/// Growth up to the moment, or `None` when memory is flat or the trace cannot tell.
pub(super) fn find(past: &Past<'_>) -> Option<Growth> {
    let allocated: Bytes = past.live.iter().map(|block| block.size).sum();
    let found = [kept::find(past), replaced::find(past)]
        .into_iter()
        .flatten()
        .max_by_key(|growth| growth.total)
        .or_else(|| floor::find(past));
    // A few counters and scalars survive in every program.
    found.filter(|growth| growth.total.share_of(allocated) >= 0.02 && growth.total >= Bytes::MIB)
}

/// The periods in which a backward ran.
fn backward_periods(past: &Past<'_>) -> FxHashSet<u32> {
    past.allocations()
        .filter(|(_, event)| past.summary(event.stack).phase == Phase::Backward)
        .map(|(index, _)| past.period_of(index))
        .collect()
}

/// What part of the steps from value to value goes up.
fn rising_share(values: &[Bytes]) -> f64 {
    let steps = values.windows(2).count().max(1);
    let rising = values.windows(2).filter(|pair| pair.first() < pair.last()).count();
    rising as f64 / steps as f64
}

fn median<T: Ord + Copy + Default>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}
