//! What survives step after step: kept blocks, blocks replaced by larger ones, or, without
//! stacks, a floor that rises.

mod aged;
mod floor;
mod kept;
mod replaced;

use oomscope_model::{Bytes, EventIndex, Growth};
use rustc_hash::FxHashSet;

use super::past::Past;
use super::stacks::PhaseKind;

/// Growth up to the moment, or `None` when memory is flat or the trace cannot tell.
pub(crate) fn find(past: &Past<'_>) -> Option<Growth> {
    let allocated: Bytes = past.live.iter().map(|block| block.size).sum();
    let stepwise = [kept::find(past), replaced::find(past)]
        .into_iter()
        .flatten()
        .max_by_key(|growth| growth.total);
    // A short recording shows steps in part only: then age says more.
    let is_telling = |growth: &Growth| growth.total.share_of(allocated) >= aged::WORTH_SAYING;
    let found = match stepwise {
        Some(growth) if is_telling(&growth) => Some(growth),
        stepwise => aged::find(past).or(stepwise).or_else(|| floor::find(past)),
    };
    found.filter(|growth| growth.total >= least_worth_saying(allocated))
}

/// A few counters and scalars survive in every program: less than this does not matter.
pub(crate) fn least_worth_saying(allocated: Bytes) -> Bytes {
    Bytes(allocated.0.div_ceil(50)).max(Bytes::MIB)
}

/// The periods in which a backward ran.
fn backward_periods(past: &Past<'_>) -> FxHashSet<u32> {
    past.allocations()
        .filter(|(_, event)| past.kind(event.stack) == PhaseKind::Backward)
        .map(|(index, _)| past.period_of(index))
        .collect()
}

/// The last event of a backward or optimizer step after which a forward began: what one step made
/// and its backward frees is younger than this.
fn last_release(past: &Past<'_>) -> Option<EventIndex> {
    let mut last = None;
    let mut released = None;
    for (index, event) in past.allocations() {
        match past.kind(event.stack) {
            PhaseKind::Backward | PhaseKind::Optimizer => last = Some(index),
            PhaseKind::Forward => released = last,
            PhaseKind::Other => {}
        }
    }
    released
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
