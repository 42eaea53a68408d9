//! The program's steps, found in the trace itself.
//!
//! A loop shows in the recorded stacks: below the same callers a function's line goes back, or a
//! line calls again what it had called before. The outermost function in which that happens again
//! and again over most of the trace is the one that runs the steps; each turn starts a period.

use oomscope_model::{EventIndex, StackId};
use rustc_hash::FxHashMap;

use super::past::Past;
use super::stacks::FunctionId;

/// Where each period starts, as event indices, ascending. Period 0 lies before the first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Periods {
    pub(crate) starts: Vec<u32>,
    /// Where a loop around these periods last turned, too seldom to be the one that runs the
    /// steps: what survives it is older than this.
    pub(crate) restarted: Option<u32>,
    /// The period in which the loop that was running at the moment began: a validation loop
    /// after training has its own turns.
    pub(crate) since: u32,
    /// Where that loop turned for the first time in the trace.
    pub(crate) first_turn: Option<u32>,
    /// Where the outermost loop that turned at all turned last.
    pub(crate) last_turn: Option<u32>,
}

impl Periods {
    /// Steps that start at the given events.
    pub(crate) fn at(mut starts: Vec<u32>, until: u32) -> Periods {
        starts.retain(|start| *start < until);
        starts.sort_unstable();
        starts.dedup();
        Periods {
            first_turn: starts.first().copied(),
            last_turn: starts.last().copied(),
            starts,
            ..Periods::default()
        }
    }
}

/// A line of the user's functions, outermost first.
type Path = [(FunctionId, u32)];
/// A loop: the depth of the function that runs it, and the function.
type Loop = (usize, FunctionId);

/// Fewer turns than this do not make a loop.
const FEWEST_TURNS: usize = 3;
/// A last period this many times longer than the others holds a loop of its own.
const LONG: u32 = 2;

/// The periods up to the moment.
pub(crate) fn find(past: &Past<'_>) -> Periods {
    let mut walk = Walk::default();
    for (EventIndex(index), event) in past.allocations() {
        if event.stack != walk.stack {
            walk.stack = event.stack;
            walk.visit(index, &past.summary(event.stack).path);
        }
    }
    let (loops, callers) = (walk.loops, walk.callers);
    let span = past.until.saturating_sub(walk.first_event.unwrap_or(past.until));
    let covers = |turns: &[u32]| {
        turns.first().is_some_and(|first| past.until.saturating_sub(*first) >= span / 3)
    };
    let outermost = loops
        .iter()
        .filter(|(_, turns)| turns.len() >= FEWEST_TURNS && covers(turns))
        .min_by_key(|((depth, function), turns)| (*depth, usize::MAX - turns.len(), *function));
    let Some((steps, turns)) = outermost else {
        let starts = forward_calls(past);
        let last_turn = loops
            .iter()
            .min_by_key(|((depth, function), _)| (*depth, *function))
            .and_then(|(_, turns)| turns.last().copied());
        let last_turn = last_turn.max(starts.last().copied());
        return Periods {
            first_turn: starts.first().copied(),
            starts,
            last_turn,
            ..Periods::default()
        };
    };
    let mut periods = Periods {
        starts: turns.clone(),
        restarted: restarted(&loops, steps, turns),
        since: 0,
        first_turn: turns.first().copied(),
        last_turn: turns.last().copied(),
    };
    begin_at_the_last_call(&mut periods, callers.get(steps).map_or(&[][..], Vec::as_slice));
    add_the_loop_that_runs(&mut periods, &loops, steps, past.until);
    periods
}

/// One function may run the loops of training and of validation, called from two lines: the loop
/// that runs began where the caller's line last moved.
fn begin_at_the_last_call(periods: &mut Periods, callers: &[u32]) {
    let Some(last) = callers.last() else { return };
    let same = callers.iter().rev().take_while(|caller| *caller == last).count();
    let since = callers.len() - same;
    if since > 0 && same >= FEWEST_TURNS {
        periods.since = since as u32;
        periods.first_turn = periods.starts.get(since).copied();
    }
}

