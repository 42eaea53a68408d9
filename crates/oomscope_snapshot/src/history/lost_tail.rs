//! What existed where a cut file's trace ends. The segments of a file are those of the dump, which
//! came later: what the lost events did must be taken back first, as far as the rest tells.

use std::collections::BTreeMap;

use oomscope_model::{
    BlockState, Bytes, DeviceId, Event, EventKind, Segment, SegmentPool, StackId,
};
use rustc_hash::FxHashSet;

use super::layout::SegmentRange;
use crate::snapshot::{Snapshot, Trace};
use oomscope_model::rounding::SMALL_BUFFER;

/// The device's memory at the cut.
pub(super) struct AtTheCut {
    pub(super) segments: Vec<SegmentRange>,
    /// Blocks of the dump that are older than the trace, their sizes exact.
    pub(super) older: Vec<Held>,
    /// Blocks that the trace handed out.
    pub(super) made: Vec<Held>,
}

/// A block at the cut.
#[derive(Clone, Copy)]
pub(super) struct Held {
    pub(super) addr: u64,
    pub(super) size: Bytes,
    pub(super) requested: Bytes,
    pub(super) stream: u64,
    pub(super) stack: StackId,
    pub(super) is_pending: bool,
}

/// What the kept events leave behind, walked forwards.
#[derive(Default)]
struct Kept {
    blocks: BTreeMap<u64, Held>,
    segments: BTreeMap<u64, SegmentRange>,
    /// Addresses of blocks and segments that the events name.
    named: FxHashSet<u64>,
    /// Whether something was freed that the trace did not hand out, or handed out where no segment
    /// was made: then there is memory that is older than the trace.
    has_older: bool,
}

pub(super) fn at_the_cut(snapshot: &Snapshot, device: DeviceId, trace: &Trace) -> AtTheCut {
    let mut kept = Kept::default();
    for (index, event) in trace.iter() {
        kept.follow(event, snapshot, trace.pool_id(index));
    }
    let mut segments: Vec<SegmentRange> = kept.segments.values().copied().collect();
    let mut older = Vec::new();
    if kept.has_older {
        for segment in snapshot.segments_of(device) {
            if kept.overlaps_a_segment(segment) || kept.named.contains(&segment.addr) {
                continue;
            }
            segments.push(range_of(segment));
            older.extend(kept.older_blocks(segment));
        }
    }
    segments.sort_by_key(|segment| segment.addr);
    AtTheCut { segments, older, made: kept.blocks.into_values().collect() }
}

impl Kept {
    fn follow(&mut self, event: Event, snapshot: &Snapshot, pool_id: (u64, u64)) {
        let addr = event.addr;
        match event.kind {
            EventKind::Alloc => {
                self.has_older |= self.segment_at(addr).is_none();
                self.named.insert(addr);
                self.blocks.insert(
                    addr,
                    Held {
                        addr,
                        size: Bytes(snapshot.rounding.block_size(event.size.0)),
                        requested: event.size,
                        stream: event.stream,
                        stack: event.stack,
                        is_pending: false,
                    },
                );
            }
            EventKind::FreeRequested => {
                self.named.insert(addr);
                match self.blocks.get_mut(&addr) {
                    Some(held) => held.is_pending = true,
                    None => self.has_older = true,
                }
            }
            EventKind::FreeCompleted => {
                self.has_older |=
                    self.blocks.remove(&addr).is_none() && !self.named.contains(&addr);
                self.named.insert(addr);
            }
            EventKind::SegmentAlloc | EventKind::SegmentMap => {
                let is_expandable = event.kind == EventKind::SegmentMap;
                let is_small = event.size.0 == SMALL_BUFFER && !is_expandable;
                self.named.insert(addr);
                self.segments.insert(
                    addr,
                    SegmentRange {
                        addr,
                        total: event.size,
                        stream: event.stream,
                        pool: match (is_small, is_expandable) {
                            (true, _) => SegmentPool::Small,
                            (false, true) => SegmentPool::Unknown,
                            (false, false) => SegmentPool::Large,
                        },
                        pool_id,
                        is_expandable,
                    },
                );
            }
            EventKind::SegmentFree | EventKind::SegmentUnmap => {
                self.named.insert(addr);
                self.has_older |= self.segments.remove(&addr).is_none();
            }
            EventKind::Oom | EventKind::Snapshot | EventKind::Other => {}
        }
    }

    fn segment_at(&self, addr: u64) -> Option<&SegmentRange> {
        let (_, segment) = self.segments.range(..=addr).next_back()?;
        (addr < segment.end()).then_some(segment)
    }

    fn overlaps_a_segment(&self, segment: &Segment) -> bool {
        let end = segment.addr.saturating_add(segment.total.0);
        self.segment_at(segment.addr).is_some()
            || self.segments.range(segment.addr..end).next().is_some()
    }

    /// The blocks of an older segment that the trace does not name and that lie beside those that
    /// it handed out.
    fn older_blocks<'k>(&'k self, segment: &'k Segment) -> impl Iterator<Item = Held> + 'k {
        let is_held = |state| state != BlockState::Inactive;
        let is_free = move |addr: u64, size: Bytes| {
            let end = addr.saturating_add(size.0);
            let before = self.blocks.range(..addr).next_back();
            before.is_none_or(|(_, held)| held.addr.saturating_add(held.size.0) <= addr)
                && self.blocks.range(addr..end).next().is_none()
        };
        segment
            .blocks
            .iter()
            .filter(move |block| is_held(block.state) && !self.named.contains(&block.addr))
            .filter(move |block| is_free(block.addr, block.size))
            .map(|block| Held {
                addr: block.addr,
                size: block.size,
                requested: block.requested,
                stream: segment.stream,
                stack: block.stack,
                is_pending: block.state == BlockState::PendingFree,
            })
    }
}

fn range_of(segment: &Segment) -> SegmentRange {
    SegmentRange {
        addr: segment.addr,
        total: segment.total,
        stream: segment.stream,
        pool: segment.pool,
        pool_id: segment.pool_id,
        is_expandable: segment.is_expandable,
    }
}
