//! From the courses of floor and peak to one verdict, with the reasons.

use oomscope_model::Bytes;

use super::course::{Course, Proof};
use super::series::{Envelope, Sample, Tracks};
use super::trend::{Trend, bounded, trend};
use super::{FailsAt, Question, Reason, Slope, Verdict, Warmup, WarmupReason};

/// How floor and peak run.
#[derive(Debug)]
pub(super) struct Courses {
    pub(super) floor: Course,
    pub(super) peak: Course,
}

/// A verdict with its reasons.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) verdict: Verdict,
    pub(super) evidence: Vec<Reason>,
    pub(super) more_steps: Option<u64>,
}

impl Courses {
    /// Growth of the floor, or of the peaks where only they grow: since which step, and how.
    pub(super) fn growth(&self) -> Option<(u64, Trend)> {
        [self.floor, self.peak].iter().find_map(|course| match *course {
            Course::Growing { from, trend, .. } => Some((from, trend)),
            Course::Flat { .. } | Course::Open { .. } => None,
        })
    }
}

impl Courses {
    /// The track whose growth it is.
    fn leading<'a>(&self, tracks: &'a Tracks) -> &'a [Sample] {
        match self.floor {
            Course::Growing { .. } => &tracks.floor,
            Course::Flat { .. } | Course::Open { .. } => &tracks.peak,
        }
    }
}

/// One-sided 5 %: enough to doubt that the peaks are flat.
const DOUBT: f64 = 1.65;

/// Decides.
pub(super) fn settle(courses: &Courses, tracks: &Tracks, question: &Question) -> Settled {
    let highest = highest(&tracks.peak);
    let in_steps = |more: u64| more.saturating_mul(tracks.width);
    let growing =
        |reason| Settled { verdict: Verdict::Growing, evidence: vec![reason], more_steps: None };
    let too_short = |more: u64, mut evidence: Vec<Reason>| {
        evidence.push(Reason::NotSettled { more });
        Settled { verdict: Verdict::TooShort, evidence, more_steps: Some(more) }
    };
    let floor = match (courses.floor, courses.peak) {
        (Course::Growing { from, proof: Proof::Statistics, trend }, _) => {
            return growing(Reason::FloorTrend { since: from, deviations: trend.z });
        }
        (Course::Growing { from, proof: Proof::Rises(times) | Proof::Returns(times), .. }, _) => {
            return growing(Reason::FloorRises { since: from, times });
        }
        (_, Course::Growing { from, .. }) => return growing(Reason::PeakRises { since: from }),
        (Course::Open { more, .. }, _) => {
            let nothing = tracks.floor.is_empty().then_some(Reason::NoSteps);
            return too_short(in_steps(more), nothing.into_iter().collect());
        }
        (Course::Flat { from, proof: Proof::Statistics, trend }, _) => {
            Reason::FloorWithoutTrend { since: from, at_most: trend.high }
        }
        (Course::Flat { from, proof: Proof::Returns(times) | Proof::Rises(times), .. }, _) => {
            Reason::FloorReturns { since: from, times }
        }
    };
    let Some(highest) = highest else { return too_short(1, vec![floor]) };
    if let (Course::Open { .. }, Some(more)) = (courses.peak, still_moving(&tracks.peak, highest)) {
        return too_short(
            in_steps(more),
            vec![floor, Reason::PeakStillMoving { step: highest.step }],
        );
    }
    if near_capacity(courses, tracks, highest, question) {
        let more = tracks.floor.len() as u64;
        return too_short(in_steps(more), vec![floor, Reason::TooNearCapacity]);
    }
    let settled = Reason::PeakFlatAfter { step: highest.step, peak: highest.bytes() };
    Settled { verdict: Verdict::Stable, evidence: vec![floor, settled], more_steps: None }
}

/// The first sample of the highest value.
pub(super) fn highest(track: &[Sample]) -> Option<Sample> {
    track.iter().rev().max_by_key(|sample| sample.value).copied()
}