/// Where a loop around the steps last turned, once the steps had begun to turn.
fn restarted(loops: &FxHashMap<Loop, Vec<u32>>, steps: &Loop, turns: &[u32]) -> Option<u32> {
    let around = loops.iter().filter(|((depth, _), _)| *depth < steps.0);
    around
        .filter_map(|(_, turns)| turns.last())
        .filter(|turn| turns.first().is_some_and(|first| first < *turn))
        .max()
        .copied()
}

/// A last period that is far longer than the others, as a validation after the training steps,
/// is cut where the loop inside it turns.
fn add_the_loop_that_runs(
    periods: &mut Periods,
    loops: &FxHashMap<Loop, Vec<u32>>,
    steps: &Loop,
    until: u32,
) {
    let Some(last) = periods.starts.last().copied() else { return };
    let mut lengths: Vec<u32> =
        periods.starts.windows(2).filter_map(|pair| Some(pair.last()? - pair.first()?)).collect();
    lengths.sort_unstable();
    let usual = lengths.get(lengths.len() / 2).copied().unwrap_or(u32::MAX);
    if until.saturating_sub(last) / LONG < usual {
        return;
    }
    let inside = loops
        .iter()
        .filter(|(turning, _)| *turning != steps)
        .map(|(turning, turns)| (turning, turns, turns.partition_point(|turn| *turn <= last)))
        .filter(|(_, turns, from)| turns.len() - from >= FEWEST_TURNS)
        .min_by_key(|((depth, function), turns, from)| {
            (*depth, usize::MAX - (turns.len() - from), *function)
        });
    if let Some((_, turns, from)) = inside {
        periods.since = periods.starts.len() as u32;
        periods.first_turn = turns.first().copied();
        periods.starts.extend(turns.iter().skip(from));
    }
}

/// The walk over the trace's stacks.
struct Walk {
    loops: FxHashMap<Loop, Vec<u32>>,
    /// For each turn of a loop, the line that called the function which runs it.
    callers: FxHashMap<Loop, Vec<u32>>,
    path: Vec<(FunctionId, u32)>,
    /// At each depth, what the same caller's line has called already.
    called: Vec<Vec<FunctionId>>,
    stack: StackId,
    first_event: Option<u32>,
}

impl Default for Walk {
    fn default() -> Walk {
        Walk {
            loops: FxHashMap::default(),
            callers: FxHashMap::default(),
            path: Vec::new(),
            called: Vec::new(),
            stack: StackId::NONE,
            first_event: None,
        }
    }
}

impl Walk {
    fn visit(&mut self, index: u32, path: &Path) {
        // A caller's own allocation does not forget where its callee had come to.
        if path.is_empty() || self.path.starts_with(path) {
            return;
        }
        self.first_event.get_or_insert(index);
        if let Some(turning) = self.turn(path) {
            self.loops.entry(turning).or_default().push(index);
            let caller = turning.0.checked_sub(1).and_then(|depth| path.get(depth));
            self.callers.entry(turning).or_default().push(caller.map_or(0, |(_, line)| *line));
        }
        let shared = self.path.iter().zip(path).take_while(|(a, b)| a == b).count();
        self.called.truncate(shared + 1);
        self.called.resize_with(path.len(), Vec::new);
        for (called, (function, _)) in self.called.iter_mut().zip(path).skip(shared) {
            if !called.contains(function) {
                called.push(*function);
            }
        }
        self.path.clear();
        self.path.extend_from_slice(path);
    }

    /// The loop that turns between the path so far and the next one, if one does.
    fn turn(&mut self, path: &Path) -> Option<Loop> {
        let depth = self.path.iter().zip(path).position(|(a, b)| a != b)?;
        let ((before, line_before), (after, line_after)) =
            (*self.path.get(depth)?, *path.get(depth)?);
        if before == after {
            return (line_after < line_before).then_some((depth, after));
        }
        // `for batch in loader: total += step(move(batch))` is one line that calls in turns.
        let called = self.called.get_mut(depth)?;
        if !called.contains(&after) {
            return None;
        }
        called.clear();
        let caller = depth.checked_sub(1)?;
        Some((caller, path.get(caller)?.0))
    }
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
