//! Whether a budget fits a device, and the largest value of a size that does.

use crate::{Architecture, Budget, Device, Interval, Weight, Workload, replayed_budget};

/// Whether a process fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Even at the upper bound.
    Fits,
    /// At the likely value, not at the upper bound.
    Tight,
    /// Not at the likely value.
    DoesNot,
}

/// What the process holds on a device: reserved memory and the context.
pub fn process(budget: &Budget, device: &Device) -> Interval {
    let (least, most) = device.context();
    let Interval { low, likely, high } = budget.reserved;
    Interval {
        low: low.saturating_add(least),
        likely: likely.saturating_add(u64::midpoint(least, most)),
        high: high.saturating_add(most),
    }
}

/// Whether a process of that size fits into `capacity` bytes.
pub fn fit(process: Interval, capacity: u64) -> Fit {
    if process.high <= capacity {
        Fit::Fits
    } else if process.likely <= capacity {
        Fit::Tight
    } else {
        Fit::DoesNot
    }
}

/// A size that can be changed until it fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Sequences of a step.
    Batch,
    /// Tokens of each.
    Sequence,
    /// Rank of the adapters.
    Rank,
}

/// No larger value is tried.
const LARGEST: u64 = 1 << 24;

/// The largest value of a size with which the process still fits at its likely value; `None` where
/// not even 1 does, or where there are no adapters to size.
pub fn largest(
    architecture: &Architecture,
    weights: &[Weight],
    workload: &Workload,
    device: &Device,
    size: Size,
) -> Option<u64> {
    let fits = |value: u64| {
        let workload = with(workload, size, value)?;
        let needed = process(&replayed_budget(architecture, weights, &workload), device);
        Some(fit(needed, device.capacity()) != Fit::DoesNot)
    };
    if !fits(1)? {
        return None;
    }
    let mut good = 1;
    let mut bad = 2;
    while bad <= LARGEST && fits(bad)? {
        (good, bad) = (bad, bad * 2);
    }
    while bad - good > 1 {
        let middle = u64::midpoint(good, bad);
        if fits(middle)? { good = middle } else { bad = middle }
    }
    Some(good)
}

fn with(workload: &Workload, size: Size, value: u64) -> Option<Workload> {
    let mut workload = workload.clone();
    match size {
        Size::Batch => workload.batch = value,
        Size::Sequence => workload.sequence = value,
        Size::Rank => workload.adapters.as_mut()?.rank = value,
    }
    Some(workload)
}
