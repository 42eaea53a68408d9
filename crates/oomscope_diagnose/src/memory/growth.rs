//! What survives step after step.
//!
//! A stack grows when blocks that it made in at least three different periods are still live and
//! the oldest of them is old: parameters come from one period, activations from the last, a leak
//! from all of them. A second kind keeps no old block at all: each step replaces a block by a
//! larger one (a cache that is concatenated).

use oomscope_model::{
    Bytes, EventIndex, EventKind, GradMode, Growth, GrowthLine, Phase, Place, Role, StackId,
};
use oomscope_snapshot::{LiveBlock, Timeline, Trace};
use rustc_hash::{FxHashMap, FxHashSet};

use super::period_of;
use super::periods::Periods;
use super::stacks::StackTable;

/// Growth up to event `until`, or `None` when memory is flat or the trace cannot tell.
pub(super) fn find(
    trace: &Trace,
    until: u32,
    periods: &Periods,
    live: &[LiveBlock],
    timeline: &Timeline,
    stacks: &StackTable<'_>,
    parameter_sizes: &FxHashSet<Bytes>,
) -> Option<Growth> {
    let allocated: Bytes = live.iter().map(|block| block.size).sum();
    let survivors = survivors(trace, until, periods, live, stacks, parameter_sizes);
    let replaced =
        replaced_by_larger(trace, until, periods, live, timeline, stacks, parameter_sizes);
    let found = match (survivors, replaced) {
        (Some(kept), Some(grown)) => Some(if grown.total > kept.total { grown } else { kept }),
        (kept, grown) => kept.or(grown),
    };
    let found = found.or_else(|| rising_floor(trace, until, timeline));
    // A few counters and scalars survive in every program.
    found.filter(|growth| growth.total.share_of(allocated) >= 0.02 && growth.total >= Bytes::MIB)
}

fn survivors(
    trace: &Trace,
    until: u32,
    periods: &Periods,
    live: &[LiveBlock],
    stacks: &StackTable<'_>,
    parameter_sizes: &FxHashSet<Bytes>,
) -> Option<Growth> {
    let last = periods.starts.len() as u32;
    let mut by_stack: FxHashMap<StackId, Vec<(u32, &LiveBlock)>> = FxHashMap::default();
    for block in live {
        let role = stacks.role_of(block, parameter_sizes);
        if let Some(at) = block.allocated_at
            && !matches!(role, Role::Parameters | Role::OptimizerState)
        {
            by_stack.entry(block.stack).or_default().push((period_of(periods, at), block));
        }
    }
    let restarted = periods.restarted.map(|event| period_of(periods, EventIndex(event)));
    by_stack.retain(|_, blocks| is_growing(blocks, last, restarted));
    if by_stack.is_empty() {
        return None;
    }
    let mut per_period: FxHashMap<u32, (Bytes, u32)> = FxHashMap::default();
    let mut lines: FxHashMap<(Option<&Place>, Role), GrowthLine> = FxHashMap::default();
    let mut sizes: FxHashSet<Bytes> = FxHashSet::default();
    for (stack, blocks) in &by_stack {
        let summary = stacks.summary(*stack);
        let mut seen: FxHashSet<u32> = FxHashSet::default();
        for (period, block) in blocks {
            let sum = per_period.entry(*period).or_default();
            sum.0 += block.size;
            if seen.insert(*period) {
                sum.1 += 1;
            }
            sizes.insert(block.size);
            let role = stacks.role_of(block, parameter_sizes);
            let line = lines.entry((summary.place.as_ref(), role)).or_insert_with(|| GrowthLine {
                place: summary.place.clone(),
                library_call: summary.library_call.clone(),
                role,
                phase: summary.phase,
                bytes: Bytes::ZERO,
                blocks: 0,
                callers: summary.callers.clone(),
                grad_mode: summary.grad_mode,
            });
            line.bytes += block.size;
            line.blocks += 1;
        }
    }
    // What was left behind before the recording has no stack, but the same sizes.
    let older: Vec<&LiveBlock> = live
        .iter()
        .filter(|block| {
            block.allocated_at.is_none() && block.size >= Bytes::MIB && sizes.contains(&block.size)
        })
        .filter(|block| !parameter_sizes.contains(&block.size))
        .collect();
    let older_bytes: Bytes = older.iter().map(|block| block.size).sum();
    let mut lines: Vec<GrowthLine> = lines.into_values().collect();
    lines.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.place.cmp(&b.place)));
    let recorded: Bytes = lines.iter().map(|line| line.bytes).sum();
    if older_bytes > Bytes::ZERO {
        lines.push(GrowthLine {
            place: None,
            library_call: None,
            role: Role::Unknown,
            phase: Phase::Unknown,
            bytes: older_bytes,
            blocks: older.len() as u64,
            callers: Vec::new(),
            grad_mode: GradMode::Unknown,
        });
    }
    let backward = backward_periods(trace, until, periods, stacks);
    let with_backward = per_period.keys().filter(|period| backward.contains(period)).count();
    Some(Growth {
        periods: last,
        growing_periods: per_period.len() as u32,
        per_period: median(per_period.values().map(|(bytes, _)| *bytes).collect()),
        total: recorded + older_bytes,
        lines,
        stacks_per_period: median(
            per_period.values().map(|(_, count)| Bytes(u64::from(*count))).collect(),
        )
        .0 as u32,
        blocks_get_larger: false,
        backward_ran: with_backward * 2 > per_period.len(),
    })
}

