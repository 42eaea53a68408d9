//! Blocks and where they are kept.

use std::ops::{Index, IndexMut};

/// Number of a block in [`Blocks`]. [`BlockId::NONE`] stands for "no neighbour".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BlockId(pub(crate) u32);

impl BlockId {
    pub(crate) const NONE: BlockId = BlockId(u32::MAX);

    pub(crate) fn some(self) -> Option<BlockId> {
        (self != BlockId::NONE).then_some(self)
    }
}

/// Number of a free list: a pool and a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BinId(pub(crate) u32);

/// Number of an expandable segment. [`ExpandableId::NONE`] for blocks of `cudaMalloc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ExpandableId(pub(crate) u32);

impl ExpandableId {
    pub(crate) const NONE: ExpandableId = ExpandableId(u32::MAX);
}

/// What a block is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Cached: in a free list.
    Free,
    /// Held by the program.
    Allocated,
    /// Given up by the program, while another stream may still use it.
    Pending,
    /// Address space without memory behind it.
    Unmapped,
    /// Merged into another, or given back: its place is vacant.
    Gone,
}

/// `struct Block` of `CUDACachingAllocator.cpp`, without what no decision depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) addr: u64,
    pub(crate) size: u64,
    /// Bytes asked for; meaningful while held.
    pub(crate) requested: u64,
    /// The block before it in its segment.
    pub(crate) prev: BlockId,
    pub(crate) next: BlockId,
    pub(crate) bin: BinId,
    pub(crate) expandable: ExpandableId,
    /// When it was made, counted in blocks: set by [`Blocks::add`].
    pub(crate) made: u64,
    /// Number of its segment, in the order in which the device gave them.
    pub(crate) segment: u32,
    /// First address of its segment.
    pub(crate) base: u64,
    /// The pool's count of searches when the block became free (`gc_count_base`).
    pub(crate) free_since: u32,
    pub(crate) used: Use,
    /// Whether it is older than the trace: its size and the age of its segment are not certain.
    pub(crate) is_old: bool,
}

impl Block {
    pub(crate) fn is_expandable(&self) -> bool {
        self.expandable != ExpandableId::NONE
    }

    /// Whether its segment has other blocks.
    pub(crate) fn is_split(&self) -> bool {
        self.prev != BlockId::NONE || self.next != BlockId::NONE
    }

    pub(crate) fn end(&self) -> u64 {
        self.addr.saturating_add(self.size)
    }
}

/// All blocks; places of blocks that are gone are used again, so memory follows what lives.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blocks {
    all: Vec<Block>,
    vacant: Vec<BlockId>,
    made: u64,
}

impl Blocks {
    pub(crate) fn add(&mut self, mut block: Block) -> BlockId {
        self.made += 1;
        block.made = self.made;
        if let Some(id) = self.vacant.pop() {
            self[id] = block;
            return id;
        }
        let id = BlockId(self.all.len() as u32);
        self.all.push(block);
        id
    }

    pub(crate) fn drop(&mut self, id: BlockId) {
        self[id].used = Use::Gone;
        self.vacant.push(id);
    }

    /// All blocks that there are, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (BlockId, &Block)> {
        let numbered = (0_u32..).map(BlockId).zip(&self.all);
        numbered.filter(|(_, block)| block.used != Use::Gone)
    }

    /// Links `id` in between two neighbours.
    pub(crate) fn link(&mut self, before: BlockId, id: BlockId, after: BlockId) {
        self[id].prev = before;
        self[id].next = after;
        if let Some(before) = before.some() {
            self[before].next = id;
        }
        if let Some(after) = after.some() {
            self[after].prev = id;
        }
    }
}

impl Index<BlockId> for Blocks {
    type Output = Block;

    #[inline]
    fn index(&self, id: BlockId) -> &Block {
        &self.all[id.0 as usize]
    }
}

impl IndexMut<BlockId> for Blocks {
    #[inline]
    fn index_mut(&mut self, id: BlockId) -> &mut Block {
        &mut self.all[id.0 as usize]
    }
}
