//! Pools and their lists of free blocks and unmapped space: which block stands where.

use std::collections::BTreeSet;

use crate::allocator::{Allocator, Request, TieBreak};
use crate::block::{BinId, Block, BlockId};
use crate::free_list::FreeList;
use crate::pool::{Bin, Half, Pool, PoolId, Width};
use crate::rounding::SMALL_SIZE;

impl Allocator {
    /// The pool with an identity; made when it is new.
    pub(super) fn pool_index(&mut self, id: PoolId) -> usize {
        if id == (0, 0) {
            return 0;
        }
        *self.private.entry(id).or_insert_with(|| {
            self.pools.push(Pool::new(id));
            self.pools.len() - 1
        })
    }

    #[inline]
    pub(super) fn bin_of(&mut self, pool: usize, width: Width, stream: u64) -> BinId {
        let number = BinId(self.bins.len() as u32);
        let half = self.half_mut(pool, width);
        match half.last {
            Some((last, bin)) if last == stream => return bin,
            _ => {}
        }
        let bin = *half.bins.entry(stream).or_insert(number);
        half.last = Some((stream, bin));
        if bin == number {
            let free = FreeList::default();
            let pool = pool as u32;
            let unmapped = BTreeSet::new();
            let is_cached = false;
            self.bins.push(Bin { pool, width, stream, free, is_cached, unmapped });
        }
        bin
    }

    #[inline]
    pub(super) fn bin_for(&mut self, request: Request, size: u64) -> BinId {
        let width = if size <= SMALL_SIZE { Width::Small } else { Width::Large };
        let pool = self.pool_index(request.pool);
        self.bin_of(pool, width, request.stream)
    }

    pub(crate) fn bin(&self, bin: BinId) -> &Bin {
        &self.bins[bin.0 as usize]
    }

    pub(super) fn bin_mut(&mut self, bin: BinId) -> &mut Bin {
        &mut self.bins[bin.0 as usize]
    }

    pub(crate) fn pool_of(&self, bin: BinId) -> &Pool {
        &self.pools[self.bins[bin.0 as usize].pool as usize]
    }

    pub(super) fn half_mut(&mut self, pool: usize, width: Width) -> &mut Half {
        match width {
            Width::Small => &mut self.pools[pool].small,
            Width::Large => &mut self.pools[pool].large,
        }
    }

    /// How often the half that a bin belongs to was searched.
    pub(super) fn searches(&self, bin: BinId) -> u32 {
        match self.bins[bin.0 as usize].width {
            Width::Small => self.pool_of(bin).small.searches,
            Width::Large => self.pool_of(bin).large.searches,
        }
    }

    pub(super) fn put_into_list(&mut self, id: BlockId) {
        let block = self.blocks[id];
        if self.collects_garbage {
            self.blocks[id].free_since = self.searches(block.bin);
        }
        let rank = self.rank(&block);
        let bin = self.bin_mut(block.bin);
        bin.free.insert(block.size, rank, id);
        if !bin.is_cached {
            self.list_bin(block.bin);
        }
    }

    #[cold]
    pub(super) fn list_bin(&mut self, id: BinId) {
        let bin = &mut self.bins[id.0 as usize];
        bin.is_cached = true;
        let (pool, width, stream) = (bin.pool as usize, bin.width, bin.stream);
        self.half_mut(pool, width).cached.insert((stream, id));
    }

    /// Takes a block out of its free list, where it stands as `block` says.
    pub(super) fn take_out_of_list(&mut self, id: BlockId, block: &Block) {
        let rank = self.rank(block);
        self.bin_mut(block.bin).free.remove(block.size, rank, id);
    }

    /// Lists a block as address space without memory.
    pub(super) fn list_unmapped(&mut self, id: BlockId) {
        let Block { addr, bin, .. } = self.blocks[id];
        self.bin_mut(bin).unmapped.insert((addr, id));
    }

    /// Takes it out of that list, where it stands as `block` says.
    pub(super) fn forget_unmapped(&mut self, id: BlockId, block: &Block) {
        self.bin_mut(block.bin).unmapped.remove(&(block.addr, id));
    }

    /// What decides between free blocks of one size: the lowest comes first.
    #[inline]
    pub(super) fn rank(&self, block: &Block) -> u64 {
        match self.tie_break {
            TieBreak::Address => block.addr,
            TieBreak::Block => block.made,
            TieBreak::Segment => {
                (u64::from(block.segment) << 32) | ((block.addr - block.base) >> 9)
            }
        }
    }
}
