//! Survivors: what steps leave behind, how fast it grows, and whether it ever stops.
//!
//! Whether memory grows is decided where the diagnosis decides it (`analysis::growth`); the trends
//! of the floors say how fast and how surely, and tell warming up from being level.

mod floors;
mod steps;
mod survivors;
mod trend;

use oomscope_model::{Bytes, EventIndex, Place, Role};

use super::grouping::{GroupBy, Tally};
use super::moment::Point;
use super::selection::Selection;
use crate::analysis::past::Past;
use crate::analysis::{Recording, growth};
use crate::oom_events;

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

/// What it comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Memory grows from step to step.
    Growing {
        /// Left behind in a step, the median; `None` where the recording shows no whole steps.
        per_step: Option<Bytes>,
        /// All that was left behind.
        total: Bytes,
        /// The line that most of it was made at.
        place: Option<Place>,
        /// What most of it is.
        role: Role,
        /// Steps that left something behind.
        steps: u32,
    },
    /// Nothing worth saying outlives its step.
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
    let verdict = if steps_by == StepsBy::Sizes && of_all.len() < FEWEST_BY_SIZES {
        Verdict::CannotTell(Why::TooFewSteps { found: of_all.len() as u32 })
    } else {
        let is_over = course == Course::Growing && is_given_back;
        let course = if is_over { Course::Steady } else { course };
        verdict(recording, &past, course, since, of_all.len())
    };
    let floors = of_all.iter().copied().map(Bytes).collect();
    let groups = survivors::groups(recording, &past, &state, &lives, since, options.by);
    Ok(Leaks {
        point,
        steps_by,
        since: since as u32 + 1,
        forecast: forecast(recording, &past, &verdict, trend),
        verdict,
        floors,
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

fn verdict(
    recording: &Recording<'_>,
    past: &Past<'_>,
    course: Course,
    since: usize,
    whole: usize,
) -> Verdict {
    if recording.trace().is_none() {
        return Verdict::CannotTell(Why::NoTrace);
    }
    if let Some(growth) = growth::find(past) {
        let heaviest = growth.lines.first();
        return Verdict::Growing {
            per_step: growth.per_period,
            total: growth.total,
            place: heaviest.and_then(|line| line.place.clone()),
            role: heaviest.map_or(Role::Unknown, |line| line.role),
            steps: growth.growing_periods,
        };
    }
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
