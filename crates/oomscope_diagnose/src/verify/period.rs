//! Finds evaluation, checkpointing and epochs: what repeats in a series every so many samples.

use super::series::Sample;

/// The length in samples after which the changes of a series repeat, seen at least three times.
pub(super) fn period(track: &[Sample]) -> Option<usize> {
    let settled = track.get((track.len() / 8).max(2)..)?;
    if settled.len() < 9 {
        return None;
    }
    let changes: Vec<f64> = settled
        .iter()
        .zip(settled.iter().skip(1))
        .map(|(before, after)| after.value.saturating_sub(before.value) as f64)
        .collect();
    // What repeats goes on to the end: a steady rise that stopped, or began, does not repeat.
    let third = changes.chunks(changes.len().div_ceil(3));
    if third.map(deviations).any(|part| part.iter().all(|change| change.abs() < 0.5)) {
        return None;
    }
    let changes = deviations(&changes);
    let likeness: Vec<f64> =
        (0..=changes.len() / 3 + 1).map(|lag| correlation(&changes, lag)).collect();
    let best = likeness.iter().skip(2).copied().fold(0.0, f64::max);
    let wanted = (0.5 + 2.0 / (changes.len() as f64).sqrt()).min(0.95);
    if best < wanted {
        return None;
    }
    likeness
        .iter()
        .skip(2)
        .position(|like| *like >= best * 0.9)
        .map(|index| index.saturating_add(2))
}

/// The changes without the mean one: a steady rise is none.
fn deviations(changes: &[f64]) -> Vec<f64> {
    let mean = changes.iter().sum::<f64>() / changes.len().max(1) as f64;
    changes.iter().map(|change| change - mean).collect()
}

/// How alike the changes are to those `lag` samples later, from −1 to 1.
fn correlation(changes: &[f64], lag: usize) -> f64 {
    let later = changes.get(lag..).unwrap_or_default();
    let (mut both, mut left, mut right) = (0.0, 0.0, 0.0);
    for (a, b) in changes.iter().zip(later) {
        both += a * b;
        left += a * a;
        right += b * b;
    }
    if left > 0.0 && right > 0.0 { both / (left * right).sqrt() } else { 0.0 }
}
