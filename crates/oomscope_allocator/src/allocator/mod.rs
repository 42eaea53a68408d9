//! `DeviceCachingAllocator` of `CUDACachingAllocator.cpp`: requests in, blocks out.

#[cfg(any(test, feature = "check"))]
mod check;
mod collect;
mod expandable;
mod import;
mod lists;
mod reconcile;
mod release;

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use crate::block::{BinId, Block, BlockId, Blocks, ExpandableId, Use};
use crate::counters::Counters;
use crate::free_list::Position;
use crate::pool::{Bin, Pool, PoolId, Width};
use crate::release::Release;
use crate::rounding::{LARGEST, MIN_BLOCK, MIN_LARGE_ALLOC, SMALL_BUFFER, SMALL_SIZE};
use crate::settings::Settings;
use crate::world::World;

pub(crate) use expandable::Expandable;
pub(crate) use import::sound;
pub(crate) use reconcile::Lesson;

pub use import::{StartBlock, StartSegment};

/// A request for memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Bytes, before rounding.
    pub(crate) size: u64,
    pub(crate) stream: u64,
    pub(crate) pool: PoolId,
}

/// What the allocator is told once.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) settings: Settings,
    pub(crate) release: Release,
    /// Bytes that this process may hold by its memory fraction.
    pub(crate) allowed: Option<u64>,
    /// Bytes of the device, which bound the address range of an expandable segment.
    pub(crate) device_total: u64,
}

impl Rules {
    fn collects_garbage(&self) -> bool {
        self.allowed.is_some() && self.settings.garbage_collection_threshold.is_some()
    }

    fn max_split_size(&self) -> u64 {
        self.settings.max_split_size.unwrap_or(u64::MAX)
    }

    /// Whether a request of a pool frees the cache when the device refuses it. While a graph is
    /// captured nothing may wait for the device, so nothing is freed; up to 2.12 a
    /// `torch.cuda.MemPool` counts as a capture. Its pools are numbered in the second place.
    pub(crate) fn retries(&self, pool: PoolId) -> bool {
        pool == (0, 0) || pool.0 == 0 && self.release > Release::V2_12
    }

    fn tie_break(&self) -> TieBreak {
        match self.release {
            release if release > Release::V2_12 => TieBreak::Segment,
            release if release > Release::V2_11 => TieBreak::Block,
            _ => TieBreak::Address,
        }
    }

    /// `get_allocation_size`.
    pub(crate) fn segment_size(&self, size: u64) -> u64 {
        if size <= SMALL_SIZE {
            SMALL_BUFFER
        } else if size < MIN_LARGE_ALLOC {
            self.settings.large_segment_size
        } else {
            size.min(LARGEST).next_multiple_of(SMALL_BUFFER)
        }
    }

    /// What a request that the cache cannot serve adds to what is held. An expandable segment may
    /// need less, where its end is free.
    pub(crate) fn obtains(&self, request: u64) -> u64 {
        let size = self.settings.rounding.block_size(request);
        if self.settings.expandable_segments && size > SMALL_SIZE {
            return size.min(LARGEST).next_multiple_of(self.settings.large_segment_size);
        }
        self.segment_size(size)
    }
}

/// The allocator of one device.
#[derive(Clone, Debug)]
pub(crate) struct Allocator {
    pub(crate) rules: Rules,
    pub(crate) counters: Counters,
    pub(crate) blocks: Blocks,
    /// The default pool first.
    pools: Vec<Pool>,
    /// Where the private ones are.
    private: FxHashMap<PoolId, usize>,
    /// Those whose graph is gone: the next release takes their cache too.
    freeable: BTreeSet<usize>,
    /// No segment is smaller, bytes: what a beginning has may be.
    smallest_segment: u64,
    bins: Vec<Bin>,
    expandables: Vec<Option<Expandable>>,
    /// Blocks that wait for another stream.
    pending: BTreeSet<BlockId>,
    /// How often all of them were completed at once: such a block must not be completed again.
    pub(crate) flushes: u32,
    /// How often the device, or the process's cap, refused a segment.
    pub(crate) refusals: u64,
    collects_garbage: bool,
    max_split_size: u64,
    tie_break: TieBreak,
    /// Number of segments that the device gave so far, and of those from before the trace.
    obtained: u32,
    imported: u32,
}

/// Which of several free blocks of one size is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TieBreak {
    /// The one at the lowest address.
    Address,
    /// The one that was made first.
    Block,
    /// The one in the oldest segment.
    Segment,
}

