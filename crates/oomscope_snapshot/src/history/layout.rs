//! The ranges of device memory that the allocator holds, and how trace events change them.
//! Expandable segments grow and shrink by ranges; a snapshot shows one segment for each range
//! that is mapped without a gap (`snapshot()` in PyTorch's `CUDACachingAllocator.cpp`, 2.9).

use std::collections::BTreeMap;

use oomscope_model::{Bytes, EventKind, Segment, SegmentPool};

use oomscope_model::rounding::{LARGEST, SMALL_BUFFER};

/// A range of device memory held at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentRange {
    /// Device address.
    pub addr: u64,
    /// Bytes held (mapped).
    pub total: Bytes,
    /// CUDA stream handle.
    pub stream: u64,
    /// Small or large; told from the size when the segment is gone at the dump.
    pub pool: SegmentPool,
    /// The private pool, `(0, 0)` for the default one and where it was not recorded.
    pub pool_id: (u64, u64),
    /// Whether it grows by mapping pages.
    pub is_expandable: bool,
}

impl SegmentRange {
    /// The pool in words: `small`, `large`, `private 1.0 small`.
    pub fn pool_name(&self) -> String {
        let size = match self.pool {
            SegmentPool::Small => "small",
            SegmentPool::Large => "large",
            SegmentPool::Unknown => "unknown size",
        };
        match self.pool_id {
            (0, 0) => size.to_owned(),
            (owner, id) => format!("private {owner}.{id} {size}"),
        }
    }

    pub(crate) fn end(&self) -> u64 {
        self.addr.saturating_add(self.total.0)
    }
}

/// A trace event that changes what is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Number of events up to and including this one.
    pub(crate) time: u32,
    pub(crate) kind: EventKind,
    pub(crate) addr: u64,
    pub(crate) size: u64,
    pub(crate) stream: u64,
    pub(crate) pool_id: (u64, u64),
}

/// Whether an event fitted what was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    Fits,
    Contradicts,
}

/// Disjoint ranges by address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    ranges: BTreeMap<u64, SegmentRange>,
    reserved: u64,
}

impl Layout {
    pub(crate) fn of_segments<'s>(segments: impl Iterator<Item = &'s Segment>) -> Layout {
        Layout::of_ranges(segments.map(|segment| SegmentRange {
            addr: segment.addr,
            total: segment.total,
            stream: segment.stream,
            pool: segment.pool,
            pool_id: segment.pool_id,
            is_expandable: segment.is_expandable,
        }))
    }

    pub(crate) fn of_ranges(ranges: impl Iterator<Item = SegmentRange>) -> Layout {
        let mut layout = Layout::default();
        for range in ranges {
            layout.insert(range);
        }
        layout
    }

    pub(crate) fn reserved(&self) -> u64 {
        self.reserved
    }

    pub(crate) fn ranges(&self) -> impl Iterator<Item = &SegmentRange> {
        self.ranges.values()
    }

    /// The range that holds `addr`.
    pub(crate) fn range_of(&self, addr: u64) -> Option<&SegmentRange> {
        let (_, range) = self.ranges.range(..=addr).next_back()?;
        (addr < range.end()).then_some(range)
    }

    /// Takes an event back: the layout becomes the one before it.
    pub(crate) fn undo(&mut self, change: Change) -> Fit {
        let is_expandable = matches!(change.kind, EventKind::SegmentMap | EventKind::SegmentUnmap);
        match change.kind {
            EventKind::SegmentAlloc | EventKind::SegmentMap => self.remove(change),
            EventKind::SegmentFree | EventKind::SegmentUnmap => {
                let total = change.size.min(LARGEST);
                let is_small = total == SMALL_BUFFER && !is_expandable;
                let pool = match (is_small, is_expandable) {
                    (true, _) => SegmentPool::Small,
                    (false, true) => SegmentPool::Unknown,
                    (false, false) => SegmentPool::Large,
                };
                self.insert(SegmentRange {
                    addr: change.addr,
                    total: Bytes(total),
                    stream: change.stream,
                    pool,
                    pool_id: change.pool_id,
                    is_expandable,
                })
            }
            _ => Fit::Fits,
        }
    }

    fn insert(&mut self, mut range: SegmentRange) -> Fit {
        range.total = Bytes(range.total.0.min(LARGEST));
        let is_taken = self.range_of(range.addr).is_some()
            || self.ranges.range(range.addr..range.end()).next().is_some();
        if is_taken {
            return Fit::Contradicts;
        }
        self.reserved = self.reserved.saturating_add(range.total.0);
        if range.is_expandable {
            self.merge(&mut range);
        }
        self.ranges.insert(range.addr, range);
        Fit::Fits
    }

    /// Joins `range` with expandable ranges of its stream and pool that touch it.
    fn merge(&mut self, range: &mut SegmentRange) {
        let joins = |other: &SegmentRange, range: &SegmentRange| {
            other.is_expandable && other.stream == range.stream
        };
        let before = self.ranges.range(..range.addr).next_back().map(|(_, range)| *range);
        if let Some(before) = before.filter(|it| it.end() == range.addr && joins(it, range)) {
            self.ranges.remove(&before.addr);
            *range = SegmentRange { total: before.total + range.total, ..before };
        }
        let after = self.ranges.get(&range.end()).copied();
        if let Some(after) = after.filter(|it| joins(it, range)) {
            self.ranges.remove(&after.addr);
            *range = SegmentRange { addr: range.addr, total: range.total + after.total, ..after };
        }
    }

    fn remove(&mut self, change: Change) -> Fit {
        let Some(&range) = self.range_of(change.addr) else { return Fit::Contradicts };
        let size = change.size.min(LARGEST);
        let end = change.addr.saturating_add(size);
        if size == 0 || end > range.end() {
            return Fit::Contradicts;
        }
        self.ranges.remove(&range.addr);
        let parts = [(range.addr, change.addr), (end, range.end())];
        for (start, stop) in parts {
            if start < stop {
                let part = SegmentRange { addr: start, total: Bytes(stop - start), ..range };
                self.ranges.insert(start, part);
            }
        }
        self.reserved = self.reserved.saturating_sub(size);
        Fit::Fits
    }
}

#[cfg(test)]
mod tests {
    use oomscope_model::{Bytes, EventKind};

    use super::{Change, Fit, Layout};

    fn change(kind: EventKind, addr: u64, size: u64) -> Change {
        Change { time: 1, kind, addr, size, stream: 0, pool_id: (0, 0) }
    }

    #[test]
    fn unmapping_is_undone_into_one_range_and_mapping_splits_it() {
        let mut layout = Layout::default();
        for addr in [0x100, 0x300, 0x200] {
            let fit = layout.undo(change(EventKind::SegmentUnmap, addr, 0x100));
            assert_eq!(fit, Fit::Fits);
        }
        assert_eq!(layout.ranges().count(), 1);
        assert_eq!(layout.range_of(0x3ff).map(|range| range.total), Some(Bytes(0x300)));
        assert_eq!(layout.undo(change(EventKind::SegmentMap, 0x200, 0x100)), Fit::Fits);
        assert_eq!(layout.ranges().count(), 2);
        assert_eq!(layout.reserved(), 0x200);
        let again = layout.undo(change(EventKind::SegmentMap, 0x200, 0x100));
        assert_eq!(again, Fit::Contradicts);
        assert_eq!(layout.reserved(), 0x200);
    }
}
