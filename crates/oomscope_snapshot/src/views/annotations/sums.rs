//! Sums over spans of events, each in constant or logarithmic time.

use oomscope_model::{Bytes, EventIndex};
use rustc_hash::FxHashSet;

use super::LabelRow;
use super::spans::Span;
use crate::analysis::Recording;
use crate::{Life, LiveBlock};

/// Running sums by event: entry `n` is of the first `n` events.
pub(super) struct Sums {
    allocated: Vec<u64>,
    blocks: Vec<u64>,
    freed: Vec<u64>,
    live: Vec<u64>,
    live_blocks: Vec<u64>,
    peaks: Maxima,
}

impl Sums {
    pub(super) fn of(recording: &Recording<'_>, lives: &[&Life], live: &[LiveBlock]) -> Sums {
        let events = recording.history().events as usize;
        let column = || vec![0_u64; events + 1];
        let mut sums = Sums {
            allocated: column(),
            blocks: column(),
            freed: column(),
            live: column(),
            live_blocks: column(),
            peaks: Maxima::default(),
        };
        let held: FxHashSet<EventIndex> =
            live.iter().filter_map(|block| block.allocated_at).collect();
        let mut before = 0_u64;
        for life in lives {
            let size = life.size.0;
            match life.allocated_at {
                Some(event) => {
                    add(&mut sums.allocated, event, size);
                    add(&mut sums.blocks, event, 1);
                    if held.contains(&event) {
                        add(&mut sums.live, event, size);
                        add(&mut sums.live_blocks, event, 1);
                    }
                }
                None if life.born == 0 => before = before.saturating_add(size),
                // Handed out without a record, some time before it is given up: left out.
                None => continue,
            }
            if let Some(event) = life.released_at() {
                add(&mut sums.freed, event, size);
            }
        }
        for column in [
            &mut sums.allocated,
            &mut sums.blocks,
            &mut sums.freed,
            &mut sums.live,
            &mut sums.live_blocks,
        ] {
            let mut sum = 0_u64;
            for entry in column {
                sum = sum.saturating_add(*entry);
                *entry = sum;
            }
        }
        let levels = sums.allocated.iter().zip(&sums.freed);
        let levels =
            levels.map(|(made, freed)| before.saturating_add(*made).saturating_sub(*freed));
        sums.peaks = Maxima::of(levels.collect());
        sums
    }

    /// The row of a label. Spans of it inside each other count once, but for their number.
    pub(super) fn row(&self, label: String, mut spans: Vec<Span>) -> LabelRow {
        spans.sort_unstable_by_key(|span| (span.from, span.times));
        let mut row = LabelRow { label, spans: spans.len() as u64, ..LabelRow::default() };
        let (mut done, mut timed) = (0_u32, 0_u64);
        for span in spans {
            if let Some((start, end)) = span.times {
                let time = end.saturating_sub(start.max(timed));
                row.time_us = Some(row.time_us.unwrap_or(0).saturating_add(time));
                timed = timed.max(end);
            }
            let (from, to) = (span.from.max(done), span.to.max(done));
            let of = |column: &[u64]| {
                let at = |event: u32| column.get(event as usize).copied().unwrap_or(0);
                at(to).saturating_sub(at(from))
            };
            row.allocated += Bytes(of(&self.allocated));
            row.blocks += of(&self.blocks);
            row.freed += Bytes(of(&self.freed));
            row.live += Bytes(of(&self.live));
            row.live_blocks += of(&self.live_blocks);
            row.peak = row.peak.max(self.peaks.in_range(from as usize, to as usize).map(Bytes));
            done = to;
        }
        row
    }
}

fn add(column: &mut [u64], EventIndex(event): EventIndex, by: u64) {
    if let Some(entry) = column.get_mut(event as usize + 1) {
        *entry = entry.saturating_add(by);
    }
}

/// A tree of maxima: node `n` has the children `2n` and `2n + 1`, the leaves come last.
#[derive(Default)]
struct Maxima {
    tree: Vec<u64>,
    leaves: usize,
}

impl Maxima {
    fn of(values: Vec<u64>) -> Maxima {
        let leaves = values.len();
        let mut tree = vec![0; leaves];
        tree.extend(values);
        for node in (1..leaves).rev() {
            let child = |at: usize| tree.get(at).copied().unwrap_or(0);
            let most = child(2 * node).max(child(2 * node + 1));
            if let Some(slot) = tree.get_mut(node) {
                *slot = most;
            }
        }
        Maxima { tree, leaves }
    }

    /// The largest value from `first` to `last`, both included.
    fn in_range(&self, first: usize, last: usize) -> Option<u64> {
        if last >= self.leaves || first > last {
            return None;
        }
        let (mut low, mut high) = (first + self.leaves, last + self.leaves + 1);
        let mut most = None;
        while low < high {
            if low % 2 == 1 {
                most = most.max(self.tree.get(low).copied());
                low += 1;
            }
            if high % 2 == 1 {
                high -= 1;
                most = most.max(self.tree.get(high).copied());
            }
            low /= 2;
            high /= 2;
        }
        most
    }
}

#[cfg(test)]
mod tests {
    use super::Maxima;

    #[test]
    fn maxima_of_every_range_are_found() {
        let values = vec![3, 1, 4, 1, 5, 9, 2];
        let maxima = Maxima::of(values.clone());
        for first in 0..values.len() {
            for last in first..values.len() {
                let most = values[first..=last].iter().max().copied();
                assert_eq!(maxima.in_range(first, last), most, "{first} to {last}");
            }
        }
        assert_eq!(maxima.in_range(0, 7), None);
    }
}
