//! What the allocator's exactness allows: judging a series by values that come back to the byte.
//!
//! At each step, take the lowest value from there to the end: what memory will return to. This
//! line never falls; where it rises, something is held from there on. A level of it that is
//! touched again and again proves that nothing was held in between, however high the spikes.

use super::series::Sample;

/// One level of the line of values to come.
#[derive(Clone, Copy, Debug)]
struct Level {
    value: i64,
    /// Index where the line reaches it.
    from: usize,
    /// Indices where the series touches it first and last.
    first: usize,
    last: usize,
    /// How often it is touched.
    visits: usize,
    /// The longest way from one touch to the next.
    widest: usize,
}

/// What the levels show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Levels {
    /// The same floor again and again since this index; how often it was touched.
    Flat { from: usize, visits: usize },
    /// Rise upon rise since this index; each the same, at the same distance, where so.
    Rising { from: usize, rises: usize, even: bool },
    /// Neither yet; so many samples may settle it. Whether the series is free of noise, so that
    /// statistics have nothing to add.
    Open { more: usize, exact: bool },
}

/// Judges a series by its levels.
pub(super) fn judge(track: &[Sample]) -> Levels {
    let levels = levels(track);
    let exact = on_the_line(track, &levels, 0);
    match (flat(track, &levels), rising(track, &levels)) {
        (Ok(flat), _) => flat,
        (Err(_), Ok(rising)) => rising,
        (Err(more), Err(other)) => Levels::Open { more: more.min(other).max(1), exact },
    }
}

fn levels(track: &[Sample]) -> Vec<Level> {
    let mut levels: Vec<Level> = Vec::new();
    for (index, sample) in track.iter().enumerate().rev() {
        match levels.last_mut() {
            Some(level) if level.value == sample.value => {
                level.widest = level.widest.max(level.first.saturating_sub(index));
                level.visits = level.visits.saturating_add(1);
                (level.first, level.from) = (index, index);
            }
            Some(level) if level.value < sample.value => level.from = index,
            _ => levels.push(Level {
                value: sample.value,
                from: index,
                first: index,
                last: index,
                visits: 1,
                widest: 1,
            }),
        }
    }
    levels.reverse();
    levels
}

/// A level that holds: touched three times, longer than twice the longest quiet before it (what
/// rises every so often would have risen) and than half the climb that led to it.
fn flat(track: &[Sample], levels: &[Level]) -> Result<Levels, usize> {
    let mut longest_quiet = 0;
    let mut starts: Vec<usize> = Vec::with_capacity(levels.len());
    for (index, level) in levels.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| levels.get(before));
        longest_quiet =
            before.map_or(0, |before| level.from.saturating_sub(before.from)).max(longest_quiet);
        starts.push(longest_quiet);
    }
    let climb_start = levels.get(1).map_or(0, |level| level.from);
    let mut more = usize::MAX;
    for (level, quiet) in levels.iter().zip(&starts).rev() {
        let trailing = track.get(level.last.saturating_add(1)..).unwrap_or_default();
        let excursion = level.widest.saturating_sub(1);
        // One that is not over must look like those that were: as long, of values seen before.
        let usual = trailing.len().saturating_mul(2) <= excursion.saturating_mul(3)
            && all_seen(trailing, track.get(level.first..=level.last).unwrap_or_default());
        if !usual {
            continue;
        }
        let climb = level.from.saturating_sub(climb_start).saturating_add(1);
        let needed = quiet.saturating_mul(2).max(climb / 2).max(3);
        let confirmed = level.last.saturating_sub(level.first).saturating_add(1);
        if level.visits >= 3 && confirmed >= needed {
            return Ok(Levels::Flat { from: level.first, visits: level.visits });
        }
        more = more.min(needed.saturating_sub(confirmed).max(1));
    }
    Err(more)
}

fn all_seen(values: &[Sample], before: &[Sample]) -> bool {
    if values.is_empty() {
        return true;
    }
    let mut seen: Vec<i64> = before.iter().map(|sample| sample.value).collect();
    seen.sort_unstable();
    values.iter().all(|sample| seen.binary_search(&sample.value).is_ok())
}

/// Rise upon rise up to now: three that are alike or have treads, six of any kind, not slowing.
fn rising(track: &[Sample], levels: &[Level]) -> Result<Levels, usize> {
    let mut rises: Vec<(usize, i64, &Level)> = levels
        .iter()
        .zip(levels.iter().skip(1))
        .map(|(before, after)| (after.from, after.value.saturating_sub(before.value), before))
        .collect();
    // What comes with the second sample is warm-up, unless it is like what follows.
    let unlike_next = rises.get(1).map(|next| next.1) != rises.first().map(|rise| rise.1);
    if unlike_next && rises.first().is_some_and(|rise| rise.0 <= 1) {
        rises.remove(0);
    }
    let (mut run, mut widest) = (0_usize, 0_usize);
    let mut narrowest = usize::MAX;
    for pair in rises.windows(2).rev() {
        let [(before, ..), (after, ..)] = pair else { break };
        let gap = after.saturating_sub(*before);
        if run > 0 && gap > widest.saturating_mul(2) {
            break;
        }
        (widest, narrowest) = (widest.max(gap), narrowest.min(gap));
        run = run.saturating_add(1);
    }
    let taken = rises.get(rises.len().saturating_sub(run.saturating_add(1))..).unwrap_or_default();
    let (Some((start, size, base)), Some((last, ..))) = (taken.first(), taken.last()) else {
        return Err(3);
    };
    let quiet = track.len().saturating_sub(*last).saturating_sub(1);
    let alike = taken.iter().all(|(_, other, _)| other == size);
    let treads = taken.iter().skip(1).all(|(_, _, level)| level.visits >= 2);
    let wanted = if alike || treads { 3 } else { 6 };
    if taken.len() < wanted {
        let missing = wanted.saturating_sub(taken.len());
        return Err(missing.saturating_mul(widest.max(1)).saturating_sub(quiet));
    }
    let from = start.saturating_sub(1);
    let region = track.get(from..).unwrap_or_default();
    let ends = quiet > widest;
    // Up a tooth like those that came down before: wait for its end.
    let widest_tooth = base.widest.max(base.first.saturating_sub(base.from));
    let tooth = widest_tooth > 1 && region.len() <= widest_tooth.saturating_mul(3) / 2;
    if ends || tooth || !on_the_line(region, levels, from) || (!alike && slowing(region)) {
        return Err(widest.max(widest_tooth).max(1));
    }
    Ok(Levels::Rising { from, rises: taken.len(), even: alike && widest == narrowest })
}

/// Whether at least half of the samples of a region, the first of which has the index `offset`,
/// lie on the line of values to come: little noise.
fn on_the_line(region: &[Sample], levels: &[Level], offset: usize) -> bool {
    let touched = region
        .iter()
        .enumerate()
        .filter(|(index, sample)| {
            let index = index.saturating_add(offset);
            let next = levels.partition_point(|level| level.from <= index);
            let level = next.checked_sub(1).and_then(|at| levels.get(at));
            level.is_some_and(|level| level.value == sample.value)
        })
        .count();
    touched.saturating_mul(2) >= region.len()
}

/// Whether the second half rises by less than six tenths of the first: it may be levelling off.
fn slowing(region: &[Sample]) -> bool {
    let at = |index: usize| region.get(index).map_or(0, |sample| sample.value);
    let end = region.len().saturating_sub(1);
    let (first, second) = (at(end / 2) - at(0), at(end) - at(end / 2));
    (second as f64) < (first as f64) * 0.6
}
