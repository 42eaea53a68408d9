//! Blocks of many steps that are all still live.
//!
//! A stack grows when blocks that it made in at least three different periods are live and the
//! oldest of them is old: parameters come from one period, activations from the last, a leak
//! from all of them.

use crate::LiveBlock;
use oomscope_model::{Bytes, EventIndex, GradMode, Growth, Phase, Role, StackId};
use rustc_hash::{FxHashMap, FxHashSet};

use super::{backward_periods, last_release, median};
use crate::analysis::past::Past;
use crate::analysis::stacks::PhaseKind;

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
    if is_one_step(past, &survivors) || is_turnover(past, &survivors) {
        return None;
    }
    let mut left: FxHashMap<u32, Left> = FxHashMap::default();
    for block in &survivors {
        let period = block.allocated_at.map_or(0, |at| past.period_of(at));
        let left = left.entry(period).or_default();
        left.bytes += block.size;
        left.stacks.insert(block.stack);
    }
    let call_kept_percent = call_kept_percent(past, &survivors, &left);
    survivors.extend(older_ones(past, &survivors));
    if left.is_empty() {
        return None;
    }
    let backward = backward_periods(past);
    let with_backward = left.keys().filter(|period| backward.contains(period)).count();
    Some(Growth {
        periods: past.periods().starts.len() as u32,
        growing_periods: left.len() as u32,
        per_period: Some(median(left.values().map(|left| left.bytes).collect())),
        total: survivors.iter().map(|block| block.size).sum(),
        lines: past.holders(&survivors),
        stacks_per_period: median(left.values().map(|left| left.stacks.len() as u32).collect()),
        call_kept_percent,
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
    let (since, last) = (past.periods().since, past.periods().starts.len() as u32);
    let earlier = || periods.iter().filter(|period| **period < last);
    let Some(oldest) = earlier().min() else { return false };
    let restarted = past.periods().restarted.map(|event| past.period_of(EventIndex(event)));
    if restarted.is_some_and(|restarted| *oldest >= restarted) {
        return false;
    }
    let halfway = since + last.saturating_sub(since) / 2;
    earlier().count() >= FEWEST_PERIODS
        && (*oldest <= halfway || last.saturating_sub(*oldest) >= LONGEST_WINDOW)
}

/// A loop inside one training step (sequences whose losses are summed) leaves blocks that the
/// step's own backward will free: all younger than the last backward, and the loop has run before
/// or the recording does not reach back far enough to know. An evaluation has no backward to come.
fn is_one_step(past: &Past<'_>, survivors: &[LiveBlock]) -> bool {
    let Some(released) = last_release(past) else { return false };
    let younger = survivors.iter().all(|block| block.allocated_at.is_some_and(|at| at > released));
    let evaluates = |block: &LiveBlock| {
        let summary = past.summary(block.stack);
        summary.grad_mode == GradMode::Off
            || matches!(summary.phase, Phase::Evaluation | Phase::Generation)
    };
    let loop_is_new = past.periods().first_turn.is_none_or(|turn| turn > released.0);
    younger && !survivors.iter().any(evaluates) && !(loop_is_new && past.starts_whole())
}

/// A full ring buffer keeps blocks of many steps too, but gives up as many: the floor of live bytes
/// does not rise by what survives.
fn is_turnover(past: &Past<'_>, survivors: &[LiveBlock]) -> bool {
    let last = past.periods().starts.len() as u32;
    let earlier = || {
        survivors
            .iter()
            .filter_map(|block| Some((past.period_of(block.allocated_at?), block.size)))
            .filter(|(period, _)| *period < last)
    };
    let Some(oldest) = earlier().map(|(period, _)| period).min() else { return false };
    let floor = |period: u32| {
        let start = past.periods().starts.get(period.saturating_sub(1) as usize)?;
        past.timeline().allocated.get(*start as usize).copied().map(Bytes)
    };
    let (Some(before), Some(after)) = (floor(oldest), floor(last)) else { return false };
    let survived: Bytes = earlier().map(|(_, size)| size).sum();
    after.saturating_sub(before).share_of(survived) < 0.5
}

/// Of what the calls made that left the survivors behind, the percentage that they kept: a graph
/// keeps about two fifths of a forward pass, a hook or a list only single outputs.
fn call_kept_percent(
    past: &Past<'_>,
    survivors: &[LiveBlock],
    left: &FxHashMap<u32, Left>,
) -> Option<u8> {
    let calls: FxHashSet<&[(u32, u32)]> = survivors
        .iter()
        .map(|block| past.summary(block.stack).path.as_slice())
        .filter(|path| !path.is_empty())
        .collect();
    let made: Bytes = past
        .allocations()
        .filter(|(index, _)| left.contains_key(&past.period_of(*index)))
        .filter(|(_, event)| calls.contains(past.summary(event.stack).path.as_slice()))
        .filter(|(_, event)| past.kind(event.stack) == PhaseKind::Forward)
        .map(|(_, event)| event.size)
        .sum();
    let kept: Bytes = survivors
        .iter()
        .filter(|block| past.kind(block.stack) == PhaseKind::Forward)
        .map(|block| block.requested)
        .sum();
    (made > Bytes::ZERO).then(|| (kept.share_of(made) * 100.0).min(100.0) as u8)
}

/// What was left behind before the recording: of the same stacks, where the dump still knows
/// them, else of the same sizes.
fn older_ones(past: &Past<'_>, survivors: &[LiveBlock]) -> Vec<LiveBlock> {
    let stacks: FxHashSet<StackId> = survivors.iter().map(|block| block.stack).collect();
    let sizes: FxHashSet<Bytes> =
        survivors.iter().map(|block| block.size).filter(|size| *size >= Bytes::MIB).collect();
    let is_alike = |block: &&LiveBlock| {
        if block.stack == StackId::NONE {
            sizes.contains(&block.size) && !past.is_parameter_sized(block)
        } else {
            stacks.contains(&block.stack)
        }
    };
    past.live
        .iter()
        .filter(|block| block.allocated_at.is_none())
        .filter(is_alike)
        .copied()
        .collect()
}
