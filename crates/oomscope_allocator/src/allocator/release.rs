//! Giving cached memory back to the device.

use crate::allocator::Allocator;
use crate::block::{BinId, Block, BlockId, Use};
use crate::pool::Width;
use crate::world::World;

impl Allocator {
    /// `release_available_cached_blocks`: with `max_split_size_mb`, frees cached blocks above it
    /// until the request fits into what they held. Whether enough was freed.
    pub(super) fn release_available(
        &mut self,
        bin: BinId,
        size: u64,
        world: &mut impl World,
    ) -> bool {
        let Some(limit) = self.rules.settings.max_split_size else { return false };
        let wanted = size.max(limit);
        let free = &self.bins[bin.0 as usize].free;
        if let Some(block) = free.lower_bound(wanted).and_then(|position| free.block_at(position)) {
            self.release_whole(block, world);
            return true;
        }
        let largest_first: Vec<BlockId> = {
            let mut blocks: Vec<BlockId> = free.iter().collect();
            blocks.reverse();
            blocks
        };
        let mut released = 0;
        for block in largest_first {
            let size = self.blocks[block].size;
            if released >= wanted || size < limit {
                break;
            }
            if self.release_whole(block, world) {
                released += size;
            }
        }
        released >= wanted
    }

    /// Gives a free block back that is a segment of its own; whether it is one.
    fn release_whole(&mut self, id: BlockId, world: &mut impl World) -> bool {
        let is_whole = self.is_whole(id);
        if is_whole {
            self.release_segment(id, world);
        }
        is_whole
    }

    pub(super) fn is_whole(&self, id: BlockId) -> bool {
        let block = &self.blocks[id];
        !block.is_expandable() && !block.is_split()
    }

    /// `release_cached_blocks`, which `torch.cuda.empty_cache` calls too: frees that wait are
    /// completed, then every segment without a block in use is given back.
    pub(crate) fn release_cached(&mut self, world: &mut impl World) {
        self.flushes += 1;
        while let Some(block) = self.pending.pop_first() {
            let Block { addr, requested, .. } = self.blocks[block];
            world.completed(addr, requested);
            self.make_free(block);
        }
        self.release_half(0, Width::Large, world);
        self.release_half(0, Width::Small, world);
        let freeable: Vec<usize> = self.freeable.iter().copied().collect();
        for pool in freeable {
            self.release_half(pool, Width::Small, world);
            self.release_half(pool, Width::Large, world);
        }
    }

    /// The graph of a private pool is gone: the next release takes the pool's cache too.
    pub(crate) fn retire_pool(&mut self, id: crate::pool::PoolId) {
        self.freeable.extend(self.private.get(&id));
    }

    /// `release_blocks`.
    fn release_half(&mut self, pool: usize, width: Width, world: &mut impl World) {
        let cached = &self.half_mut(pool, width).cached;
        let bins: Vec<(u64, BinId)> = cached.iter().copied().collect();
        let mut expandable = Vec::new();
        for (_, bin) in &bins {
            // Smaller blocks are parts of segments, or of pages.
            let free = &self.bins[bin.0 as usize].free;
            let free: Vec<BlockId> = free.from(self.smallest_segment).collect();
            for id in free {
                if self.blocks[id].is_expandable() {
                    expandable.push(id);
                } else if !self.blocks[id].is_split() {
                    self.release_segment(id, world);
                }
            }
        }
        for id in expandable {
            self.unmap(id, world);
            if self.blocks[id].used == Use::Unmapped && !self.blocks[id].is_split() {
                self.release_expandable(id, world);
            }
        }
        for (stream, id) in bins {
            let bin = &mut self.bins[id.0 as usize];
            if bin.free.is_empty() {
                bin.is_cached = false;
                self.half_mut(pool, width).cached.remove(&(stream, id));
            }
        }
    }

    /// `release_block`: gives a segment back that is one free block.
    pub(super) fn release_segment(&mut self, id: BlockId, world: &mut impl World) {
        let block = self.blocks[id];
        let Block { addr, size, bin, .. } = block;
        let stream = self.bins[bin.0 as usize].stream;
        self.take_out_of_list(id, &block);
        self.blocks.drop(id);
        self.counters.give_back(size);
        world.free(addr, size, stream);
    }
}