/// At least three periods, and not just the last few (a window of batches in flight).
fn is_growing(blocks: &[(u32, &LiveBlock)], last: u32, restarted: Option<u32>) -> bool {
    let periods: FxHashSet<u32> =
        blocks.iter().map(|(period, _)| *period).filter(|period| *period < last).collect();
    let oldest = periods.iter().min().copied().unwrap_or(last);
    if restarted.is_some_and(|restarted| oldest >= restarted) {
        return false;
    }
    periods.len() >= 3 && (oldest <= last / 2 || last.saturating_sub(oldest) >= 16)
}

/// The periods in which a backward ran.
fn backward_periods(
    trace: &Trace,
    until: u32,
    periods: &Periods,
    stacks: &StackTable<'_>,
) -> FxHashSet<u32> {
    trace
        .iter()
        .take(until as usize)
        .filter(|(_, event)| {
            event.kind == EventKind::Alloc && stacks.summary(event.stack).phase == Phase::Backward
        })
        .map(|(index, _)| period_of(periods, index))
        .collect()
}

/// Stacks whose blocks get larger from period to period while the floor of live bytes rises.
fn replaced_by_larger(
    trace: &Trace,
    until: u32,
    periods: &Periods,
    live: &[LiveBlock],
    timeline: &Timeline,
    stacks: &StackTable<'_>,
    parameter_sizes: &FxHashSet<Bytes>,
) -> Option<Growth> {
    let floors: Vec<Bytes> = periods
        .starts
        .iter()
        .filter_map(|start| timeline.allocated.get(*start as usize).copied().map(Bytes))
        .collect();
    if floors.len() < 6 || rising_share(&floors) < 0.8 {
        return None;
    }
    let mut largest: FxHashMap<StackId, Vec<(u32, Bytes)>> = FxHashMap::default();
    let held: FxHashSet<StackId> =
        live.iter().filter(|block| block.size >= Bytes::MIB).map(|block| block.stack).collect();
    for (index, event) in trace.iter().take(until as usize) {
        if event.kind == EventKind::Alloc
            && held.contains(&event.stack)
            && event.stack != StackId::NONE
        {
            let period = period_of(periods, index);
            let sizes = largest.entry(event.stack).or_default();
            match sizes.last_mut() {
                Some((last, size)) if *last == period => *size = (*size).max(event.size),
                _ => sizes.push((period, event.size)),
            }
        }
    }
    let growing: FxHashSet<StackId> = largest
        .into_iter()
        .filter(|(_, sizes)| {
            let sizes: Vec<Bytes> = sizes.iter().map(|(_, size)| *size).collect();
            sizes.len() >= 6 && rising_share(&sizes) >= 0.8
        })
        .map(|(stack, _)| stack)
        .collect();
    let mut lines: FxHashMap<&Place, GrowthLine> = FxHashMap::default();
    for block in live.iter().filter(|block| growing.contains(&block.stack)) {
        let summary = stacks.summary(block.stack);
        let Some(place) = &summary.place else { continue };
        let line = lines.entry(place).or_insert_with(|| GrowthLine {
            place: Some(place.clone()),
            library_call: summary.library_call.clone(),
            role: stacks.role_of(block, parameter_sizes),
            phase: summary.phase,
            bytes: Bytes::ZERO,
            blocks: 0,
            callers: summary.callers.clone(),
            grad_mode: summary.grad_mode,
        });
        line.bytes += block.size;
        line.blocks += 1;
    }
    // Longer batches make larger blocks too, but those are gone when the next step starts. A
    // concatenation holds old and new at the failure, so about half is kept between steps.
    let total: Bytes = lines.values().map(|line| line.bytes).sum();
    let kept_between_steps = floors.last().copied().unwrap_or_default();
    if lines.is_empty() || kept_between_steps.share_of(total) < 0.4 {
        return None;
    }
    let mut lines: Vec<GrowthLine> = lines.into_values().collect();
    lines.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.place.cmp(&b.place)));
    let rises =
        floors.windows(2).filter_map(|pair| pair.last()?.checked_sub(*pair.first()?)).collect();
    let backward = backward_periods(trace, until, periods, stacks);
    Some(Growth {
        periods: periods.starts.len() as u32,
        growing_periods: floors.len() as u32,
        per_period: median(rises),
        total,
        stacks_per_period: growing.len() as u32,
        lines,
        blocks_get_larger: true,
        backward_ran: backward.len() * 2 > floors.len(),
    })
}

/// Without stacks only the floor of the curve tells: the least that was allocated in each of
/// sixteen windows keeps rising.
fn rising_floor(trace: &Trace, until: u32, timeline: &Timeline) -> Option<Growth> {
    const WINDOWS: u32 = 16;
    if until < WINDOWS * 8 || trace.iter().any(|(_, event)| event.stack != StackId::NONE) {
        return None;
    }
    let floors: Vec<Bytes> = (0..WINDOWS)
        .filter_map(|window| {
            let (from, to) = (until / WINDOWS * window, until / WINDOWS * (window + 1));
            timeline.allocated.get(from as usize..to as usize)?.iter().min().copied().map(Bytes)
        })
        .collect();
    let (first, last) = (*floors.get(2)?, *floors.last()?);
    let total = last.checked_sub(first)?;
    if rising_share(&floors) < 0.8 || total.share_of(last) < 0.3 {
        return None;
    }
    Some(Growth {
        periods: 0,
        growing_periods: 0,
        per_period: Bytes::ZERO,
        total,
        lines: Vec::new(),
        stacks_per_period: 0,
        blocks_get_larger: false,
        backward_ran: false,
    })
}

fn rising_share(values: &[Bytes]) -> f64 {
    let steps = values.windows(2).count().max(1);
    let rising = values.windows(2).filter(|pair| pair.first() < pair.last()).count();
    rising as f64 / steps as f64
}

fn median(mut values: Vec<Bytes>) -> Bytes {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}
