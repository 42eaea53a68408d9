//! A number after every event, with the extremes of any stretch of events at hand: what a chart
//! draws at any zoom is then true. Built in O(n), asked in O(log n), a few percent on top of the
//! numbers themselves.

use std::ops::Range;

/// Entries of one level that one entry of the level above stands for.
const FAN: usize = 64;

/// What a series does over a stretch of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// After the first event.
    pub first: u64,
    /// The least.
    pub min: u64,
    /// The most.
    pub max: u64,
    /// After the last event.
    pub last: u64,
    /// Where it was most: the position of the first such number.
    pub max_at: usize,
}

/// Numbers by position, and the extremes of each [`FAN`] of them, of each `FAN` of those, and so on.
#[derive(Clone, Debug, Default)]
pub struct SeriesTree {
    values: Vec<u64>,
    levels: Vec<Vec<Extremes>>,
}

#[derive(Clone, Copy, Debug)]
struct Extremes {
    min: u64,
    max: u64,
    max_at: usize,
}

impl Extremes {
    fn with(self, other: Extremes) -> Extremes {
        let (max, max_at) =
            if other.max > self.max { (other.max, other.max_at) } else { (self.max, self.max_at) };
        Extremes { min: self.min.min(other.min), max, max_at }
    }
}

impl SeriesTree {
    /// The tree over `values`.
    pub fn new(values: Vec<u64>) -> SeriesTree {
        let mut levels: Vec<Vec<Extremes>> = Vec::new();
        let mut level: Vec<Extremes> = values
            .chunks(FAN)
            .zip((0..).step_by(FAN))
            .filter_map(|(chunk, start)| extremes_of(chunk, start))
            .collect();
        while !level.is_empty() {
            let above: Vec<Extremes> = match level.len() {
                1 => Vec::new(),
                _ => level.chunks(FAN).filter_map(|chunk| folded(None, chunk)).collect(),
            };
            levels.push(std::mem::replace(&mut level, above));
        }
        SeriesTree { values, levels }
    }

    /// The numbers.
    pub fn values(&self) -> &[u64] {
        &self.values
    }

    /// What the numbers do in `range`; `None` when it is empty or reaches beyond them.
    pub fn extent(&self, range: Range<usize>) -> Option<Extent> {
        let inside = self.values.get(range.clone())?;
        let (&first, &last) = (inside.first()?, inside.last()?);
        let found = self.extremes(range)?;
        Some(Extent { first, min: found.min, max: found.max, last, max_at: found.max_at })
    }

    /// Takes the ragged ends on each level, and climbs with the whole middle.
    fn extremes(&self, range: Range<usize>) -> Option<Extremes> {
        let Range { mut start, mut end } = range;
        let (head, tail) = (start.next_multiple_of(FAN).min(end), end - end % FAN);
        let mut left = extremes_of(self.values.get(start..head)?, start);
        let mut right =
            if tail >= head { extremes_of(self.values.get(tail..end)?, tail) } else { None };
        (start, end) = (head.div_ceil(FAN), tail / FAN);
        for level in &self.levels {
            if start >= end {
                break;
            }
            let head = start.next_multiple_of(FAN).min(end);
            let tail = (end - end % FAN).max(head);
            left = folded(left, level.get(start..head)?);
            right = join(folded(None, level.get(tail..end)?), right);
            (start, end) = (head.div_ceil(FAN), tail / FAN);
        }
        join(left, right)
    }
}

fn join(left: Option<Extremes>, right: Option<Extremes>) -> Option<Extremes> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.with(right)),
        (left, right) => left.or(right),
    }
}

fn folded(seed: Option<Extremes>, level: &[Extremes]) -> Option<Extremes> {
    level.iter().fold(seed, |sum, &next| join(sum, Some(next)))
}

fn extremes_of(values: &[u64], start: usize) -> Option<Extremes> {
    let entries = values.iter().zip(start..);
    entries
        .map(|(&value, at)| Extremes { min: value, max: value, max_at: at })
        .reduce(Extremes::with)
}

/// A series that stays the same for long: only its changes are kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps {
    /// The event from which on each value holds, ascending; the first one is 0.
    from: Vec<u32>,
    tree: SeriesTree,
}

impl Steps {
    /// From changes in order, each with the event from which on it holds.
    pub(crate) fn new(changes: Vec<(u32, u64)>) -> Steps {
        let (from, values) = changes.into_iter().unzip();
        Steps { from, tree: SeriesTree::new(values) }
    }

    /// The value after an event.
    pub(crate) fn at(&self, event: u32) -> u64 {
        let before = self.from.partition_point(|&from| from <= event);
        let value = before.checked_sub(1).and_then(|index| self.tree.values().get(index));
        value.copied().unwrap_or(0)
    }

    /// What it does over events; the positions are those of changes.
    pub(crate) fn extent(&self, events: Range<u32>) -> Option<Extent> {
        if events.is_empty() {
            return None;
        }
        let start = self.from.partition_point(|&from| from <= events.start).saturating_sub(1);
        let end = self.from.partition_point(|&from| from < events.end);
        self.tree.extent(start..end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Extent, SeriesTree, Steps};

    fn brute(values: &[u64], start: usize) -> Option<Extent> {
        let max = *values.iter().max()?;
        Some(Extent {
            first: *values.first()?,
            min: *values.iter().min()?,
            max,
            last: *values.last()?,
            max_at: start + values.iter().position(|&value| value == max)?,
        })
    }

    proptest! {
        #[test]
        fn any_stretch_has_its_true_extremes(
            values in prop::collection::vec(0_u64..1000, 0..9000),
            cuts in prop::collection::vec((0_usize..9100, 0_usize..9100), 40),
        ) {
            let tree = SeriesTree::new(values.clone());
            for (a, b) in cuts {
                let (start, end) = (a.min(b), a.max(b));
                let wanted = values.get(start..end).and_then(|inside| brute(inside, start));
                prop_assert_eq!(tree.extent(start..end), wanted);
            }
        }

        #[test]
        fn steps_answer_as_the_series_written_out(
            lengths in prop::collection::vec((1_u32..9, 0_u64..50), 1..300),
            cuts in prop::collection::vec((0_u32..900, 1_u32..200), 20),
        ) {
            let (mut changes, mut dense) = (Vec::new(), Vec::new());
            for (length, value) in lengths {
                changes.push((dense.len() as u32, value));
                dense.extend(std::iter::repeat_n(value, length as usize));
            }
            let steps = Steps::new(changes);
            for (start, length) in cuts {
                let end = (start + length).min(dense.len() as u32);
                let Some(inside) = dense.get(start as usize..end as usize) else { continue };
                let Some(wanted) = brute(inside, 0) else { continue };
                let found = steps.extent(start..end).expect("the stretch is not empty");
                prop_assert_eq!(
                    (found.first, found.min, found.max, found.last),
                    (wanted.first, wanted.min, wanted.max, wanted.last)
                );
                prop_assert_eq!(steps.at(start), wanted.first);
            }
        }
    }
}
