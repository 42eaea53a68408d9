//! Whether memory is stable, growing, failed, or watched for too short a time to tell.
//!
//! [`judge`] takes one device's steps. It looks at the floor (allocated when a step ends), whose
//! growth is a leak, at the peaks within the steps, and at reserved memory. The allocator is
//! deterministic, so exact values decide where they can; where there is noise, Kendall's statistic
//! and the slope of Theil (1950) with the interval of Sen (1968) do. To call a leak stable is the
//! worse error: when in doubt the verdict is [`Verdict::TooShort`], with how much is missing.
//!
//! ```
//! use oomscope_diagnose::verify::{Point, Question, Verdict, judge};
//! use oomscope_model::Bytes;
//! let leak = |step| Point {
//!     step, stride: 1, allocated: Bytes(1 << 20) + Bytes(4096 * step), peak: Bytes(8 << 20), reserved: None,
//! };
//! let points: Vec<Point> = (1..=6).map(leak).collect();
//! let judgement = judge(&points, &Question::default());
//! assert_eq!(judgement.verdict, Verdict::Growing);
//! assert_eq!(judgement.slope.map(|slope| slope.bytes_per_step), Some(4096.0));
//! ```

mod compare;
mod course;
mod levels;
mod period;
mod reason;
mod series;
mod settle;
mod trend;

use oomscope_model::Bytes;

pub use compare::{Change, Comparison, Summary, compare};
pub use reason::Reason;
pub use series::Point;

use course::{Course, course};
use series::{Envelope, Sample, tracks};
use settle::{Courses, Settled};
use trend::Trend;

/// What memory does over the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Flat once it is warm.
    Stable,
    /// It rises and goes on rising.
    Growing,
    /// It ran out.
    Failed,
    /// Neither is shown.
    TooShort,
}

/// What is known beside the steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// The bytes that the peak must stay under: the device, or a budget.
    pub capacity: Option<Bytes>,
    /// Whether memory ran out and the program died of it.
    pub failed: bool,
}

/// Growth: the median slope and the ends of its 95 % interval, bytes a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// The best figure.
    pub bytes_per_step: f64,
    /// The least that fits.
    pub low: f64,
    /// The most that fits.
    pub high: f64,
}

/// Why the first steps were left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmupReason {
    /// None were.
    None,
    /// Optimizer state, workspaces and caches come with the first steps.
    FirstSteps,
    /// It climbed, shifted or wavered first.
    SettledLater,
    /// It was flat before the growth began.
    FlatBefore,
}

/// The steps that the judgement leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warmup {
    /// How many.
    pub steps: u64,
    /// Why.
    pub why: WarmupReason,
}

/// The step at which the peak reaches the capacity if it goes on like this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailsAt {
    /// At the best slope.
    pub step: u64,
    /// At the highest.
    pub earliest: u64,
    /// At the lowest; `None` when that does not grow.
    pub latest: Option<u64>,
}

/// The judgement of one device.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// What it comes to.
    pub verdict: Verdict,
    /// The steps left out.
    pub warmup: Warmup,
    /// How it grows: of the floor, or of the peaks where only they grow.
    pub slope: Option<Slope>,
    /// The step after which growth began, when it began late.
    pub change_point: Option<u64>,
    /// After how many steps a pattern repeats.
    pub period: Option<u64>,
    /// Highest allocated.
    pub peak: Option<Bytes>,
    /// Lowest allocated at the end of a step, after the warm-up.
    pub floor: Option<Bytes>,
    /// The step that set the highest peak.
    pub flat_peak_after: Option<u64>,
    /// When it will fail.
    pub fails_at: Option<FailsAt>,
    /// Reserved memory rises over flat allocated memory, bytes a step: fragmentation.
    pub reserved_growing: Option<Slope>,
    /// Of [`Verdict::TooShort`]: how many more steps may settle it.
    pub more_steps: Option<u64>,
    /// Why, most telling first.
    pub evidence: Vec<Reason>,
}

/// Judges one device's steps, which are in order; a point out of order is left out.
pub fn judge(points: &[Point], question: &Question) -> Judgement {
    let tracks = tracks(points);
    let period = period::period(&tracks.floor).or_else(|| period::period(&tracks.peak));
    let courses = Courses {
        floor: course(&tracks.floor, period, Envelope::Lower),
        peak: course(&tracks.peak, period, Envelope::Upper),
    };
    let highest = settle::highest(&tracks.peak);
    let Settled { mut verdict, mut evidence, more_steps } =
        settle::settle(&courses, &tracks, question);
    let growth = courses.growth();
    let slope = growth.map(|(_, trend)| trend).or_else(|| courses.floor.trend()).map(Slope::of);
    let reserved_growing = match course(&tracks.reserved, None, Envelope::Lower) {
        Course::Growing { trend, .. } if growth.is_none() => Some(Slope::of(trend)),
        Course::Growing { .. } | Course::Flat { .. } | Course::Open { .. } => None,
    };
    let period = period.map(|length| (length as u64).saturating_mul(tracks.width));
    evidence.extend(period.map(|steps| Reason::Repeats { steps }));
    evidence.extend(
        reserved_growing
            .map(|slope| Reason::ReservedRises { bytes_per_step: slope.bytes_per_step }),
    );
    if question.failed {
        verdict = Verdict::Failed;
        evidence.insert(0, Reason::RanOut);
    }
    let warmup = settle::warmup(&courses, &tracks);
    let began_late = warmup.why == WarmupReason::FlatBefore;
    let first = tracks.floor.first().map_or(0, |sample| sample.step);
    let warm =
        tracks.floor.iter().filter(|sample| sample.step.saturating_sub(first) >= warmup.steps);
    Judgement {
        verdict,
        warmup,
        slope,
        change_point: growth.filter(|_| began_late).map(|(from, _)| from),
        period,
        peak: highest.map(Sample::bytes),
        floor: warm.min_by_key(|sample| sample.value).copied().map(Sample::bytes),
        flat_peak_after: highest.map(|sample| sample.step),
        fails_at: growth.and_then(|(_, trend)| {
            settle::fails_at(&tracks.peak, &Slope::of(trend), question.capacity?)
        }),
        reserved_growing,
        more_steps,
        evidence,
    }
}

impl Slope {
    fn of(trend: Trend) -> Slope {
        Slope { bytes_per_step: trend.slope, low: trend.low, high: trend.high }
    }
}

#[cfg(test)]
mod tests;
