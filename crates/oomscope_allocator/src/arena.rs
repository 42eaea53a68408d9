//! One address space without pools, streams or segments, filled by best fit.

use crate::block::{BinId, Block, BlockId, Blocks, ExpandableId, Use};
use crate::free_list::FreeList;
use crate::rounding::LARGEST;

/// One address space. Its end is free, always.
pub(crate) struct Arena {
    blocks: Blocks,
    free: FreeList,
    end: BlockId,
}

impl Arena {
    pub(crate) fn new() -> Arena {
        let mut arena =
            Arena { blocks: Blocks::default(), free: FreeList::default(), end: BlockId::NONE };
        arena.end = arena.blocks.add(Block {
            addr: 0,
            // More than any sum of blocks; the list of free blocks does not know it.
            size: u64::MAX / 2,
            requested: 0,
            made: 0,
            segment: 0,
            base: 0,
            prev: BlockId::NONE,
            next: BlockId::NONE,
            bin: BinId(0),
            expandable: ExpandableId::NONE,
            free_since: 0,
            used: Use::Free,
            is_old: false,
        });
        arena
    }

    pub(crate) fn size(&self, block: BlockId) -> u64 {
        self.blocks[block].size
    }

    /// Where the free end begins.
    pub(crate) fn top(&self) -> u64 {
        self.blocks[self.end].addr
    }

    /// Takes a block: best fit; [`BlockId::NONE`] when the address space is used up.
    pub(crate) fn take(&mut self, size: u64) -> BlockId {
        let size = size.min(LARGEST);
        let position = self.free.lower_bound(size);
        let found = position.and_then(|position| self.free.remove_at(position));
        let from = found.unwrap_or(self.end);
        let block = self.blocks[from];
        if block.size < size {
            return BlockId::NONE;
        }
        if block.size == size && from != self.end {
            self.blocks[from].used = Use::Allocated;
            return from;
        }
        let held = self.blocks.add(Block { size, used: Use::Allocated, ..block });
        let rest = &mut self.blocks[from];
        rest.addr += size;
        rest.size -= size;
        self.blocks.link(block.prev, held, from);
        self.list(from);
        held
    }

    /// Gives a block back.
    pub(crate) fn give(&mut self, id: BlockId) {
        self.blocks[id].used = Use::Free;
        let Block { prev, next, .. } = self.blocks[id];
        if let Some(before) = prev.some().filter(|before| self.blocks[*before].used == Use::Free) {
            let gone = self.blocks[before];
            self.free.remove(gone.size, gone.addr, before);
            self.blocks[id].addr = gone.addr;
            self.blocks[id].size += gone.size;
            self.blocks.link(gone.prev, id, next);
            self.blocks.drop(before);
        }
        let Some(after) = next.some().filter(|after| self.blocks[*after].used == Use::Free) else {
            return self.list(id);
        };
        let gone = self.blocks[after];
        let block = self.blocks[id];
        if after == self.end {
            // The end stays where it is kept.
            self.blocks[after].addr = block.addr;
            self.blocks[after].size += block.size;
            self.blocks.link(block.prev, after, BlockId::NONE);
            self.blocks.drop(id);
            return;
        }
        self.free.remove(gone.size, gone.addr, after);
        self.blocks[id].size += gone.size;
        self.blocks.link(block.prev, id, gone.next);
        self.blocks.drop(after);
        self.list(id);
    }

    fn list(&mut self, id: BlockId) {
        if id != self.end {
            let Block { addr, size, .. } = self.blocks[id];
            self.free.insert(size, addr, id);
        }
    }
}
