//! Bytes of groups of blocks over time: births and completions swept once in order, of each group
//! only the changes kept. O(n) in the blocks, plus one look at each distinct stack.

use std::hash::Hash;
use std::ops::Range;

use oomscope_model::{BlockState, Bytes};
use rustc_hash::FxHashMap;

use super::grouping::{GroupBy, Keys, Spelling};
use super::moment::Point;
use super::series::Steps;
use crate::analysis::Recording;
use crate::history::moves::{Move, moves};
use crate::{Life, LiveBlock};

/// A group's bytes over time, waiting blocks included.
pub(super) struct BandSteps {
    pub(super) label: String,
    pub(super) steps: Steps,
    /// The most over the window.
    pub(super) peak: Bytes,
    pub(super) is_rest: bool,
}

/// The `top` groups by their own peaks in the window, steadiest first, and the rest as one.
pub(super) fn bands(
    recording: &Recording<'_>,
    point: &Point,
    lives: &[&Life],
    by: GroupBy,
    top: usize,
    window: &Range<u32>,
) -> Vec<BandSteps> {
    let (group_of, labels) = grouped(recording, point, lives, by);
    let moves = moves(lives.iter().copied(), recording.history().events);
    let mut spans = vec![Spans::default(); labels.len()];
    sweep(&moves, lives, &group_of, labels.len(), |group, event, bytes| {
        if let Some(spans) = spans.get_mut(group) {
            spans.change(event, bytes, window);
        }
    });
    let label = |group: usize| labels.get(group).map_or("", String::as_str);
    let mut order: Vec<(usize, Spans)> =
        spans.into_iter().map(|spans| spans.until(window.end, window)).enumerate().collect();
    order.sort_by(|a, b| b.1.peak.cmp(&a.1.peak).then_with(|| label(a.0).cmp(label(b.0))));
    let has_rest = order.len() > top;
    order.truncate(top);
    order.sort_by(|a, b| {
        let steadiness = b.1.steadiness().total_cmp(&a.1.steadiness());
        steadiness.then_with(|| b.1.peak.cmp(&a.1.peak)).then_with(|| label(a.0).cmp(label(b.0)))
    });
    let mut band_of = vec![order.len() as u32; labels.len()];
    for ((group, ..), band) in order.iter().zip(0_u32..) {
        if let Some(of) = band_of.get_mut(*group) {
            *of = band;
        }
    }
    let group_of: Vec<u32> = group_of
        .iter()
        .map(|&group| band_of.get(group as usize).copied().unwrap_or_default())
        .collect();
    let count = order.len() + usize::from(has_rest);
    let mut changes: Vec<Vec<(u32, u64)>> = vec![vec![(0, 0)]; count];
    sweep(&moves, lives, &group_of, count, |band, event, bytes| {
        let Some(changes) = changes.get_mut(band) else { return };
        match changes.last_mut() {
            Some(last) if last.0 == event => last.1 = bytes,
            _ => changes.push((event, bytes)),
        }
    });
    let names = order.iter().map(|(group, ..)| (label(*group).to_owned(), false));
    let names = names.chain(has_rest.then(|| ("other".to_owned(), true)));
    names
        .zip(changes)
        .map(|((label, is_rest), changes)| {
            let steps = Steps::new(changes);
            let peak = steps.extent(window.clone()).map_or(Bytes::ZERO, |extent| Bytes(extent.max));
            BandSteps { label, steps, peak, is_rest }
        })
        .collect()
}

/// What a group did in the window so far.
#[derive(Clone, Copy, Debug, Default)]
struct Spans {
    peak: u64,
    /// Bytes times events.
    area: u128,
    /// Since which event it has `bytes`.
    since: u32,
    bytes: u64,
}

impl Spans {
    fn change(&mut self, event: u32, bytes: u64, window: &Range<u32>) {
        *self = Spans { since: event, bytes, ..self.until(event, window) };
    }

    fn until(mut self, event: u32, window: &Range<u32>) -> Spans {
        let start = self.since.max(window.start);
        let events = event.min(window.end).saturating_sub(start);
        if events > 0 {
            self.peak = self.peak.max(self.bytes);
            self.area += u128::from(self.bytes) * u128::from(events);
        }
        self
    }

    /// The mean by the peak: 1 for what never changes.
    fn steadiness(&self) -> f64 {
        if self.peak == 0 { 0.0 } else { self.area as f64 / self.peak as f64 }
    }
}

