//! The memory map at a moment: every segment with its blocks and the holes between them.

use std::cmp::Reverse;

use oomscope_model::{BlockState, Bytes, EventIndex, MemoryState, Place, Role};
use rustc_hash::FxHashMap;

use super::moment::Point;
use super::selection::Selection;
use crate::analysis::Recording;
use crate::{LiveBlock, SegmentRange};

/// In which order segments come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentOrder {
    /// By address.
    Address,
    /// Largest first.
    Size,
    /// Most free bytes beside live blocks first: what the device cannot have back.
    Waste,
}

/// A stretch of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedBlock {
    /// Device address.
    pub addr: u64,
    /// Bytes.
    pub size: Bytes,
    /// Asked for; `None` for a free stretch.
    pub requested: Option<Bytes>,
    /// Held, waiting or free.
    pub state: BlockState,
    /// Whether the selection keeps it; free stretches are never selected.
    pub is_selected: bool,
    /// What it most likely is; `None` for a free stretch.
    pub category: Option<Role>,
    /// The user's line that made it.
    pub place: Option<Place>,
    /// The library call right below it.
    pub library_call: Option<String>,
    /// The event that made it; `None` when older than the trace or free.
    pub allocated_at: Option<EventIndex>,
    /// Microseconds since then, where recorded.
    pub age_us: Option<u64>,
}

/// A segment, or a mapped range of an expandable one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedSegment {
    /// Where it is and whose.
    pub range: SegmentRange,
    /// In blocks that tensors hold.
    pub allocated: Bytes,
    /// In blocks that wait for a stream.
    pub pending: Bytes,
    /// Between blocks.
    pub free: Bytes,
    /// The largest stretch between blocks.
    pub largest_hole: Bytes,
    /// Number of stretches between blocks.
    pub holes: u64,
    /// Address space of the same expandable segment, not mapped, between it and the next range.
    pub unmapped_after: Option<Bytes>,
    /// Blocks and holes by address.
    pub blocks: Vec<MappedBlock>,
}

impl MappedSegment {
    /// Free bytes that cannot go back to the device while the segment's blocks live.
    pub fn waste(&self) -> Bytes {
        let is_idle = self.allocated == Bytes::ZERO && self.pending == Bytes::ZERO;
        if is_idle { Bytes::ZERO } else { self.free }
    }
}

/// Segments of one pool and stream, summed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolTotal {
    /// The pool in words.
    pub pool: String,
    /// CUDA stream handle.
    pub stream: u64,
    /// Number of segments.
    pub segments: u64,
    /// Their bytes.
    pub reserved: Bytes,
    /// In blocks that tensors hold.
    pub allocated: Bytes,
    /// In blocks that wait for a stream.
    pub pending: Bytes,
    /// Between blocks.
    pub free: Bytes,
    /// The largest stretch between blocks.
    pub largest_hole: Bytes,
}

/// The memory map of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentMap {
    /// The moment.
    pub point: Point,
    /// The device's counters then, the selection aside.
    pub counters: MemoryState,
    /// The order of the segments.
    pub order: SegmentOrder,
    /// The selected segments; where stacks are selected, those that hold one of their blocks.
    pub segments: Vec<MappedSegment>,
    /// Their sums, most reserved first.
    pub totals: Vec<PoolTotal>,
}

/// The map at a moment.
pub fn segment_map(
    recording: &Recording<'_>,
    point: Point,
    selection: &Selection,
    order: SegmentOrder,
) -> SegmentMap {
    let state = recording.state(point.at);
    let past = recording.past(point.at, &state);
    let now = recording.history().time(point.at).saturating_sub(1);
    let time = |event: EventIndex| recording.trace()?.event(event)?.time_us;
    let now = time(EventIndex(now));
    let mapped = |block: &LiveBlock| {
        let summary = past.summary(block.stack);
        let age = now.zip(block.allocated_at.and_then(time));
        MappedBlock {
            addr: block.addr,
            size: block.size,
            requested: Some(block.requested),
            state: block.state,
            is_selected: selection.stacks.as_ref().is_none_or(|wanted| wanted.has(block.stack)),
            category: Some(past.role_of(block)),
            place: summary.place.clone(),
            library_call: summary.library_call.clone(),
            allocated_at: block.allocated_at,
            age_us: age.and_then(|(now, then)| now.checked_sub(then)),
        }
    };
    let mut segments: Vec<MappedSegment> = selection
        .segments(&state)
        .map(|range| {
            let start = state.live.partition_point(|block| block.addr < range.addr);
            let inside = state.live.iter().skip(start);
            let inside = inside.take_while(|block| block.addr < range.end()).map(&mapped);
            of_range(*range, inside)
        })
        .collect();
    find_unmapped(&mut segments, &state.segments);
    if selection.stacks.is_some() {
        segments.retain(|segment| segment.blocks.iter().any(|block| block.is_selected));
    }
    let totals = totals(&segments);
    match order {
        SegmentOrder::Address => {}
        SegmentOrder::Size => segments.sort_by_key(|segment| Reverse(segment.range.total)),
        SegmentOrder::Waste => segments.sort_by_key(|segment| Reverse(segment.waste())),
    }
    SegmentMap { point, counters: state.counters, order, segments, totals }
}

