//! Bytes by whole stack: what flame graphs and call trees are drawn from.

use oomscope_model::{Bytes, MemoryState, StackId};
use rustc_hash::FxHashMap;

use super::moment::Point;
use super::selection::Selection;
use crate::analysis::Recording;

/// Which blocks are summed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scope {
    /// Those that live at a moment.
    Live(Point),
    /// Those handed out after the first moment, or from the start, and up to the second.
    Allocated(Option<Point>, Point),
}

/// The blocks of one stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackSum {
    /// The stack; [`StackId::NONE`] for blocks without one.
    pub stack: StackId,
    /// Bytes after rounding.
    pub bytes: Bytes,
    /// Bytes asked for.
    pub requested: Bytes,
    /// Number of blocks.
    pub blocks: u64,
}

impl StackSum {
    /// Adds the blocks of another stack.
    pub fn add(&mut self, other: &StackSum) {
        self.bytes += other.bytes;
        self.requested += other.requested;
        self.blocks += other.blocks;
    }
}

/// The selected blocks by stack.
#[derive(Clone, Debug, PartialEq)]
pub struct StackSums {
    /// Which blocks.
    pub scope: Scope,
    /// The device's counters at the moment, or at the end of the window, the selection aside.
    pub counters: MemoryState,
    /// Most bytes first.
    pub stacks: Vec<StackSum>,
}

/// Sums the selected blocks by stack.
pub fn stack_sums(recording: &Recording<'_>, scope: Scope, selection: &Selection) -> StackSums {
    let mut sums: FxHashMap<StackId, StackSum> = FxHashMap::default();
    let mut add = |stack: StackId, size: Bytes, requested: Bytes| {
        let sum = sums.entry(stack).or_insert(StackSum {
            stack,
            bytes: Bytes::ZERO,
            requested: Bytes::ZERO,
            blocks: 0,
        });
        sum.bytes += size;
        sum.requested += requested;
        sum.blocks += 1;
    };
    let counters = match scope {
        Scope::Live(point) => {
            let state = recording.state(point.at);
            for block in selection.live(&state) {
                add(block.stack, block.size, block.requested);
            }
            state.counters
        }
        Scope::Allocated(from, to) => {
            let history = recording.history();
            let from = from.map_or(0, |from| history.time(from.at));
            let until = history.time(to.at);
            for life in recording.lives(selection) {
                if life.allocated_at.is_some_and(|event| (from..until).contains(&event.0)) {
                    add(life.stack, life.size, life.requested);
                }
            }
            recording.state(to.at).counters
        }
    };
    let mut stacks: Vec<StackSum> = sums.into_values().collect();
    stacks.sort_unstable_by_key(|sum| (std::cmp::Reverse(sum.bytes), sum.stack));
    StackSums { scope, counters, stacks }
}
