//! Whether the memory that a program printed while it ran rises or stays flat.

use oomscope_model::{Bytes, LogEvidence, MemorySample};

/// How printed memory develops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trend {
    /// It rises from the first figure to the last, after the first step as well.
    Rises {
        /// The first figure.
        from: MemorySample,
        /// The last figure before the failure.
        to: MemorySample,
    },
    /// Four figures or more differ by less than 2 %.
    Flat {
        /// The last figure.
        at: MemorySample,
        /// Their number.
        samples: usize,
    },
}

/// The trend of the figures before the first failure; `None` when they are few or uneven.
pub fn trend(log: &LogEvidence) -> Option<Trend> {
    let end = log.failures.first().map_or(usize::MAX, |failure| failure.line);
    let before: Vec<&MemorySample> =
        log.samples.iter().filter(|sample| sample.line < end).collect();
    // Output that was buffered lands below the failure.
    let series = if before.is_empty() { log.samples.iter().collect() } else { before };
    let (first, second, last) = (**series.first()?, **series.get(1)?, **series.last()?);
    if series.len() < 3 {
        return None;
    }
    let rises =
        series.windows(2).filter(|pair| matches!(pair, [a, b] if b.bytes > a.bytes)).count();
    let grown = last.bytes.saturating_sub(first.bytes);
    // The first step may add states and gradients once; a leak goes on after it.
    let later = last.bytes.saturating_sub(second.bytes);
    if rises * 10 >= (series.len() - 1) * 8
        && grown.share_of(last.bytes) > 0.2
        && later.0 > grown.0 / 4
    {
        return Some(Trend::Rises { from: first, to: last });
    }
    if is_steady(&series, grown) {
        return Some(Trend::Rises { from: first, to: last });
    }
    let flat = series.len() >= 4 && spread(&series).share_of(last.bytes) < 0.02;
    flat.then_some(Trend::Flat { at: last, samples: series.len() })
}

/// A short part of a long run shows little growth, but at every figure and evenly.
fn is_steady(series: &[&MemorySample], grown: Bytes) -> bool {
    const MANY: usize = 8;
    let middle = series.get(series.len() / 2);
    let (Some(first), Some(middle)) = (series.first(), middle) else { return false };
    let early = middle.bytes.saturating_sub(first.bytes).share_of(grown);
    series.len() >= MANY
        && series.windows(2).all(|pair| matches!(pair, [a, b] if b.bytes > a.bytes))
        && (0.35..0.65).contains(&early)
}

fn spread(series: &[&MemorySample]) -> Bytes {
    let sizes = series.iter().map(|sample| sample.bytes);
    match (sizes.clone().max(), sizes.min()) {
        (Some(most), Some(least)) => most.saturating_sub(least),
        _ => Bytes::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::{Trend, trend};
    use oomscope_model::{Bytes, LogEvidence, MemorySample};

    fn log(mebibytes: &[u64]) -> LogEvidence {
        let samples = mebibytes
            .iter()
            .enumerate()
            .map(|(line, size)| MemorySample {
                line: line + 1,
                step: None,
                bytes: Bytes::from_mib(*size),
            })
            .collect();
        LogEvidence { samples, ..LogEvidence::default() }
    }

    #[test]
    fn states_made_in_the_first_step_are_no_growth() {
        assert!(matches!(trend(&log(&[500, 700, 900, 1100])), Some(Trend::Rises { .. })));
        assert!(matches!(trend(&log(&[900, 901, 900, 902])), Some(Trend::Flat { samples: 4, .. })));
        assert_eq!(trend(&log(&[300, 900, 901, 902])), None);
        assert_eq!(trend(&log(&[300, 900])), None);
        let part: Vec<u64> = (0..12).map(|step| 9000 + 31 * step).collect();
        assert!(matches!(trend(&log(&part)), Some(Trend::Rises { .. })));
        assert!(!matches!(
            trend(&log(&[9000, 9090, 9100, 9101, 9102, 9103, 9104, 9105])),
            Some(Trend::Rises { .. })
        ));
    }
}
