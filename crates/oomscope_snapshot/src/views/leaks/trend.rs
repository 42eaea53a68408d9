//! A series of floors, one a step: how fast it rises, how sure that is, what course it takes.

/// A robust line through a series: Theil–Sen's median of slopes, with Sen's rank interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Bytes a step.
    pub slope: f64,
    /// Lower end of the slope's 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// How much of the variance the line explains, 0 to 1.
    pub r_squared: f64,
    /// Points that it was fitted to.
    pub points: u32,
}

/// What course a series takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// It rises to the end.
    Growing,
    /// It rose, and has been level from the step at this position of the series on.
    WarmUp(u32),
    /// It is level, or goes up and down.
    Steady,
    /// It sinks to the end.
    Falling,
    /// Fewer points than tell.
    TooShort,
}

/// Fewer points than this are no series.
pub(super) const FEWEST_POINTS: usize = 3;
/// Pairs grow with the square: more points than this are thinned evenly.
const MOST_POINTS: usize = 400;
/// Of a series' whole range, this part is noise.
const NOISE: f64 = 0.05;

/// The line through `values`; `None` below three points.
pub(super) fn trend(values: &[u64]) -> Option<Trend> {
    let points = thinned(values);
    if points.len() < 3 {
        return None;
    }
    let mut slopes: Vec<f64> = Vec::with_capacity(points.len() * points.len() / 2);
    for (index, (x, y)) in points.iter().enumerate() {
        slopes
            .extend(points.iter().skip(index + 1).map(|(later, after)| (after - y) / (later - x)));
    }
    slopes.sort_unstable_by(f64::total_cmp);
    let slope = median(&slopes)?;
    let count = points.len() as f64;
    // The variance of Kendall's statistic, without its correction for ties: those widen it.
    let spread = 1.96 * (count * (count - 1.0) * (2.0 * count + 5.0) / 18.0).sqrt();
    let pairs = slopes.len() as f64;
    let at = |rank: f64| slopes.get(rank.clamp(0.0, pairs - 1.0) as usize).copied();
    let low = at(((pairs - spread) / 2.0).floor())?;
    let high = at(f64::midpoint(pairs, spread).ceil())?;
    Some(Trend {
        slope,
        low,
        high,
        r_squared: explained(&points, slope)?,
        points: points.len() as u32,
    })
}

/// The course of `values`; differences of at most `slack` bytes do not matter.
pub(super) fn course(values: &[u64], slack: u64) -> Course {
    let (Some(last), Some(lowest), Some(highest)) =
        (values.last(), values.iter().min(), values.iter().max())
    else {
        return Course::TooShort;
    };
    if values.len() < FEWEST_POINTS {
        return Course::TooShort;
    }
    let range = highest - lowest;
    if range <= slack {
        return Course::Steady;
    }
    let noise = slack.max((range as f64 * NOISE) as u64);
    let level = values.iter().rev().take_while(|value| value.abs_diff(*last) <= noise).count();
    let since = values.len() - level;
    // Stairs are level between their steps too.
    let earlier = longest_level(values.get(..since).unwrap_or_default(), noise);
    if level >= (values.len() / 3).max(3) && level * 2 > earlier * 3 {
        let first = values.first().copied().unwrap_or_default();
        return if first < *last { Course::WarmUp(since as u32) } else { Course::Steady };
    }
    let late = values.get(values.len() / 2..).unwrap_or_default();
    // A few outliers make a range; what the line itself comes to must matter.
    let matters = |slope: f64| slope.abs() * values.len() as f64 > slack as f64;
    match (trend(values), late.first()) {
        (Some(trend), Some(middle)) if trend.low > 0.0 && matters(trend.slope) && middle < last => {
            Course::Growing
        }
        (Some(trend), Some(middle))
            if trend.high < 0.0 && matters(trend.slope) && middle > last =>
        {
            Course::Falling
        }
        _ => Course::Steady,
    }
}

fn longest_level(values: &[u64], noise: u64) -> usize {
    let (mut longest, mut run, mut of) = (0, 0, None);
    for value in values {
        match of {
            Some(level) if value.abs_diff(level) <= noise => run += 1,
            _ => (of, run) = (Some(*value), 1),
        }
        longest = longest.max(run);
    }
    longest
}

fn thinned(values: &[u64]) -> Vec<(f64, f64)> {
    let every = values.len().div_ceil(MOST_POINTS).max(1);
    values.iter().enumerate().step_by(every).map(|(x, y)| (x as f64, *y as f64)).collect()
}

fn explained(points: &[(f64, f64)], slope: f64) -> Option<f64> {
    let mut rests: Vec<f64> = points.iter().map(|(x, y)| y - slope * x).collect();
    rests.sort_unstable_by(f64::total_cmp);
    let intercept = median(&rests)?;
    let mean = points.iter().map(|(_, y)| y).sum::<f64>() / points.len() as f64;
    let total: f64 = points.iter().map(|(_, y)| (y - mean).powi(2)).sum();
    let rest: f64 = points.iter().map(|(x, y)| (y - slope * x - intercept).powi(2)).sum();
    // A level series has nothing to explain.
    Some(if total > 0.0 { (1.0 - rest / total).clamp(0.0, 1.0) } else { 0.0 })
}

fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*sorted.get(middle.checked_sub(1)?)?, upper))
}

#[cfg(test)]
mod tests {
    use super::{Course, course, trend};

    #[test]
    fn a_line_is_found_through_outliers() {
        let mut values: Vec<u64> = (0..20).map(|step| 1000 + step * 34).collect();
        values[7] = 90_000;
        let trend = trend(&values).expect("enough points");
        assert!((trend.slope - 34.0).abs() < 0.5, "{trend:?}");
        assert!(trend.low > 30.0 && trend.low <= trend.slope && trend.slope <= trend.high);
    }

    #[test]
    fn courses_are_told_apart() {
        let stairs = [0, 0, 0, 0, 9, 9, 9, 9, 18, 18, 18, 18];
        for (values, expected) in [
            (&[5, 5, 5, 5, 5][..], Course::Steady),
            (&[1, 20, 30, 30, 30, 30][..], Course::WarmUp(2)),
            (&[10, 20, 30, 40, 50][..], Course::Growing),
            (&stairs[..], Course::Growing),
            (&[50, 40, 30, 20, 10][..], Course::Falling),
            (&[10, 30, 10, 30, 10, 30, 10][..], Course::Steady),
            (&[10, 20][..], Course::TooShort),
            (&[][..], Course::TooShort),
        ] {
            assert_eq!(course(values, 0), expected, "{values:?}");
        }
        assert_eq!(course(&[10, 20, 30, 40, 50], 100), Course::Steady);
    }
}