/// Calls `seen(group, event, bytes)` at each change of a group, in order. What is
/// older than the first event counts as its doing.
fn sweep(
    moves: &[Move],
    lives: &[&Life],
    group_of: &[u32],
    groups: usize,
    mut seen: impl FnMut(usize, u32, u64),
) {
    let mut sums = vec![0_u64; groups];
    for next in moves {
        let index = next.life as usize;
        let (Some(life), Some(&group)) = (lives.get(index), group_of.get(index)) else { continue };
        let Some(sum) = sums.get_mut(group as usize) else { continue };
        *sum = if next.is_birth {
            sum.saturating_add(life.size.0)
        } else {
            sum.saturating_sub(life.size.0)
        };
        seen(group as usize, next.time.saturating_sub(1), *sum);
    }
}

/// The group of each life, and the groups' labels.
fn grouped(
    recording: &Recording<'_>,
    point: &Point,
    lives: &[&Life],
    by: GroupBy,
) -> (Vec<u32>, Vec<String>) {
    let state = recording.state(point.at);
    let past = recording.past(point.at, &state);
    let now = recording.history().time(point.at);
    let spelling = Spelling::default();
    let keys = Keys { recording, past: &past, state: &state, by, now, spelling: &spelling };
    let mut labels = Labels::default();
    let label = |life: &Life| keys.label(&as_block(life));
    let of_lives = if by == GroupBy::Pool {
        pools(recording, lives).into_iter().map(|pool| labels.index(pool)).collect()
    } else if keys.depends_on_stack_alone() {
        labels.by_key(lives, |life| life.stack, label)
    } else if by == GroupBy::Category {
        let categories = recording.categories();
        labels.by_key(lives, |life| categories.of(&as_block(life)).kind, label)
    } else if by == GroupBy::Phase {
        // A block without a stack has the phase that it was made in.
        labels.by_key(lives, |life| (life.stack, life.allocated_at), label)
    } else {
        // Few kinds of blocks: most have their stack, size and stream in common with others.
        let kind = |life: &Life| (life.stack, life.size, life.stream, life.allocated_at.is_none());
        labels.by_key(lives, kind, label)
    };
    (of_lives, labels.labels)
}

/// The pool of each life's segment when it was born.
fn pools(recording: &Recording<'_>, lives: &[&Life]) -> Vec<String> {
    let history = recording.history();
    let mut order: Vec<usize> = (0..lives.len()).collect();
    order.sort_unstable_by_key(|&index| lives.get(index).map(|life| std::cmp::Reverse(life.born)));
    let mut layout = history.layout.clone();
    let mut changes = history.changes.iter().rev().peekable();
    let mut pools = vec![String::new(); lives.len()];
    for index in order {
        let (Some(life), Some(pool)) = (lives.get(index), pools.get_mut(index)) else { continue };
        while let Some(&change) = changes.next_if(|change| change.time > life.born) {
            layout.undo(change);
        }
        *pool = layout
            .range_of(life.addr)
            .map_or_else(|| "unknown pool".to_owned(), crate::SegmentRange::pool_name);
    }
    pools
}

fn as_block(life: &Life) -> LiveBlock {
    LiveBlock {
        addr: life.addr,
        size: life.size,
        requested: life.requested,
        stack: life.stack,
        state: BlockState::Allocated,
        stream: life.stream,
        allocated_at: life.allocated_at,
    }
}

/// Labels, each once.
#[derive(Default)]
struct Labels {
    by_label: FxHashMap<String, u32>,
    labels: Vec<String>,
}

impl Labels {
    fn index(&mut self, label: String) -> u32 {
        let labels = &mut self.labels;
        *self.by_label.entry(label).or_insert_with_key(|label| {
            labels.push(label.clone());
            labels.len() as u32 - 1
        })
    }

    /// The label's index of each life; lives with equal keys have equal labels.
    fn by_key<K: Eq + Hash>(
        &mut self,
        lives: &[&Life],
        key: impl Fn(&Life) -> K,
        label: impl Fn(&Life) -> String,
    ) -> Vec<u32> {
        let mut known: FxHashMap<K, u32> = FxHashMap::default();
        let index =
            |life: &&Life| *known.entry(key(life)).or_insert_with(|| self.index(label(life)));
        lives.iter().map(index).collect()
    }
}
