//! Free stretches of the segments, and what rounding wastes.

use std::collections::BTreeMap;

use oomscope_model::{Bytes, SegmentPool};

use super::without;
use crate::views::Selection;
use crate::{LiveBlock, SegmentRange, State};

/// Pages of expandable segments (`kSmallBuffer`, `kLargeBuffer` in PyTorch's
/// `CUDACachingAllocator.cpp`, 2.9).
const SMALL_PAGE: u64 = 2 << 20;
const LARGE_PAGE: u64 = 20 << 20;

/// The segments of a pool and stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FreePool {
    /// The pool in words; `all` for the sum.
    pub name: String,
    /// CUDA stream handle.
    pub stream: u64,
    /// Number of segments.
    pub segments: u64,
    /// Held from the device.
    pub reserved: Bytes,
    /// In blocks that are held or wait for a stream.
    pub active: Bytes,
    /// Not active.
    pub free: Bytes,
    /// Number of free stretches.
    pub stretches: u64,
    /// The largest of them: the largest request that needs no new segment.
    pub largest_free: Bytes,
    /// Free in segments that are partly used: what `empty_cache()` cannot give back.
    pub stranded: Bytes,
    /// What `empty_cache()` gives back now.
    pub releasable: Bytes,
}

impl FreePool {
    /// How much of what is free lies outside the largest stretch, 0 to 1.
    pub fn external(&self) -> f64 {
        without(self.largest_free, self.free)
    }
}

/// Blocks or stretches whose size lies in `(top / 2, top]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SizeClass {
    /// A power of two.
    pub top: Bytes,
    /// Their number.
    pub count: u64,
    /// Their bytes.
    pub bytes: Bytes,
    /// Bytes that rounding added; zero for free stretches.
    pub wasted: Bytes,
}

/// A segment with its free stretches.
pub(super) struct Stretches<'s> {
    pub(super) segment: &'s SegmentRange,
    pub(super) active: Bytes,
    /// Offset in the segment, and length.
    pub(super) free: Vec<(u64, Bytes)>,
}

/// The blocks of a segment: both are sorted by address.
pub(super) fn blocks_of<'s>(state: &'s State, segment: &SegmentRange) -> &'s [LiveBlock] {
    let start = state.live.partition_point(|block| block.addr < segment.addr);
    let end = state.live.partition_point(|block| block.addr < segment.end());
    state.live.get(start..end).unwrap_or_default()
}

pub(super) fn stretches<'s>(state: &'s State, selection: &'s Selection) -> Vec<Stretches<'s>> {
    let segments = selection.segments(state);
    segments
        .map(|segment| {
            let blocks = blocks_of(state, segment);
            let mut free = Vec::new();
            let mut at = segment.addr;
            for (start, end) in blocks
                .iter()
                .map(|block| (block.addr, block.addr.saturating_add(block.size.0)))
                .chain([(segment.end(), segment.end())])
            {
                if let Some(length) = start.checked_sub(at).filter(|length| *length > 0) {
                    free.push((at - segment.addr, Bytes(length)));
                }
                at = at.max(end.min(segment.end()));
            }
            let unused: Bytes = free.iter().map(|(_, length)| *length).sum();
            Stretches { segment, active: segment.total.saturating_sub(unused), free }
        })
        .collect()
}

impl Stretches<'_> {
    fn unused(&self) -> Bytes {
        self.free.iter().map(|(_, length)| *length).sum()
    }

    /// As `release_cached_blocks`: whole segments, and whole pages of expandable ones; a private
    /// pool keeps all until its graphs are gone.
    fn releasable(&self) -> Bytes {
        let is_whole = self.active == Bytes::ZERO;
        match (self.segment.pool_id, self.segment.is_expandable) {
            ((0, 0), true) => self.free.iter().map(|free| self.whole_pages(*free)).sum(),
            ((0, 0), false) if is_whole => self.segment.total,
            _ => Bytes::ZERO,
        }
    }

    fn whole_pages(&self, (offset, length): (u64, Bytes)) -> Bytes {
        let page = match self.segment.pool {
            SegmentPool::Small => SMALL_PAGE,
            SegmentPool::Large | SegmentPool::Unknown => LARGE_PAGE,
        };
        let first = offset.div_ceil(page);
        let last = offset.saturating_add(length.0) / page;
        Bytes(last.saturating_sub(first).saturating_mul(page))
    }

    /// As PyTorch's `inactive_split_bytes` counts, but in expandable segments too: what lies free
    /// there outside whole pages.
    fn stranded(&self) -> Bytes {
        let is_partly_used = self.active > Bytes::ZERO;
        let stays = self.unused().saturating_sub(self.releasable());
        if is_partly_used { stays } else { Bytes::ZERO }
    }
}

