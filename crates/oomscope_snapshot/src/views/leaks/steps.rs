//! Where the program's steps start: told from the trace, or by the user.

use std::str::FromStr;

use oomscope_model::EventIndex;
use thiserror::Error;

use crate::analysis::past::Past;
use crate::analysis::periods::Periods;
use crate::analysis::stacks::PhaseKind;
use crate::analysis::{Recording, cycles};
use crate::{Annotation, Stage, Trace};

/// What the steps are told from. Parsed from `auto`, `stacks`, `sizes`, `optimizer`, a list of
/// events (`120,340,560`), or else a range's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepsFrom {
    /// Stacks, where they show a loop; else sizes.
    Auto,
    /// A loop in the recorded stacks.
    Stacks,
    /// Request sizes that recur.
    Sizes,
    /// What comes after each optimizer step, as stacks show it.
    Optimizer,
    /// The events at which steps start.
    Events(Vec<u32>),
    /// As many events a step, counted back from the moment.
    Every(u32),
    /// A range of this name (`record_function`, `external_annotations`).
    Named(String),
}

/// What told the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepsBy {
    /// A loop in the stacks.
    Stacks,
    /// Recurring request sizes.
    Sizes,
    /// The optimizer's steps.
    Optimizer,
    /// The user.
    User,
    /// Nothing: no steps are known.
    Nothing,
}

/// Why the steps asked for cannot be had.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StepsError {
    /// No range of that name was recorded.
    #[error(
        "no range called `{0}` was recorded: give `auto`, `stacks`, `sizes`, `optimizer` or the events at which steps start (`120,340,560`)"
    )]
    NoRange(String),
    /// A step starts after the trace's end.
    #[error("no event {event}: the trace has {events}")]
    NoSuchEvent {
        /// The event asked for.
        event: u32,
        /// Events in the trace.
        events: usize,
    },
    /// A step of no events.
    #[error("a step has at least one event")]
    EmptyStep,
}

/// No more steps than this are counted back.
const MOST_STEPS: usize = 1 << 16;

impl FromStr for StepsFrom {
    type Err = StepsError;

    fn from_str(text: &str) -> Result<StepsFrom, StepsError> {
        Ok(match text {
            "auto" => StepsFrom::Auto,
            "stacks" => StepsFrom::Stacks,
            "sizes" => StepsFrom::Sizes,
            "optimizer" => StepsFrom::Optimizer,
            text => {
                let events: Result<Vec<u32>, _> =
                    text.split(',').map(|event| event.trim().parse()).collect();
                events.map_or_else(|_| StepsFrom::Named(text.to_owned()), StepsFrom::Events)
            }
        })
    }
}

/// The steps up to the moment, set for all that asks `past`.
pub(crate) fn resolve(
    recording: &Recording<'_>,
    past: &mut Past<'_>,
    from: &StepsFrom,
) -> Result<StepsBy, StepsError> {
    let (starts, by) = match from {
        StepsFrom::Auto | StepsFrom::Stacks if !past.periods().starts.is_empty() => {
            return Ok(StepsBy::Stacks);
        }
        // Where stacks show no loop, what recurs is a model's layers.
        StepsFrom::Auto if past.has_stacks() => return Ok(StepsBy::Nothing),
        StepsFrom::Stacks => return Ok(StepsBy::Nothing),
        StepsFrom::Auto => match after_optimizer(recording, past) {
            starts if starts.len() >= FEWEST => (starts, StepsBy::Optimizer),
            _ => (cycles::find(past), StepsBy::Sizes),
        },
        StepsFrom::Sizes => (cycles::find(past), StepsBy::Sizes),
        StepsFrom::Optimizer => (after_optimizer(recording, past), StepsBy::Optimizer),
        StepsFrom::Events(events) => (within(recording, events)?, StepsBy::User),
        StepsFrom::Every(0) => return Err(StepsError::EmptyStep),
        StepsFrom::Every(length) => (counted_back(past.until, *length), StepsBy::User),
        StepsFrom::Named(name) => {
            let mut starts = named(recording, name)?;
            starts.retain(|start| *start < past.until);
            (starts, StepsBy::User)
        }
    };
    let is_known = !starts.is_empty();
    past.replace_periods(Periods::at(starts, past.until));
    Ok(if is_known { by } else { StepsBy::Nothing })
}

