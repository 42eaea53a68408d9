//! The course of one track: flat, growing, or not settled. Exact values first, statistics after.

use super::levels::{self, Levels};
use super::series::{Envelope, Sample, blocks};
use super::trend::{Trend, bend, bounded, trend, without_shift};

/// How a track runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Course {
    /// Flat since this step.
    Flat { from: u64, proof: Proof, trend: Trend },
    /// Growing since this step.
    Growing { from: u64, proof: Proof, trend: Trend },
    /// Neither is shown; so many more samples may settle it.
    Open { more: u64, trend: Option<Trend> },
}

impl Course {
    /// The trend, as far as there is one.
    pub(super) fn trend(&self) -> Option<Trend> {
        match *self {
            Course::Flat { trend, .. } | Course::Growing { trend, .. } => Some(trend),
            Course::Open { trend, .. } => trend,
        }
    }
}

/// What shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// The same value to the byte, so many times.
    Returns(usize),
    /// So many rises, one upon the other.
    Rises(usize),
    /// The trend among the noise.
    Statistics,
}

/// One-sided 0.5 %: a rise is claimed.
const CLAIM: f64 = 2.58;
/// One-sided 0.1 %: a late rise is claimed, where the place was chosen after looking.
const CLAIM_LATE: f64 = 3.09;
/// One-sided 2.5 % and 10 %: what else must agree with the claim.
const AGREE: f64 = 1.96;
const LEAN: f64 = 1.28;

const FLAT: Trend = Trend { slope: 0.0, low: 0.0, high: 0.0, z: 0.0 };

/// Judges a track whose changes repeat every `period` samples, where they do.
pub(super) fn course(track: &[Sample], period: Option<usize>, envelope: Envelope) -> Course {
    if track.len() < 4 {
        let more = 4_u64.saturating_sub(track.len() as u64);
        return Course::Open { more, trend: None };
    }
    let length = period.unwrap_or(1);
    let rounds = if length > 1 { blocks(track, length, envelope) } else { Vec::new() };
    // The floor's returns are clearest in the series itself, the peaks' in whole rounds.
    let (first, second): (&[Sample], &[Sample]) = match envelope {
        Envelope::Lower => (track, &rounds),
        Envelope::Upper if rounds.len() >= 3 => (&rounds, &[]),
        Envelope::Upper => (track, &[]),
    };
    let (mut more, mut exact) = (usize::MAX, false);
    for series in [first, second] {
        if series.len() < 3 {
            continue;
        }
        match levels::judge(series) {
            Levels::Open { more: wanted, exact: is_exact } => {
                let scale = if series.len() == track.len() { 1 } else { length };
                more = more.min(wanted.saturating_mul(scale));
                exact |= is_exact;
            }
            // Of rounds, the lowest values would hide a rise within the last one.
            Levels::Flat { .. } if envelope == Envelope::Lower && series.len() < track.len() => {}
            Levels::Flat { from, visits } => {
                return Course::Flat {
                    from: step_at(series, from),
                    proof: Proof::Returns(visits),
                    trend: FLAT,
                };
            }
            Levels::Rising { from, rises, even } => {
                let region = series.get(from..).unwrap_or_default();
                if let Some(trend) = slope_of(region, even, envelope) {
                    let (from, proof) = (step_at(series, from), Proof::Rises(rises));
                    return Course::Growing { from, proof, trend };
                }
            }
        }
    }
    let series = if rounds.len() >= 3 { &rounds } else { track };
    let scale = track.len().checked_div(series.len()).unwrap_or(1).max(1);
    let samples = bounded(series, envelope);
    if exact {
        return Course::Open { more: more as u64, trend: trend(&samples) };
    }
    noisy(&samples, envelope, scale, more)
}

fn step_at(series: &[Sample], index: usize) -> u64 {
    series.get(index).map_or(0, |sample| sample.step)
}

/// The slope of a region that rises; that of an even staircase is known exactly.
fn slope_of(region: &[Sample], even: bool, envelope: Envelope) -> Option<Trend> {
    let robust = trend(&bounded(region, envelope))?;
    if !even {
        return Some(robust);
    }
    let edges: Vec<&Sample> = region
        .iter()
        .zip(region.iter().skip(1))
        .filter(|(before, after)| after.value > before.value)
        .map(|(_, after)| after)
        .collect();
    let (first, last) = (edges.first()?, edges.last()?);
    let run = last.step.saturating_sub(first.step).max(1);
    let slope = last.value.saturating_sub(first.value) as f64 / run as f64;
    Some(Trend { slope, low: slope, high: slope, ..robust })
}

