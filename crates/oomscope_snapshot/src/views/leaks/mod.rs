//! Survivors: what steps leave behind, how fast it grows, and whether it ever stops.
//!
//! Whether memory grows is decided where the diagnosis decides it (`analysis::growth`); the trends
//! of the floors say how fast and how surely, and tell warming up from being level.

mod floors;
mod rate;
mod steps;
mod survivors;
mod trend;

use oomscope_model::{Bytes, EventIndex};

use super::grouping::{GroupBy, Tally};
use super::moment::Point;
use super::selection::Selection;
use crate::analysis::past::Past;
use crate::analysis::{Recording, growth};
use crate::oom_events;

pub use rate::{Heaviest, Rate};
pub use steps::{StepsBy, StepsError as LeakError, StepsFrom};
pub use survivors::{AgeClass, LeakGroup};
use trend::FEWEST_POINTS;
pub use trend::{Course, Trend};

/// How leaks are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeakOptions {
    /// What the steps are told from.
    pub steps: StepsFrom,
    /// What survivors are summed by.
    pub by: GroupBy,
}

/// What outlives its step.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaks {
    /// Up to this moment.
    pub point: Point,
    /// What told the steps.
    pub steps_by: StepsBy,
    /// The event at which each step starts.
    pub starts: Vec<EventIndex>,
    /// The first step of the loop that runs at the moment, counted from 1.
    pub since: u32,
    /// What it comes to.
    pub verdict: Verdict,
    /// The least that was held in each whole step, by all selected blocks.
    pub floors: Vec<Bytes>,
    /// What the groups hold of earlier steps and of what is older than the recording; `None` where
    /// no whole step is known.
    pub survived: Option<Bytes>,
    /// Of that, what is older than the recording.
    pub older: Bytes,
    /// The line through the floors since `since`.
    pub trend: Option<Trend>,
    /// The course of the floors since `since`.
    pub course: Course,
    /// Groups that hold something at the moment: growing ones first, then most survived.
    pub groups: Vec<LeakGroup>,
    /// Bytes held at the moment by their age in steps, youngest first.
    pub ages: Vec<AgeClass>,
    /// When the device is full, where its capacity is known.
    pub forecast: Option<Forecast>,
}

/// Recurring sizes may be a model's layers: fewer of them than this decide nothing.
const FEWEST_BY_SIZES: usize = 8;
/// A single step that the user names shows no growth from step to step.
const FEWEST_BY_USER: usize = 2;

/// What it comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Memory grows from step to step.
    Growing {
        /// How fast.
        rate: Rate,
        /// All that is held of what it left behind.
        total: Bytes,
        /// The line with the largest part of it.
        heaviest: Heaviest,
    },
    /// What outlives its step does not grow.
    Steady {
        /// The first step, counted from 1, from which on memory is level.
        since: u32,
    },
    /// The recording does not decide.
    CannotTell(Why),
}

/// Why a recording does not decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It has no events.
    NoTrace,
    /// It shows no steps.
    NoSteps,
    /// It shows fewer whole steps than tell.
    TooFewSteps {
        /// Whole steps.
        found: u32,
    },
    /// The floors rise, but what is held may belong to one unfinished pass.
    Rising,
}

/// When the device is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// Reserved plus free on the device, as a failure in the trace states it.
    pub capacity: Bytes,
    /// The most that the last whole step held.
    pub step_peak: Bytes,
    /// Whole steps that still fit at this rate.
    pub steps: u64,
}