impl Allocator {
    pub(crate) fn new(rules: Rules) -> Allocator {
        Allocator {
            counters: Counters::default(),
            blocks: Blocks::default(),
            pools: vec![Pool::new((0, 0))],
            private: FxHashMap::default(),
            freeable: BTreeSet::new(),
            smallest_segment: SMALL_BUFFER,
            bins: Vec::new(),
            expandables: Vec::new(),
            pending: BTreeSet::new(),
            flushes: 0,
            refusals: 0,
            collects_garbage: rules.collects_garbage(),
            max_split_size: rules.max_split_size(),
            tie_break: rules.tie_break(),
            obtained: 0,
            imported: 0,
            rules,
        }
    }

    /// `malloc`: a block, or `None` where the device has not enough.
    #[inline]
    pub(crate) fn malloc(&mut self, request: Request, world: &mut impl World) -> Option<BlockId> {
        let size = self.rules.settings.rounding.block_size(request.size);
        let bin = self.bin_for(request, size);
        let block = match self.take_free(bin, size) {
            Some(block) => block,
            None => self.new_block(bin, size, world)?,
        };
        Some(self.hand_out(block, bin, size, request.size))
    }

    /// Number of blocks that wait for another stream.
    pub(crate) fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// Whether a request that the device refuses would have the frees that wait completed before
    /// anything is given back.
    pub(crate) fn flushes_first(&mut self, request: Request) -> bool {
        let size = self.rules.settings.rounding.block_size(request.size);
        let bin = self.bin_for(request, size);
        let releases = self.rules.settings.max_split_size.is_some_and(|limit| {
            let mut free = self.bins[bin.0 as usize].free.from(limit);
            free.any(|id| self.is_whole(id))
        });
        !releases && !self.would_collect() && self.rules.retries(self.pool_of(bin).id)
    }

    /// Whether a free block would serve a request as things stand.
    pub(crate) fn has_block_for(&mut self, request: Request) -> bool {
        let size = self.rules.settings.rounding.block_size(request.size);
        let bin = self.bin_for(request, size);
        self.find_free(bin, size).is_some()
    }

    /// Python gives a block up; it stays active until [`Allocator::complete`].
    pub(crate) fn give_up(&mut self, block: BlockId) {
        self.counters.give_up(self.blocks[block].size);
        self.blocks[block].used = Use::Pending;
        self.pending.insert(block);
    }

    /// All streams are done with a block: `free_block`.
    pub(crate) fn complete(&mut self, block: BlockId) {
        self.pending.remove(&block);
        self.make_free(block);
    }

    /// Both at once, as it is for a block that no other stream used.
    #[inline]
    pub(crate) fn free(&mut self, block: BlockId) {
        self.counters.give_up(self.blocks[block].size);
        self.make_free(block);
    }

    #[inline]
    fn make_free(&mut self, id: BlockId) {
        let block = self.blocks[id];
        self.counters.release(block.size, block.requested);
        self.blocks[id].used = Use::Free;
        self.merge(id, block.prev);
        self.merge(id, block.next);
        self.put_into_list(id);
    }

    /// `try_merge_blocks`: `from`, when it is free as `into` is, becomes part of it.
    fn merge(&mut self, into: BlockId, from: BlockId) -> bool {
        let Some(from) = from.some() else { return false };
        let (block, gone) = (self.blocks[into], self.blocks[from]);
        if gone.used != block.used {
            return false;
        }
        if gone.used == Use::Unmapped {
            self.forget_unmapped(from, &gone);
        } else {
            self.take_out_of_list(from, &gone);
        }
        let (before, after) = if block.prev == from {
            self.blocks[into].addr = gone.addr;
            (gone.prev, block.next)
        } else {
            (block.prev, gone.next)
        };
        self.blocks[into].size += gone.size;
        self.blocks.link(before, into, after);
        self.blocks.drop(from);
        true
    }

    /// `get_free_block`.
    #[inline]
    fn take_free(&mut self, bin: BinId, size: u64) -> Option<BlockId> {
        if self.collects_garbage {
            let Bin { pool, width, .. } = self.bins[bin.0 as usize];
            let pool = &mut self.pools[pool as usize];
            match width {
                Width::Small => pool.small.searches += 1,
                Width::Large => pool.large.searches += 1,
            }
        }
        let position = self.find_free(bin, size)?;
        self.bin_mut(bin).free.remove_at(position)
    }

