//! What is reserved, and the largest free block, after every event: the trace is walked backwards
//! over a balanced tree of all addresses that ever mattered. O((n + a) log a) for n events and a
//! distinct addresses (few: the allocator hands the same ones out again), 40 bytes an address.

use rustc_hash::FxHashMap;

use crate::history::layout::{Change, Layout, SegmentRange};
use crate::history::moves::{Move, moves};
use crate::history::{History, Life};
use oomscope_model::rounding::LARGEST;

/// Bytes after each event, by event index, of the segments that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reservation {
    /// Held from the device.
    pub(crate) reserved: Vec<u64>,
    /// In the largest stretch between blocks.
    pub(crate) largest_free: Vec<u64>,
}

impl History {
    /// What the `selected` segments hold after every event; equal to [`History::state_at`] at each.
    pub(crate) fn reservation(&self, selected: impl Fn(&SegmentRange) -> bool) -> Reservation {
        let mut result = Reservation {
            reserved: vec![0; self.events as usize],
            largest_free: vec![0; self.events as usize],
        };
        let mut walk = Walk::at_the_dump(self, selected);
        let moves = moves(&self.lives, self.events);
        let mut moves = moves.iter().rev().peekable();
        let mut changes = self.changes.iter().rev().peekable();
        let cells = result.reserved.iter_mut().zip(&mut result.largest_free);
        for ((reserved, largest_free), before) in cells.zip(0..self.events).rev() {
            let time = before + 1;
            // What happened later is taken back.
            while let Some(next) = moves.next_if(|next| next.time > time) {
                walk.take_back(next, &self.lives);
            }
            while let Some(&change) = changes.next_if(|change| change.time > time) {
                walk.undo(change);
            }
            *reserved = walk.reserved;
            *largest_free = walk.tree.largest();
        }
        result
    }
}

/// A position at which something can begin or end. Where several do, in this order: what ends
/// there, what begins there, the block there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    End,
    Start,
    Block,
}

struct Walk<F> {
    selected: F,
    layout: Layout,
    reserved: u64,
    tree: GapTree,
    leaves: FxHashMap<u64, Leaves>,
}

/// The leaves of an address: one for a block, two more before it where ranges begin or end.
#[derive(Clone, Copy, Default)]
struct Leaves {
    first: usize,
    has_edges: bool,
}

impl Leaves {
    fn of(self, rank: Rank) -> usize {
        if self.has_edges { self.first + rank as usize } else { self.first }
    }
}

impl<F: Fn(&SegmentRange) -> bool> Walk<F> {
    fn at_the_dump(history: &History, selected: F) -> Walk<F> {
        let (leaves, count) = leaves(history);
        let mut tree = GapTree::with_leaves(count);
        let mut reserved = 0_u64;
        let mut set = |addr: u64, rank: Rank, item: Gaps| {
            if let Some(leaves) = leaves.get(&addr) {
                tree.place(leaves.of(rank), item);
            }
        };
        for range in history.layout.ranges().filter(|range| selected(range)) {
            reserved = reserved.saturating_add(range.total.0);
            set(range.addr, Rank::Start, Gaps::start(range.addr));
            set(range.end(), Rank::End, Gaps::end(range.end()));
        }
        for life in history.lives.iter().filter(|life| life.state_at(history.events).is_some()) {
            set(life.addr, Rank::Block, Gaps::block(life));
        }
        tree.build();
        Walk { selected, layout: history.layout.clone(), reserved, tree, leaves }
    }

    fn take_back(&mut self, last: &Move, lives: &[Life]) {
        let Some(life) = lives.get(last.life as usize) else { return };
        let item = if last.is_birth { Gaps::NONE } else { Gaps::block(life) };
        self.set(life.addr, Rank::Block, item);
    }

    fn undo(&mut self, change: Change) {
        let (start, end) = edges(change);
        let before = self.near(start, end);
        self.layout.undo(change);
        let after = self.near(start, end);
        let sum = |ranges: &[SegmentRange]| -> u64 {
            let ranges = ranges.iter().filter(|range| (self.selected)(range));
            ranges.fold(0, |sum, range| sum.saturating_add(range.total.0))
        };
        self.reserved = self.reserved.saturating_add(sum(&after)).saturating_sub(sum(&before));
        for range in before.iter().chain(&after) {
            self.set_edges_at(range.addr);
            self.set_edges_at(range.end());
        }
    }

    /// The ranges that a change of `start..end` can touch.
    fn near(&self, start: u64, end: u64) -> Vec<SegmentRange> {
        let places = [start.checked_sub(1), Some(start), end.checked_sub(1), Some(end)];
        let mut ranges: Vec<SegmentRange> = places
            .into_iter()
            .flatten()
            .filter_map(|addr| self.layout.range_of(addr).copied())
            .collect();
        ranges.dedup_by_key(|range| range.addr);
        ranges
    }

    fn set_edges_at(&mut self, addr: u64) {
        let chosen =
            |range: Option<&SegmentRange>| range.filter(|range| (self.selected)(range)).copied();
        let before = addr.checked_sub(1).and_then(|last| chosen(self.layout.range_of(last)));
        let ends = before.is_some_and(|range| range.end() == addr);
        let starts = chosen(self.layout.range_of(addr)).is_some_and(|range| range.addr == addr);
        self.set(addr, Rank::End, if ends { Gaps::end(addr) } else { Gaps::NONE });
        self.set(addr, Rank::Start, if starts { Gaps::start(addr) } else { Gaps::NONE });
    }