/// Sums by pool and stream, most reserved first.
pub(super) fn pools(stretches: &[Stretches<'_>]) -> Vec<FreePool> {
    let mut pools: BTreeMap<(String, u64), FreePool> = BTreeMap::new();
    for one in stretches {
        let (name, stream) = (one.segment.pool_name(), one.segment.stream);
        let pool = pools.entry((name.clone(), stream)).or_insert_with(|| FreePool {
            name,
            stream,
            ..FreePool::default()
        });
        pool.segments += 1;
        pool.reserved += one.segment.total;
        pool.active += one.active;
        pool.free += one.unused();
        pool.stretches += one.free.len() as u64;
        let largest = one.free.iter().map(|(_, length)| *length).max().unwrap_or_default();
        pool.largest_free = pool.largest_free.max(largest);
        pool.stranded += one.stranded();
        pool.releasable += one.releasable();
    }
    let mut pools: Vec<FreePool> = pools.into_values().collect();
    pools.sort_by_key(|pool| std::cmp::Reverse(pool.reserved));
    pools
}

pub(super) fn total(pools: &[FreePool]) -> FreePool {
    let mut total = FreePool { name: "all".to_owned(), ..FreePool::default() };
    for pool in pools {
        total.segments += pool.segments;
        total.reserved += pool.reserved;
        total.active += pool.active;
        total.free += pool.free;
        total.stretches += pool.stretches;
        total.largest_free = total.largest_free.max(pool.largest_free);
        total.stranded += pool.stranded;
        total.releasable += pool.releasable;
    }
    total
}

/// Free stretches by powers of two.
pub(super) fn by_size(stretches: &[Stretches<'_>]) -> Vec<SizeClass> {
    let free = stretches.iter().flat_map(|one| one.free.iter());
    classes(free.map(|(_, length)| (*length, Bytes::ZERO)))
}

/// What rounding adds to live blocks, by powers of two of their size.
pub(super) fn rounding<'b>(blocks: impl Iterator<Item = &'b LiveBlock>) -> Vec<SizeClass> {
    classes(blocks.map(|block| (block.size, block.size.saturating_sub(block.requested))))
}

fn classes(sizes: impl Iterator<Item = (Bytes, Bytes)>) -> Vec<SizeClass> {
    let mut classes: BTreeMap<Bytes, SizeClass> = BTreeMap::new();
    for (size, wasted) in sizes {
        let top = Bytes(size.0.max(512).checked_next_power_of_two().unwrap_or(u64::MAX));
        let class = classes.entry(top).or_insert(SizeClass { top, ..SizeClass::default() });
        class.count += 1;
        class.bytes += size;
        class.wasted += wasted;
    }
    classes.into_values().collect()
}

#[cfg(test)]
mod tests {
    use oomscope_model::{Bytes, DeviceId};

    use super::{pools, stretches};
    use crate::views::Selection;
    use crate::{At, fixture, read, state_at};

    #[test]
    fn what_a_small_block_leaves_free_is_stranded() {
        let snapshot = read(&fixture::one_live_block()).expect("the fixture is whole");
        let state = state_at(&snapshot, DeviceId(0), At::End);
        let selection = Selection::default();
        let pools = pools(&stretches(&state, &selection));
        let [pool] = pools.as_slice() else { panic!("one pool: {pools:?}") };
        assert_eq!(pool.free, Bytes((2 << 20) - 1024));
        assert_eq!(pool.stranded, pool.free);
        assert_eq!(pool.releasable, Bytes::ZERO);
        assert_eq!(pool.largest_free, pool.free);
    }
}
