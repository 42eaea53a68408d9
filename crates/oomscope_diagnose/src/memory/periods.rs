//! The program's steps, found in the trace itself.
//!
//! A loop shows in the recorded stacks: within one function, below the same callers, the line goes
//! back. The outermost function in which that happens again and again over most of the trace is
//! the one that runs the steps; each time its line goes back, a period starts.

use oomscope_model::{EventIndex, StackId};
use rustc_hash::FxHashMap;

use super::past::Past;
use super::stacks::FunctionId;

/// Where each period starts, as event indices, ascending. Period 0 lies before the first.
#[derive(Clone, Debug, Default)]
pub(super) struct Periods {
    pub(super) starts: Vec<u32>,
    /// Where a loop around these periods last turned, too seldom to be the one that runs the
    /// steps: what survives it is older than this.
    pub(super) restarted: Option<u32>,
}

/// Fewer turns than this do not make a loop.
const FEWEST_TURNS: usize = 3;

/// The periods up to the moment.
pub(super) fn find(past: &Past<'_>) -> Periods {
    let mut loops: FxHashMap<(usize, FunctionId), Vec<u32>> = FxHashMap::default();
    let mut previous: Vec<(FunctionId, u32)> = Vec::new();
    let mut previous_stack = StackId::NONE;
    let mut first_event = None;
    for (EventIndex(index), event) in past.allocations() {
        if event.stack == previous_stack {
            continue;
        }
        let path = &past.summary(event.stack).path;
        if path.is_empty() {
            continue;
        }
        first_event.get_or_insert(index);
        if let Some(depth) = turning_depth(&previous, path)
            && let Some((function, _)) = path.get(depth)
        {
            loops.entry((depth, *function)).or_default().push(index);
        }
        // A caller's own allocation does not forget where its callee had come to.
        if !previous.starts_with(path) {
            previous.clone_from(path);
        }
        previous_stack = event.stack;
    }
    let until = past.until;
    let span = until.saturating_sub(first_event.unwrap_or(until));
    let mut candidates: Vec<(&(usize, FunctionId), &Vec<u32>)> = loops
        .iter()
        .filter(|(_, starts)| starts.len() >= FEWEST_TURNS && covers(starts, until, span))
        .collect();
    candidates
        .sort_by_key(|((depth, function), starts)| (*depth, usize::MAX - starts.len(), *function));
    let Some(((depth, _), starts)) = candidates.first() else {
        return Periods { starts: forward_calls(past), restarted: None };
    };
    let restarted = loops
        .iter()
        .filter(|((outer, _), _)| outer < depth)
        .filter_map(|(_, turns)| turns.last())
        .filter(|turn| starts.first().is_some_and(|first| first < *turn))
        .max()
        .copied();
    Periods { starts: (*starts).clone(), restarted }
}

/// A loop of one line, as in `while True: kept.append(model(batch))`, turns nowhere outside the
/// model. Then each call of the outermost forward starts a period: it goes from the last line
/// that it ever reaches back to its first. A loop inside the forward skips what is around it.
fn forward_calls(past: &Past<'_>) -> Vec<u32> {
    let visits = || {
        past.allocations()
            .filter_map(|(index, event)| Some((index.0, past.summary(event.stack).forward?)))
    };
    let mut span: FxHashMap<FunctionId, (u32, u32)> = FxHashMap::default();
    for (_, (function, line)) in visits() {
        let lines = span.entry(function).or_insert((line, line));
        *lines = (lines.0.min(line), lines.1.max(line));
    }
    let mut starts: FxHashMap<FunctionId, Vec<u32>> = FxHashMap::default();
    let mut previous: Option<(FunctionId, u32)> = None;
    for (index, visit) in visits() {
        if let (Some((before, line_before)), (function, line)) = (previous, visit)
            && before == function
            && line < line_before
            && span.get(&function) == Some(&(line, line_before))
        {
            starts.entry(function).or_default().push(index);
        }
        previous = Some(visit);
    }
    let longest = starts
        .into_iter()
        .max_by_key(|(function, starts)| (starts.len(), *function))
        .map(|(_, starts)| starts);
    longest.filter(|starts| starts.len() >= FEWEST_TURNS).unwrap_or_default()
}

/// Where `current` goes back: the depth of the first difference, when it is the same function
/// at an earlier line.
fn turning_depth(previous: &[(FunctionId, u32)], current: &[(FunctionId, u32)]) -> Option<usize> {
    let depth = previous.iter().zip(current).position(|(a, b)| a != b)?;
    let ((before, line_before), (after, line_after)) = (previous.get(depth)?, current.get(depth)?);
    (before == after && line_after < line_before).then_some(depth)
}

/// A loop that runs the steps spans at least a third of the trace; set-up loops do not.
fn covers(starts: &[u32], until: u32, span: u32) -> bool {
    let Some(first) = starts.first() else { return false };
    until.saturating_sub(*first) >= span / 3
}