/// Peaks of no clear course: so many more samples, when they lean upward or set their highest in
/// the last third.
fn still_moving(peaks: &[Sample], highest: Sample) -> Option<u64> {
    let leans = trend(&bounded(peaks.get(1..)?, Envelope::Upper)).is_some_and(|t| t.z > DOUBT);
    let at = peaks.iter().position(|sample| sample.step == highest.step)?;
    let count = peaks.len();
    if leans {
        return Some(count as u64);
    }
    let wanted = at.saturating_add(1).saturating_mul(3).div_ceil(2);
    (wanted > count).then(|| wanted.saturating_sub(count) as u64)
}

/// Whether growth within the interval would fill the capacity in ten runs like this one.
fn near_capacity(courses: &Courses, tracks: &Tracks, highest: Sample, question: &Question) -> bool {
    let (Some(capacity), Some(trend)) = (question.capacity, courses.floor.trend()) else {
        return false;
    };
    let steps = (tracks.floor.len() as u64).saturating_mul(tracks.width) as f64;
    let room = capacity.saturating_sub(highest.bytes()).0 as f64;
    trend.high > 0.0 && trend.high * steps * 10.0 > room
}

/// The steps before the course that decides begins.
pub(super) fn warmup(courses: &Courses, tracks: &Tracks) -> Warmup {
    let first = tracks.floor.first().map_or(0, |sample| sample.step);
    let floor = match courses.floor {
        Course::Flat { from, .. } | Course::Growing { from, .. } => from,
        Course::Open { .. } => first,
    };
    let from = courses.growth().map_or(floor, |(from, _)| from);
    let last = tracks.floor.last().map_or(0, |sample| sample.step);
    // A staircase is flat before its first rise, as before every other.
    let tread = match courses.floor {
        Course::Growing { proof: Proof::Rises(rises), .. } => {
            last.saturating_sub(from).checked_div(rises as u64).unwrap_or(0)
        }
        Course::Growing { .. } | Course::Flat { .. } | Course::Open { .. } => 0,
    };
    let before = from.saturating_sub(first);
    let steps = if tread > 1 && before <= tread.saturating_mul(2) { 0 } else { before };
    let few = tracks.width.saturating_mul(2);
    let why = match steps {
        0 => WarmupReason::None,
        _ if steps <= few => WarmupReason::FirstSteps,
        _ if courses.growth().is_some() && flat_until(courses.leading(tracks), from) => {
            WarmupReason::FlatBefore
        }
        _ => WarmupReason::SettledLater,
    };
    Warmup { steps, why }
}

/// Whether a track rose by little before a step, against what it rose by after: at most a quarter.
fn flat_until(track: &[Sample], step: u64) -> bool {
    let start = track.iter().skip(2).take_while(|sample| sample.step < step).map(|s| s.value).min();
    let at = track.iter().find(|sample| sample.step >= step).map(|sample| sample.value);
    let (Some(start), Some(at), Some(end)) = (start, at, track.last()) else { return false };
    at.saturating_sub(start) <= end.value.saturating_sub(at) / 4
}

/// When the peak reaches the capacity at this slope, from the highest peak of the last quarter on.
pub(super) fn fails_at(peaks: &[Sample], slope: &Slope, capacity: Bytes) -> Option<FailsAt> {
    let recent = peaks.get(peaks.len().saturating_mul(3) / 4..)?;
    let peak = highest(recent)?;
    let room = capacity.saturating_sub(peak.bytes()).0 as f64;
    let at = |rate: f64| {
        let steps = (room / rate).ceil();
        // Beyond any training run: as good as never.
        (rate > 0.0 && steps < 1e15).then(|| peak.step.saturating_add(steps as u64))
    };
    Some(FailsAt {
        step: at(slope.bytes_per_step)?,
        earliest: at(slope.high.max(slope.bytes_per_step))?,
        latest: at(slope.low.min(slope.bytes_per_step)),
    })
}