    fn set(&mut self, addr: u64, rank: Rank, item: Gaps) {
        if let Some(leaves) = self.leaves.get(&addr) {
            self.tree.set(leaves.of(rank), item);
        }
    }
}

/// The leaves of every address at which a block or a range ever begins or ends, and their number.
fn leaves(history: &History) -> (FxHashMap<u64, Leaves>, usize) {
    let mut leaves: FxHashMap<u64, Leaves> = FxHashMap::default();
    for life in &history.lives {
        leaves.entry(life.addr).or_default();
    }
    let ranges = history.layout.ranges().map(|range| (range.addr, range.end()));
    for (start, end) in ranges.chain(history.changes.iter().map(|&change| edges(change))) {
        leaves.entry(start).or_default().has_edges = true;
        leaves.entry(end).or_default().has_edges = true;
    }
    let mut by_address: Vec<(u64, &mut Leaves)> =
        leaves.iter_mut().map(|(addr, leaves)| (*addr, leaves)).collect();
    by_address.sort_unstable_by_key(|(addr, _)| *addr);
    let mut count = 0;
    for (_, leaves) in by_address {
        leaves.first = count;
        count += if leaves.has_edges { 3 } else { 1 };
    }
    (leaves, count)
}

fn edges(change: Change) -> (u64, u64) {
    (change.addr, change.addr.saturating_add(change.size.min(LARGEST)))
}

/// What lies between the items of a stretch of addresses. Items are blocks and the starts and ends
/// of ranges; only what lies in a range is free.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Gaps {
    /// Where the first item begins.
    first: u64,
    /// Where the last item ends.
    last: u64,
    /// The largest free stretch when a range is open on the left.
    most_if_open: u64,
    /// The largest free stretch when none is.
    most_if_shut: u64,
    content: Content,
}

/// What the items of a stretch do to a range that is open on its left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    /// There are none.
    Nothing,
    /// Blocks only.
    Blocks,
    /// A range is open on the right.
    Opens,
    /// None is.
    Shuts,
}

impl Gaps {
    const NONE: Gaps = Gaps::item(0, 0, Content::Nothing);

    const fn item(first: u64, last: u64, content: Content) -> Gaps {
        Gaps { first, last, most_if_open: 0, most_if_shut: 0, content }
    }

    fn start(addr: u64) -> Gaps {
        Gaps::item(addr, addr, Content::Opens)
    }

    fn end(addr: u64) -> Gaps {
        Gaps::item(addr, addr, Content::Shuts)
    }

    fn block(life: &Life) -> Gaps {
        Gaps::item(life.addr, life.addr.saturating_add(life.size.0), Content::Blocks)
    }

    fn with(self, right: Gaps) -> Gaps {
        if right.content == Content::Nothing {
            return self;
        }
        if self.content == Content::Nothing {
            return right;
        }
        let across = right.first.saturating_sub(self.last);
        let if_open = right.most_if_open.max(across);
        let (when_open, when_shut) = match self.content {
            Content::Nothing | Content::Blocks => (if_open, right.most_if_shut),
            Content::Opens => (if_open, if_open),
            Content::Shuts => (right.most_if_shut, right.most_if_shut),
        };
        Gaps {
            first: self.first,
            last: right.last,
            most_if_open: self.most_if_open.max(when_open),
            most_if_shut: self.most_if_shut.max(when_shut),
            content: if right.content == Content::Blocks { self.content } else { right.content },
        }
    }
}

/// A complete binary tree: node `n` has the children `2n` and `2n + 1`, node 1 is the root.
struct GapTree {
    nodes: Vec<Gaps>,
    /// The node of the first leaf.
    leaves: usize,
}

impl GapTree {
    fn with_leaves(count: usize) -> GapTree {
        let leaves = count.max(1).next_power_of_two();
        GapTree { nodes: vec![Gaps::NONE; leaves * 2], leaves }
    }

    /// Sets a leaf without the nodes above it.
    fn place(&mut self, leaf: usize, item: Gaps) {
        if let Some(node) = self.nodes.get_mut(self.leaves + leaf) {
            *node = item;
        }
    }

    fn build(&mut self) {
        for at in (1..self.leaves).rev() {
            self.update(at);
        }
    }

    fn set(&mut self, leaf: usize, item: Gaps) {
        self.place(leaf, item);
        let mut at = (self.leaves | leaf) >> 1;
        while at > 0 && self.update(at) == Updated::Changed {
            at /= 2;
        }
    }

    fn update(&mut self, at: usize) -> Updated {
        let Some(&[left, right]) = self.nodes.get(2 * at..2 * at + 2) else {
            return Updated::Same;
        };
        let sum = left.with(right);
        match self.nodes.get_mut(at) {
            Some(node) if *node != sum => {
                *node = sum;
                Updated::Changed
            }
            _ => Updated::Same,
        }
    }

    fn largest(&self) -> u64 {
        self.nodes.get(1).map_or(0, |root| root.most_if_shut)
    }
}

#[derive(PartialEq, Eq)]
enum Updated {
    Changed,
    Same,
}