/// What outlives its step, up to a point.
pub fn leaks(
    recording: &Recording<'_>,
    point: Point,
    selection: &Selection,
    options: &LeakOptions,
) -> Result<Leaks, LeakError> {
    let mut state = recording.state(point.at);
    state.live = selection.live(&state).copied().collect();
    let mut past = recording.past(point.at, &state);
    let steps_by = steps::resolve(recording, &mut past, &options.steps)?;
    let past = past;
    let starts = past.periods().starts.clone();
    let lives = recording.lives(selection);
    let of_all = floors::floors(lives.iter().copied(), &starts, 1, |_| Some(0)).pop();
    let of_all = of_all.unwrap_or_default();
    let since = running_since(&past, of_all.len());
    let running = of_all.get(since..).unwrap_or_default();
    let allocated: Bytes = past.live.iter().map(|block| block.size).sum();
    let slack = growth::least_worth_saying(allocated);
    let (course, trend) = (trend::course(running, slack.0), trend::trend(running));
    let is_given_back = is_given_back(running, allocated);
    let mut groups = survivors::groups(recording, &past, &state, &lives, since, options.by);
    let survived: Option<Bytes> =
        groups.iter().map(|group| group.survived.map(|tally| tally.bytes)).sum();
    let survived = survived.filter(|_| !of_all.is_empty());
    let fewest = match steps_by {
        StepsBy::Sizes => FEWEST_BY_SIZES,
        StepsBy::User => FEWEST_BY_USER,
        StepsBy::Stacks | StepsBy::Optimizer | StepsBy::Nothing => 0,
    };
    let is_over = course == Course::Growing && is_given_back;
    let settled = if is_over { Course::Steady } else { course };
    let verdict = match recording.trace() {
        None => Verdict::CannotTell(Why::NoTrace),
        Some(_) if of_all.len() < fewest => {
            Verdict::CannotTell(Why::TooFewSteps { found: of_all.len() as u32 })
        }
        Some(_) => match growth::find(&past) {
            Some(growth) => Verdict::Growing {
                rate: Rate::of(&growth, trend, of_all.len()),
                total: survived.unwrap_or(growth.total),
                heaviest: Heaviest::of(&growth, &groups, trend),
            },
            None => without_growth(&past, settled, since, of_all.len()),
        },
    };
    if matches!(verdict, Verdict::Steady { .. }) {
        survivors::settle(&mut groups, trend);
    }
    let floors = of_all.iter().copied().map(Bytes).collect();
    Ok(Leaks {
        point,
        steps_by,
        since: since as u32 + 1,
        forecast: forecast(recording, &past, &verdict, trend),
        verdict,
        floors,
        survived,
        older: groups.iter().map(|group| group.older).sum(),
        trend,
        course,
        groups,
        ages: survivors::ages(&past),
        starts: starts.into_iter().map(EventIndex).collect(),
    })
}

/// What a turn of an outer loop piled up, as an unrolled sequence does, and gave back before the
/// moment.
fn is_given_back(floors: &[u64], allocated: Bytes) -> bool {
    let (Some(first), Some(last)) = (floors.first(), floors.last()) else { return false };
    allocated.0 < first.midpoint(*last)
}

/// The loop that runs at the moment, unless it has hardly begun.
fn running_since(past: &Past<'_>, whole: usize) -> usize {
    let since = past.periods().since as usize;
    if whole.saturating_sub(since) >= FEWEST_POINTS { since } else { 0 }
}

fn without_growth(past: &Past<'_>, course: Course, since: usize, whole: usize) -> Verdict {
    match course {
        _ if past.periods().starts.is_empty() => Verdict::CannotTell(Why::NoSteps),
        Course::TooShort => Verdict::CannotTell(Why::TooFewSteps { found: whole as u32 }),
        Course::Growing => Verdict::CannotTell(Why::Rising),
        Course::WarmUp(at) => Verdict::Steady { since: since as u32 + at + 1 },
        Course::Steady | Course::Falling => Verdict::Steady { since: since as u32 + 1 },
    }
}

/// The capacity is known from a failure before the moment that the program went on after.
fn forecast(
    recording: &Recording<'_>,
    past: &Past<'_>,
    verdict: &Verdict,
    trend: Option<Trend>,
) -> Option<Forecast> {
    if !matches!(verdict, Verdict::Growing { .. }) {
        return None;
    }
    let slope = trend.filter(|trend| trend.low > 0.0)?.slope;
    let trace = recording.trace()?;
    let failure = oom_events(trace).into_iter().rev().find(|event| event.0 < past.until)?;
    // An `oom` event has the device's free bytes in place of an address.
    let free = Bytes(trace.event(failure)?.addr);
    let reserved = recording.timeline().reserved.get(failure.0 as usize).copied()?;
    let capacity = Bytes(reserved) + free;
    let starts = &past.periods().starts;
    let (from, to) = (starts.get(starts.len().checked_sub(2)?)?, starts.last()?);
    let step = past.timeline().allocated.get(*from as usize..*to as usize)?;
    let step_peak = Bytes(step.iter().max().copied()?);
    let steps = (capacity.saturating_sub(step_peak).0 as f64 / slope) as u64;
    Some(Forecast { capacity, step_peak, steps })
}