/// The events, if the trace has all of them.
fn within(recording: &Recording<'_>, starts: &[u32]) -> Result<Vec<u32>, StepsError> {
    let events = recording.trace().map_or(0, Trace::len);
    match starts.iter().find(|start| **start as usize >= events) {
        Some(event) => Err(StepsError::NoSuchEvent { event: *event, events }),
        None => Ok(starts.to_vec()),
    }
}

/// Steps at the starts of a recorded range. `Optimizer.step` stands for `Optimizer.step#Adam.step`.
fn named(recording: &Recording<'_>, name: &str) -> Result<Vec<u32>, StepsError> {
    let is_named = |full: &str| {
        full.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
    };
    let starts = events_at(recording, |annotation| {
        annotation.stage != Stage::End && is_named(&annotation.name)
    });
    if starts.is_empty() { Err(StepsError::NoRange(name.to_owned())) } else { Ok(starts) }
}

/// The first events after the annotations that are wanted, ascending.
fn events_at(recording: &Recording<'_>, is_wanted: impl Fn(&Annotation) -> bool) -> Vec<u32> {
    let annotations = &recording.snapshot().annotations;
    let device = Some(recording.device());
    // Ranges belong to the device that was current; where none is of this one, all are.
    let has_own = annotations.iter().any(|it| it.device == device);
    let here = annotations.iter().filter(|it| !has_own || it.device == device);
    let mut times: Vec<u64> = here.filter(|it| is_wanted(it)).filter_map(|it| it.time_us).collect();
    times.sort_unstable();
    let mut times = times.into_iter().peekable();
    let mut starts = Vec::new();
    for (index, event) in recording.trace().into_iter().flat_map(Trace::iter) {
        let Some(now) = event.time_us else { continue };
        let mut is_start = false;
        while times.next_if(|time| *time <= now).is_some() {
            is_start = true;
        }
        if is_start {
            starts.push(index.0);
        }
    }
    starts
}

/// What PyTorch itself names around every optimizer's step, 2.6 or later.
const OPTIMIZER_STEP: &str = "Optimizer.step#";

fn counted_back(until: u32, length: u32) -> Vec<u32> {
    let starts = (1..).map_while(|step: u32| until.checked_sub(step.checked_mul(length)?));
    let mut starts: Vec<u32> = starts.take(MOST_STEPS).collect();
    starts.reverse();
    starts
}

/// Fewer optimizer steps than this are no series.
const FEWEST: usize = 3;

/// A step starts with the first event after an optimizer step, told from PyTorch's own annotations
/// or else from the stacks of requests.
fn after_optimizer(recording: &Recording<'_>, past: &Past<'_>) -> Vec<u32> {
    let mut named = events_at(recording, |annotation| {
        annotation.stage == Stage::End && annotation.name.starts_with(OPTIMIZER_STEP)
    });
    named.retain(|start| *start < past.until);
    if !named.is_empty() {
        return named;
    }
    let mut starts = Vec::new();
    let mut was_optimizer = false;
    for (EventIndex(index), event) in past.allocations() {
        let is_optimizer = past.kind(event.stack) == PhaseKind::Optimizer;
        if was_optimizer && !is_optimizer {
            starts.push(index);
        }
        was_optimizer = is_optimizer;
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::{StepsFrom, counted_back};

    #[test]
    fn steps_are_spelt_as_words_events_and_names() {
        for (text, from) in [
            ("auto", StepsFrom::Auto),
            ("sizes", StepsFrom::Sizes),
            ("12, 40,99", StepsFrom::Events(vec![12, 40, 99])),
            ("Optimizer.step#Adam.step", StepsFrom::Named("Optimizer.step#Adam.step".to_owned())),
        ] {
            assert_eq!(text.parse(), Ok(from));
        }
    }

    #[test]
    fn counted_steps_end_at_the_moment() {
        assert_eq!(counted_back(35, 10), [5, 15, 25]);
        assert!(counted_back(5, 10).is_empty());
    }
}
