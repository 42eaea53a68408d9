//! The model's segments and blocks at a moment, as a snapshot lists them.

use crate::allocator::Allocator;
use crate::block::{Block, Use};
use crate::pool::{PoolId, Width};

/// A block of a [`LayoutSegment`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayoutBlock {
    /// Device address.
    pub addr: u64,
    /// Bytes, rounded.
    pub size: u64,
    /// Whether the program holds it, or another stream still does.
    pub is_active: bool,
}

/// A segment: of an expandable one, a stretch that is mapped without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutSegment {
    /// Device address.
    pub addr: u64,
    /// Bytes.
    pub size: u64,
    /// CUDA stream handle.
    pub stream: u64,
    /// The pool's identity.
    pub pool: PoolId,
    /// Whether it belongs to the pool for requests up to 1 MiB.
    pub is_small: bool,
    /// Whether it grows by mapping pages.
    pub is_expandable: bool,
    /// Its blocks, by address.
    pub blocks: Vec<LayoutBlock>,
}

/// Segments, by address.
pub type Layout = Vec<LayoutSegment>;

impl Allocator {
    /// All segments.
    pub(crate) fn layout(&self) -> Layout {
        let mapped = self.blocks.iter().filter(|(_, block)| block.used != Use::Unmapped);
        let mut all: Vec<Block> = mapped.map(|(_, block)| *block).collect();
        all.sort_unstable_by_key(|block| block.addr);
        let mut layout: Layout = Vec::new();
        for block in all {
            let added = LayoutBlock {
                addr: block.addr,
                size: block.size,
                is_active: block.used != Use::Free,
            };
            let before = block.prev.some().map(|before| self.blocks[before].used);
            if before.is_some_and(|used| used != Use::Unmapped)
                && let Some(segment) = layout.last_mut()
            {
                segment.size += block.size;
                segment.blocks.push(added);
                continue;
            }
            let bin = self.bin(block.bin);
            layout.push(LayoutSegment {
                addr: block.addr,
                size: block.size,
                stream: bin.stream,
                pool: self.pool_of(block.bin).id,
                is_small: bin.width == Width::Small,
                is_expandable: block.is_expandable(),
                blocks: vec![added],
            });
        }
        layout
    }
}