/// Judges by statistics; `open` is what the exact values would still need.
fn noisy(samples: &[Sample], envelope: Envelope, scale: usize, open: usize) -> Course {
    let count = samples.len();
    let whole = trend(samples.get(1..).unwrap_or_default());
    let Some(whole) = whole.filter(|_| count >= 8) else {
        let more = open.min(8_usize.saturating_sub(count).saturating_mul(scale)).max(1) as u64;
        return Course::Open { more, trend: whole };
    };
    if let Some(growing) = growth(samples, &whole, envelope) {
        return growing;
    }
    let mut more = usize::MAX;
    for part in [0, 1, count / 8, count / 4, count / 2] {
        let rest = samples.get(part..).unwrap_or_default();
        let Some(trend) = trend(rest).filter(|_| rest.len() >= 8) else { continue };
        let excess = excess(rest, &trend);
        if excess <= 1.0 && trend.z < AGREE {
            let from = step_at(samples, part);
            return Course::Flat { from, proof: Proof::Statistics, trend };
        }
        let wanted = (rest.len() as f64 * (excess * excess).clamp(1.0, 100.0)).ceil() as usize;
        more = more.min(wanted.saturating_sub(rest.len()).max(1));
    }
    let more = open.min(more.saturating_mul(scale)).max(1) as u64;
    Course::Open { more, trend: Some(whole) }
}

/// How far the steepest slope that cannot be ruled out would lead over the samples, in thirds of
/// their spread: above 1, a leak could hide in the noise.
fn excess(samples: &[Sample], trend: &Trend) -> f64 {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return f64::MAX };
    let run = |sample: &Sample| sample.step.saturating_sub(first.step) as f64;
    let mut rest: Vec<f64> = samples
        .iter()
        .map(|sample| sample.value.saturating_sub(first.value) as f64 - trend.slope * run(sample))
        .collect();
    rest.sort_by(f64::total_cmp);
    let at = |part: usize| rest.get(rest.len().saturating_mul(part) / 10).copied().unwrap_or(0.0);
    let spread = at(9) - at(1);
    let drift = (trend.high * run(last)).max(0.0);
    if drift == 0.0 { 0.0 } else { drift * 3.0 / spread.max(f64::MIN_POSITIVE) }
}

/// Growth that goes on: over the whole, in its second half, in coarse blocks, and not one shift.
fn growth(samples: &[Sample], whole: &Trend, envelope: Envelope) -> Option<Course> {
    let count = samples.len();
    let cut = bend(samples);
    let late = cut.filter(|cut| count.saturating_sub(*cut) >= 8);
    let (region, claim) = match late {
        Some(cut) => (samples.get(cut..)?, CLAIM_LATE),
        None => (samples.get(1..)?, CLAIM),
    };
    let of_region = if late.is_some() { trend(region)? } else { *whole };
    let second_half = trend(samples.get(count / 2..)?).is_some_and(|half| half.z > LEAN);
    let goes_on = late.is_some() || count < 16 || second_half;
    let no_shift = trend(&without_shift(region)).is_some_and(|rest| rest.z > AGREE);
    if of_region.z < claim || !goes_on || !no_shift || !coarse(samples, late, envelope) {
        return None;
    }
    let from = step_at(samples, late.unwrap_or(0));
    Some(Course::Growing { from, proof: Proof::Statistics, trend: of_region })
}

/// Whether coarse blocks rise too, which teeth do not; a late rise must top what came before.
fn coarse(samples: &[Sample], late: Option<usize>, envelope: Envelope) -> bool {
    if let Some(cut) = late {
        let (before, after) = samples.split_at_checked(cut).unwrap_or_default();
        let highest = before.iter().map(|sample| sample.value).max();
        let above = after.iter().filter(|sample| Some(sample.value) > highest).count();
        return above.saturating_mul(4) >= after.len();
    }
    if samples.len() < 32 {
        return true;
    }
    trend(&blocks(samples, samples.len() / 8, envelope)).is_some_and(|coarse| coarse.z > LEAN)
}
