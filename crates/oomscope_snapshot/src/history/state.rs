//! A device's memory at one moment: counters, live blocks, segments.

use oomscope_model::{BlockState, Bytes, DeviceId, EventIndex, MemoryState, StackId};

use crate::history::layout::{Layout, SegmentRange};
use crate::history::{History, Life, history};
use crate::snapshot::Snapshot;

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The dump.
    End,
    /// Right before an event.
    Before(EventIndex),
    /// Right after an event.
    After(EventIndex),
}

/// A block that is held, or waits for a stream, at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveBlock {
    /// Device address.
    pub addr: u64,
    /// Size after rounding, see [`Life::size`].
    pub size: Bytes,
    /// Size asked for.
    pub requested: Bytes,
    /// Who asked for it; [`StackId::NONE`] when not known.
    pub stack: StackId,
    /// Held or waiting.
    pub state: BlockState,
    /// CUDA stream handle.
    pub stream: u64,
    /// Its `alloc` event; `None` when older than the trace.
    pub allocated_at: Option<EventIndex>,
}

/// A device's memory at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The allocator's counters.
    pub counters: MemoryState,
    /// Held and waiting blocks, by address.
    pub live: Vec<LiveBlock>,
    /// What is held from the device, by address.
    pub segments: Vec<SegmentRange>,
}

/// The state of `device` at a moment. For several moments, build [`history`] once and ask it.
pub fn state_at(snapshot: &Snapshot, device: DeviceId, at: At) -> State {
    history(snapshot, device).state_at(at)
}

impl State {
    /// The segment that holds an address.
    pub fn segment_of(&self, addr: u64) -> Option<&SegmentRange> {
        let after = self.segments.partition_point(|segment| segment.addr <= addr);
        let segment = self.segments.get(after.checked_sub(1)?)?;
        (addr < segment.end()).then_some(segment)
    }
}

impl History {
    /// The state at a moment.
    pub fn state_at(&self, at: At) -> State {
        let time = self.time(at);
        let mut live: Vec<LiveBlock> =
            self.lives.iter().filter_map(|life| live_block(life, time)).collect();
        live.sort_unstable_by_key(|block| block.addr);
        let layout = self.layout_at(time);
        let segments: Vec<SegmentRange> = layout.ranges().copied().collect();
        let counters = counters_of(&live, &segments);
        State { counters, live, segments }
    }

    pub(crate) fn time(&self, at: At) -> u32 {
        match at {
            At::End => self.events,
            At::Before(event) => event.0.min(self.events),
            At::After(event) => event.0.saturating_add(1).min(self.events),
        }
    }

    fn layout_at(&self, time: u32) -> Layout {
        let mut layout = self.layout.clone();
        for &change in self.changes.iter().rev().take_while(|change| change.time > time) {
            layout.undo(change);
        }
        layout
    }
}

fn live_block(life: &Life, time: u32) -> Option<LiveBlock> {
    let state = life.state_at(time)?;
    Some(LiveBlock {
        addr: life.addr,
        size: life.size,
        requested: life.requested,
        stack: life.stack,
        state,
        stream: life.stream,
        allocated_at: life.allocated_at,
    })
}

/// Sums the state up; both slices are sorted by address.
fn counters_of(live: &[LiveBlock], segments: &[SegmentRange]) -> MemoryState {
    let sum = |wanted: BlockState| -> Bytes {
        live.iter().filter(|block| block.state == wanted).map(|block| block.size).sum()
    };
    let allocated = sum(BlockState::Allocated);
    let pending_free = sum(BlockState::PendingFree);
    let is_private = |segment: &&SegmentRange| segment.pool_id != (0, 0);
    let mut largest_free_block = Bytes::ZERO;
    let mut inactive_split = Bytes::ZERO;
    for segment in segments {
        let inside = blocks_inside(live, segment);
        // As PyTorch counts: free pages of an expandable segment can be unmapped, none is stranded.
        let is_partly_used = !inside.is_empty() && !segment.is_expandable;
        for gap in gaps(inside, segment) {
            largest_free_block = largest_free_block.max(gap);
            if is_partly_used {
                inactive_split += gap;
            }
        }
    }
    MemoryState {
        reserved: segments.iter().map(|segment| segment.total).sum(),
        allocated,
        active: allocated + pending_free,
        requested: Some(live.iter().map(|block| block.requested).sum()),
        private_pools: segments.iter().filter(is_private).map(|segment| segment.total).sum(),
        pending_free,
        largest_free_block: Some(largest_free_block),
        inactive_split: Some(inactive_split),
    }
}

fn blocks_inside<'b>(live: &'b [LiveBlock], segment: &SegmentRange) -> &'b [LiveBlock] {
    let start = live.partition_point(|block| block.addr < segment.addr);
    let end = live.partition_point(|block| block.addr < segment.end());
    live.get(start..end).unwrap_or_default()
}

/// The free stretches of a segment.
fn gaps(inside: &[LiveBlock], segment: &SegmentRange) -> impl Iterator<Item = Bytes> {
    let starts = inside.iter().map(|block| block.addr).chain([segment.end()]);
    let ends = inside.iter().map(|block| block.addr.saturating_add(block.size.0));
    let ends = [segment.addr].into_iter().chain(ends);
    starts.zip(ends).map(|(start, end)| Bytes(start.saturating_sub(end)))
}
