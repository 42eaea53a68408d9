//! Whether a series rises, and how steeply, without assuming how its noise is distributed.
//!
//! Kendall's statistic counts pairs that rise against pairs that fall (Kendall 1938, 1970); the
//! slope is the median of the slopes of all pairs (Theil 1950); its interval takes the slopes at
//! the ranks that Kendall's variance gives, ties allowed for (Sen 1968).

use super::series::{Envelope, Sample, blocks};

/// All pairs of so many samples are looked at, 32,640 of them.
pub(super) const MAX_SAMPLES: usize = 256;

/// Two-sided 95 %: the slope's interval.
const NORMAL_95: f64 = 1.96;

/// How a series runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trend {
    /// Bytes per step: the median, and the ends of its 95 % interval.
    pub(super) slope: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    /// Kendall's statistic in standard deviations: positive when it rises.
    pub(super) z: f64,
}

/// Bounds a series for [`trend`].
pub(super) fn bounded(track: &[Sample], envelope: Envelope) -> Vec<Sample> {
    blocks(track, track.len().div_ceil(MAX_SAMPLES).max(1), envelope)
}

/// The trend of at most [`MAX_SAMPLES`] samples, `None` under three.
pub(super) fn trend(samples: &[Sample]) -> Option<Trend> {
    if samples.len() < 3 || samples.len() > MAX_SAMPLES {
        return None;
    }
    let mut slopes = Vec::with_capacity(samples.len() * samples.len() / 2);
    let mut score = 0.0_f64;
    for (index, late) in samples.iter().enumerate() {
        for early in samples.iter().take(index) {
            let rise = late.value.saturating_sub(early.value);
            let run = late.step.saturating_sub(early.step).max(1);
            score += rise.signum() as f64;
            slopes.push(rise as f64 / run as f64);
        }
    }
    slopes.sort_by(f64::total_cmp);
    let deviation = variance(samples).sqrt();
    let pairs = slopes.len() as f64;
    let at = |rank: f64| {
        let index = rank.clamp(0.0, pairs - 1.0) as usize;
        slopes.get(index).copied().unwrap_or_default()
    };
    let z = if deviation > 0.0 { (score - score.signum()) / deviation } else { 0.0 };
    let slack = NORMAL_95 * deviation;
    Some(Trend {
        slope: f64::midpoint(at((pairs - 1.0) / 2.0), at(pairs / 2.0)),
        low: at(((pairs - slack) / 2.0).floor()),
        high: at(f64::midpoint(pairs, slack).ceil()),
        z,
    })
}

/// Variance of Kendall's score under "no trend", with the correction for ties.
fn variance(samples: &[Sample]) -> f64 {
    let term = |count: f64| count * (count - 1.0) * (2.0 * count + 5.0);
    let mut values: Vec<i64> = samples.iter().map(|sample| sample.value).collect();
    values.sort_unstable();
    let ties: f64 = values.chunk_by(|a, b| a == b).map(|group| term(group.len() as f64)).sum();
    ((term(samples.len() as f64) - ties) / 18.0).max(0.0)
}

/// What is left when the best single level shift is taken out: a shift leaves nothing that rises.
pub(super) fn without_shift(samples: &[Sample]) -> Vec<Sample> {
    let total: f64 = samples.iter().map(|sample| sample.value as f64).sum();
    let count = samples.len() as f64;
    let mut before = 0.0;
    let mut best = (0.0_f64, 0, 0.0, 0.0);
    for (index, sample) in samples.iter().enumerate() {
        before += sample.value as f64;
        let (left, right) = (index as f64 + 1.0, count - index as f64 - 1.0);
        if right < 1.0 {
            break;
        }
        let (low, high) = (before / left, (total - before) / right);
        let explained = left * right * (high - low) * (high - low);
        if explained > best.0 {
            best = (explained, index.saturating_add(1), low, high);
        }
    }
    let (_, cut, low, high) = best;
    let level = |index: usize| if index < cut { low } else { high };
    let rest = |(index, sample): (usize, &Sample)| Sample {
        step: sample.step,
        value: (sample.value as f64 - level(index)) as i64,
    };
    samples.iter().enumerate().map(rest).collect()
}

/// Where a line that is flat and then bends upward bends, when that explains the samples much
/// better than one straight line: least squares over the candidates.
pub(super) fn bend(samples: &[Sample]) -> Option<usize> {
    let straight = misfit(samples, 0)?;
    let candidates = samples.len() / 8..samples.len().saturating_sub(3);
    let (cut, least) = candidates
        .filter_map(|cut| Some((cut, misfit(samples, cut)?)))
        .min_by(|a, b| a.1.total_cmp(&b.1))?;
    (least < straight * 0.6).then_some(cut)
}

/// Squared misfit of `level + slope × steps after the cut`.
fn misfit(samples: &[Sample], cut: usize) -> Option<f64> {
    let from = samples.get(cut)?.step;
    let base = samples.first()?.value;
    let count = samples.len() as f64;
    let pairs = samples.iter().map(|sample| {
        (sample.step.saturating_sub(from) as f64, sample.value.saturating_sub(base) as f64)
    });
    let (mean_x, mean_y) =
        pairs.clone().fold((0.0, 0.0), |sum, (x, y)| (sum.0 + x / count, sum.1 + y / count));
    let (xx, xy, yy) = pairs.fold((0.0, 0.0, 0.0), |sum, (x, y)| {
        let (x, y) = (x - mean_x, y - mean_y);
        (sum.0 + x * x, sum.1 + x * y, sum.2 + y * y)
    });
    Some(if xx > 0.0 { (yy - xy * xy / xx).max(0.0) } else { yy })
}