fn of_range(range: SegmentRange, inside: impl Iterator<Item = MappedBlock>) -> MappedSegment {
    let mut segment = MappedSegment {
        range,
        allocated: Bytes::ZERO,
        pending: Bytes::ZERO,
        free: Bytes::ZERO,
        largest_hole: Bytes::ZERO,
        holes: 0,
        unmapped_after: None,
        blocks: Vec::new(),
    };
    let mut next = range.addr;
    for block in inside {
        segment.add_hole(next, block.addr);
        next = block.addr.saturating_add(block.size.0);
        match block.state {
            BlockState::PendingFree => segment.pending += block.size,
            BlockState::Allocated | BlockState::Inactive => segment.allocated += block.size,
        }
        segment.blocks.push(block);
    }
    segment.add_hole(next, range.end());
    segment
}

impl MappedSegment {
    fn add_hole(&mut self, start: u64, end: u64) {
        let size = Bytes(end.saturating_sub(start));
        if size == Bytes::ZERO {
            return;
        }
        self.free += size;
        self.holes += 1;
        self.largest_hole = self.largest_hole.max(size);
        self.blocks.push(MappedBlock {
            addr: start,
            size,
            requested: None,
            state: BlockState::Inactive,
            is_selected: false,
            category: None,
            place: None,
            library_call: None,
            allocated_at: None,
            age_us: None,
        });
    }
}

/// An expandable segment reserves address space for the device's whole memory and an eighth more
/// (`ExpandableSegment` in PyTorch's `CUDACachingAllocator.cpp`, 2.9): no device has more than this.
const FARTHEST: u64 = 1 << 38;

/// Two mapped ranges of one stream and pool with nothing else between them are parts of one
/// expandable segment.
fn find_unmapped(segments: &mut [MappedSegment], all: &[SegmentRange]) {
    for segment in segments {
        let range = segment.range;
        let after = all.partition_point(|other| other.addr <= range.addr);
        let Some(next) = all.get(after) else { continue };
        let is_same = range.is_expandable
            && next.is_expandable
            && (next.stream, next.pool, next.pool_id) == (range.stream, range.pool, range.pool_id);
        let gap = next.addr.saturating_sub(range.end());
        segment.unmapped_after = (is_same && gap > 0 && gap <= FARTHEST).then_some(Bytes(gap));
    }
}

fn totals(segments: &[MappedSegment]) -> Vec<PoolTotal> {
    let mut totals: Vec<PoolTotal> = Vec::new();
    let mut places: FxHashMap<(String, u64), usize> = FxHashMap::default();
    for segment in segments {
        let (pool, stream) = (segment.range.pool_name(), segment.range.stream);
        let place = *places.entry((pool.clone(), stream)).or_insert(totals.len());
        if let Some(total) = totals.get_mut(place) {
            total.add(segment);
            continue;
        }
        let mut total = PoolTotal {
            pool,
            stream,
            segments: 0,
            reserved: Bytes::ZERO,
            allocated: Bytes::ZERO,
            pending: Bytes::ZERO,
            free: Bytes::ZERO,
            largest_hole: Bytes::ZERO,
        };
        total.add(segment);
        totals.push(total);
    }
    totals.sort_by(|a, b| {
        b.reserved
            .cmp(&a.reserved)
            .then_with(|| a.pool.cmp(&b.pool))
            .then_with(|| a.stream.cmp(&b.stream))
    });
    totals
}

impl PoolTotal {
    fn add(&mut self, segment: &MappedSegment) {
        self.segments += 1;
        self.reserved += segment.range.total;
        self.allocated += segment.allocated;
        self.pending += segment.pending;
        self.free += segment.free;
        self.largest_hole = self.largest_hole.max(segment.largest_hole);
    }
}
