//! Before and after: two runs by their peak, floor, slope and time of a step.

use oomscope_model::Bytes;

use super::Judgement;

/// What a run comes to, as far as a baseline keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// Highest allocated.
    pub peak: Option<Bytes>,
    /// Allocated at the end of a step, after warm-up.
    pub floor: Option<Bytes>,
    /// Growth, bytes a step.
    pub bytes_per_step: Option<f64>,
    /// Time of a step, seconds.
    pub step_seconds: Option<f64>,
}

impl Summary {
    /// The summary of a judged run.
    pub fn of(judgement: &Judgement, step_seconds: Option<f64>) -> Summary {
        Summary {
            peak: judgement.peak,
            floor: judgement.floor,
            bytes_per_step: judgement.slope.map(|slope| slope.bytes_per_step),
            step_seconds,
        }
    }
}

/// One figure in both runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// In the first.
    pub before: f64,
    /// In the second.
    pub after: f64,
    /// After minus before.
    pub difference: f64,
    /// After over before; `None` when there was nothing before.
    pub ratio: Option<f64>,
}

/// The figures that both runs have.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Highest allocated, bytes.
    pub peak: Option<Change>,
    /// Allocated at the end of a step, bytes.
    pub floor: Option<Change>,
    /// Growth, bytes a step.
    pub bytes_per_step: Option<Change>,
    /// Time of a step, seconds.
    pub step_seconds: Option<Change>,
}

/// Compares two runs, figure by figure.
pub fn compare(before: &Summary, after: &Summary) -> Comparison {
    let bytes = |bytes: Option<Bytes>| bytes.map(|bytes| bytes.0 as f64);
    Comparison {
        peak: change(bytes(before.peak), bytes(after.peak)),
        floor: change(bytes(before.floor), bytes(after.floor)),
        bytes_per_step: change(before.bytes_per_step, after.bytes_per_step),
        step_seconds: change(before.step_seconds, after.step_seconds),
    }
}

fn change(before: Option<f64>, after: Option<f64>) -> Option<Change> {
    let (before, after) = (before?, after?);
    let ratio = (before > 0.0).then(|| after / before);
    Some(Change { before, after, difference: after - before, ratio })
}

#[cfg(test)]
mod tests {
    use super::{Summary, compare};
    use oomscope_model::Bytes;

    #[test]
    fn a_change_is_told_absolutely_and_as_a_ratio() {
        let before = Summary {
            peak: Some(Bytes(400)),
            bytes_per_step: Some(0.0),
            step_seconds: Some(0.5),
            ..Summary::default()
        };
        let after = Summary {
            peak: Some(Bytes(100)),
            bytes_per_step: Some(8.0),
            floor: Some(Bytes(1)),
            ..Summary::default()
        };
        let comparison = compare(&before, &after);
        let peak = comparison.peak.expect("both have a peak");
        assert_eq!((peak.difference, peak.ratio), (-300.0, Some(0.25)));
        assert_eq!(comparison.bytes_per_step.expect("both have a slope").ratio, None);
        assert_eq!((comparison.floor, comparison.step_seconds), (None, None));
    }
}