    #[inline]
    fn find_free(&self, bin: BinId, size: u64) -> Option<Position> {
        if size >= LARGEST {
            return None;
        }
        let free = &self.bins[bin.0 as usize].free;
        let mut position = free.lower_bound(size)?;
        let mut block = &self.blocks[free.block_at(position)?];
        if block.is_expandable() {
            if self.rules.settings.expandable_segments {
                // What an expandable block could grow to counts as its size.
                while let Some(next) = free.next(position) {
                    let larger = &self.blocks[free.block_at(next)?];
                    if !block.is_expandable() || self.potential(larger) >= self.potential(block) {
                        break;
                    }
                    (position, block) = (next, larger);
                }
            } else {
                while block.is_expandable() {
                    position = free.next(position)?;
                    block = &self.blocks[free.block_at(position)?];
                }
            }
        }
        let limit = self.max_split_size;
        let rounding = self.rules.settings.max_non_split_rounding;
        let is_too_large = if size < limit {
            block.size >= limit
        } else {
            block.size >= size.saturating_add(rounding)
        };
        (!is_too_large).then_some(position)
    }

    /// A block's size with the unmapped space right after it.
    fn potential(&self, block: &Block) -> u64 {
        let next = block.next.some().map(|next| &self.blocks[next]);
        let space = next.filter(|next| next.used == Use::Unmapped).map_or(0, |next| next.size);
        block.size.saturating_add(space)
    }

    /// Memory from the device: the part of `malloc` after no free block was found.
    #[cold]
    fn new_block(&mut self, bin: BinId, size: u64, world: &mut impl World) -> Option<BlockId> {
        if self.collects_garbage {
            self.collect(world);
        }
        let mut block = self.obtain(bin, size, world);
        self.refusals += u64::from(block.is_none());
        if block.is_none() && self.release_available(bin, size, world) {
            block = self.obtain(bin, size, world);
        }
        if block.is_none() && self.rules.retries(self.pool_of(bin).id) {
            self.release_cached(world);
            self.counters.retries += 1;
            block = self.obtain(bin, size, world);
        }
        if block.is_none() {
            self.counters.ooms += 1;
        }
        block
    }

    /// `alloc_block`.
    fn obtain(&mut self, bin: BinId, size: u64, world: &mut impl World) -> Option<BlockId> {
        let segment = self.rules.segment_size(size);
        let after = self.counters.reserved.saturating_add(segment);
        if self.rules.allowed.is_some_and(|allowed| after > allowed) {
            return None;
        }
        if self.uses_expandable(bin) {
            return self.obtain_expandable(bin, size, world);
        }
        if size >= LARGEST {
            return None; // No device has it; the cache is given back for it all the same.
        }
        let stream = self.bins[bin.0 as usize].stream;
        let addr = world.malloc(segment, stream)?;
        self.counters.obtain(segment);
        let number = self.number_segment();
        Some(self.blocks.add(Block {
            segment: number,
            base: addr,
            addr,
            size: segment,
            requested: 0,
            made: 0,
            prev: BlockId::NONE,
            next: BlockId::NONE,
            bin,
            expandable: ExpandableId::NONE,
            free_since: 0,
            used: Use::Free,
            is_old: false,
        }))
    }

    fn number_segment(&mut self) -> u32 {
        self.obtained = self.obtained.wrapping_add(1);
        self.obtained
    }

    /// `alloc_found_block`: splits where `should_split` says so, and hands the front out.
    #[inline]
    fn hand_out(&mut self, id: BlockId, bin: BinId, size: u64, requested: u64) -> BlockId {
        let block = self.blocks[id];
        let rest = block.size.saturating_sub(size);
        let is_small = self.bins[bin.0 as usize].width == Width::Small;
        let splits = if is_small || self.rules.settings.expandable_segments {
            rest >= MIN_BLOCK
        } else {
            size < self.max_split_size && rest > SMALL_SIZE
        };
        let mut held = id;
        if splits {
            held = self.blocks.add(Block { size, ..block });
            let remaining = &mut self.blocks[id];
            remaining.addr += size;
            remaining.size = rest;
            remaining.used = Use::Free;
            self.blocks.link(block.prev, held, id);
            self.put_into_list(id);
        }
        let held_block = &mut self.blocks[held];
        held_block.used = Use::Allocated;
        held_block.requested = requested;
        held_block.is_old = false;
        let held_size = held_block.size;
        self.counters.hold(held_size, requested);
        held
    }

    /// Whether the release puts this pool's requests into expandable segments.
    fn uses_expandable(&self, bin: BinId) -> bool {
        // The checkpoints of private pools did not know them at first.
        let is_ready = !self.pool_of(bin).is_private() || self.rules.release > Release::V2_4;
        self.rules.settings.expandable_segments && is_ready
    }
}
