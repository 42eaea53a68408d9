//! Which blocks a view shows: of a stream, of a pool, made by stacks with a wanted frame.

use std::str::FromStr;

use oomscope_model::{Frame, SegmentPool, StackId};

use crate::analysis::Recording;
use crate::history::{History, Layout};
use crate::{At, Life, LiveBlock, SegmentRange, Stacks, State};

/// What a view is narrowed to; the default is everything.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Blocks of this CUDA stream handle.
    pub stream: Option<u64>,
    /// Blocks in segments of this pool.
    pub pool: Option<PoolChoice>,
    /// Blocks made by these stacks.
    pub stacks: Option<StackSet>,
}

/// A pool by name: `small`, `large`, `default`, `private` or a private pool's id, `OWNER.ID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolChoice {
    /// Segments for requests up to 1 MiB.
    Small,
    /// Segments for larger requests.
    Large,
    /// All that is not private.
    Default,
    /// All private pools (CUDA graphs, `MemPool`).
    Private,
    /// One private pool.
    Id((u64, u64)),
}

impl PoolChoice {
    fn has(self, segment: &SegmentRange) -> bool {
        match self {
            PoolChoice::Small => segment.pool == SegmentPool::Small,
            PoolChoice::Large => segment.pool == SegmentPool::Large,
            PoolChoice::Default => segment.pool_id == (0, 0),
            PoolChoice::Private => segment.pool_id != (0, 0),
            PoolChoice::Id(id) => segment.pool_id == id,
        }
    }
}

impl FromStr for PoolChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<PoolChoice, String> {
        Ok(match text {
            "small" => PoolChoice::Small,
            "large" => PoolChoice::Large,
            "default" => PoolChoice::Default,
            "private" => PoolChoice::Private,
            id => {
                let parts = id
                    .split_once('.')
                    .and_then(|(owner, id)| Some((owner.parse().ok()?, id.parse().ok()?)));
                PoolChoice::Id(parts.ok_or_else(|| {
                    format!("`{id}` is no pool: small, large, default, private or OWNER.ID")
                })?)
            }
        })
    }
}

/// A set of stacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackSet {
    wanted: Vec<bool>,
}

impl StackSet {
    /// The stacks that have a frame which `matches`. A stack that is not recorded has none. Each
    /// frame is looked at once.
    pub fn with_frame(stacks: &Stacks, mut matches: impl FnMut(&Frame) -> bool) -> StackSet {
        let frames: Vec<bool> = stacks.frames().iter().map(&mut matches).collect();
        let mut wanted: Vec<bool> = Vec::with_capacity(stacks.len());
        // Callers precede the stacks that they call.
        for (caller, frame) in stacks.edges() {
            let above = wanted.get(caller.0 as usize).copied().unwrap_or(false);
            wanted.push(above || frames.get(frame.0 as usize).copied().unwrap_or(false));
        }
        StackSet { wanted }
    }

    /// Whether a stack is one of them.
    pub fn has(&self, stack: StackId) -> bool {
        self.wanted.get(stack.0 as usize).copied().unwrap_or(false)
    }
}

impl Selection {
    /// Whether everything is selected.
    pub fn is_all(&self) -> bool {
        self.stream.is_none() && self.pool.is_none() && self.stacks.is_none()
    }

    fn has_origin(&self, stream: u64, stack: StackId) -> bool {
        self.stream.is_none_or(|wanted| wanted == stream)
            && self.stacks.as_ref().is_none_or(|wanted| wanted.has(stack))
    }

    /// The selected ones of a state's live blocks.
    pub fn live<'b>(&'b self, state: &'b State) -> impl Iterator<Item = &'b LiveBlock> {
        state.live.iter().filter(move |block| {
            self.has_origin(block.stream, block.stack)
                && self.pool.is_none_or(|pool| {
                    state.segment_of(block.addr).is_some_and(|segment| pool.has(segment))
                })
        })
    }

    /// The selected segments of a state.
    pub fn segments<'b>(&'b self, state: &'b State) -> impl Iterator<Item = &'b SegmentRange> {
        state.segments.iter().filter(move |segment| self.has_segment(segment))
    }

    /// Whether a segment is selected: by stream and pool, stacks aside.
    pub(crate) fn has_segment(&self, segment: &SegmentRange) -> bool {
        self.stream.is_none_or(|wanted| wanted == segment.stream)
            && self.pool.is_none_or(|pool| pool.has(segment))
    }
}

impl Recording<'_> {
    /// The lives of the selected blocks, in no order.
    pub fn lives<'b>(&'b self, selection: &'b Selection) -> Vec<&'b Life> {
        let history = self.history();
        let candidates =
            history.lives.iter().filter(|life| selection.has_origin(life.stream, life.stack));
        match selection.pool {
            None => candidates.collect(),
            Some(pool) => in_pool(history, candidates.collect(), pool),
        }
    }

    /// The state at a point.
    pub fn state(&self, at: At) -> State {
        self.history().state_at(at)
    }
}

/// Those lives whose segment, when they were born, was of a pool.
fn in_pool<'b>(history: &History, mut lives: Vec<&'b Life>, pool: PoolChoice) -> Vec<&'b Life> {
    lives.sort_unstable_by_key(|life| std::cmp::Reverse(life.born));
    let mut layout: Layout = history.layout.clone();
    let mut changes = history.changes.iter().rev().peekable();
    lives.retain(|life| {
        while let Some(&change) = changes.next_if(|change| change.time > life.born) {
            layout.undo(change);
        }
        layout.range_of(life.addr).is_some_and(|segment| pool.has(segment))
    });
    lives
}
