//! One device's steps, and the same brought onto an even grid of bounded length.

use oomscope_model::Bytes;

/// What one record of a step says of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Which step; rises from point to point.
    pub step: u64,
    /// How many steps the point stands for, at least 1.
    pub stride: u64,
    /// Allocated when the step ended.
    pub allocated: Bytes,
    /// Highest allocated within the steps that the point stands for.
    pub peak: Bytes,
    /// Held from the device when the step ended.
    pub reserved: Option<Bytes>,
}

/// One value at one step. Bytes, signed for the sake of differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) step: u64,
    pub(super) value: i64,
}

impl Sample {
    pub(super) fn bytes(self) -> Bytes {
        Bytes(self.value.unsigned_abs())
    }
}

/// Which end of a group of values stands for the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Envelope {
    Lower,
    Upper,
}

/// The three tracks of one device, on cells of `width` steps each.
#[derive(Debug)]
pub(super) struct Tracks {
    pub(super) width: u64,
    pub(super) floor: Vec<Sample>,
    pub(super) peak: Vec<Sample>,
    pub(super) reserved: Vec<Sample>,
}

/// Everything after this is quadratic in the number of cells at worst.
const MAX_CELLS: u64 = 4096;

/// Far above any device; keeps differences of two values within `i64`.
const MAX_BYTES: u64 = 1 << 60;

/// Groups the points into cells: the lowest floor, the highest peak. Thinned records make the
/// points uneven; cells as wide as the usual distance make them even again.
pub(super) fn tracks(points: &[Point]) -> Tracks {
    let first = points.first().map_or(0, |point| point.step);
    let span = points.last().map_or(0, |point| point.step.saturating_sub(first));
    let mut gaps: Vec<u64> = points
        .iter()
        .zip(points.iter().skip(1))
        .map(|(before, after)| after.step.saturating_sub(before.step))
        .collect();
    gaps.sort_unstable();
    let usual = gaps.get(gaps.len() / 2).copied().unwrap_or(1);
    let width = usual.max(span / MAX_CELLS + 1).max(1);
    let mut tracks = Tracks { width, floor: Vec::new(), peak: Vec::new(), reserved: Vec::new() };
    let mut current = None;
    let mut previous: Option<u64> = None;
    for point in points {
        if previous.is_some_and(|step| step >= point.step) {
            continue;
        }
        previous = Some(point.step);
        let cell = point.step.saturating_sub(first) / width;
        let same = current == Some(cell);
        current = Some(cell);
        merge(&mut tracks.floor, same, point.step, point.allocated, Envelope::Lower);
        merge(&mut tracks.peak, same, point.step, point.peak, Envelope::Upper);
        if let Some(reserved) = point.reserved {
            merge(&mut tracks.reserved, same, point.step, reserved, Envelope::Upper);
        }
    }
    tracks
}

fn merge(track: &mut Vec<Sample>, same: bool, step: u64, bytes: Bytes, envelope: Envelope) {
    let value = i64::try_from(bytes.0.min(MAX_BYTES)).unwrap_or(i64::MAX);
    let sample = Sample { step, value };
    match track.last_mut() {
        Some(last) if same => *last = envelope.of(*last, sample),
        _ => track.push(sample),
    }
}

impl Envelope {
    /// The one that stands for both; the first of equals.
    fn of(self, first: Sample, second: Sample) -> Sample {
        let second_wins = match self {
            Envelope::Lower => second.value < first.value,
            Envelope::Upper => second.value > first.value,
        };
        if second_wins { second } else { first }
    }
}

/// Blocks of `length` samples, aligned to the end; a shorter one at the start is left out.
pub(super) fn blocks(track: &[Sample], length: usize, envelope: Envelope) -> Vec<Sample> {
    let mut blocks: Vec<Sample> = track
        .rchunks_exact(length.max(1))
        .filter_map(|block| block.iter().copied().reduce(|a, b| envelope.of(a, b)))
        .collect();
    blocks.reverse();
    blocks
}
