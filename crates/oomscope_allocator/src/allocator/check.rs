//! What must hold of the model at any moment. For tests and fuzzing: it looks at every block.

use std::collections::BTreeSet;

use crate::allocator::Allocator;
use crate::block::{Block, BlockId, Use};
use crate::counters::Counters;
use crate::device::TOP;

impl Allocator {
    /// Panics where blocks, lists or counters contradict each other.
    pub(crate) fn check(&self) {
        let mut sums = Counters::default();
        let (mut free, mut unmapped) = (0, 0);
        let mut pending = BTreeSet::new();
        for (id, block) in self.blocks.iter() {
            self.check_links(id, block);
            let bin = self.bin(block.bin);
            let is_listed = bin.free.contains(block.size, self.rank(block), id);
            assert_eq!(is_listed, block.used == Use::Free, "free list: {id:?} {block:?}");
            let is_listed = bin.unmapped.contains(&(block.addr, id));
            assert_eq!(is_listed, block.used == Use::Unmapped, "unmapped set: {id:?} {block:?}");
            sums.reserved += if block.used == Use::Unmapped { 0 } else { block.size };
            match block.used {
                Use::Allocated => {
                    sums.allocated += block.size;
                    sums.active += block.size;
                    sums.requested += block.requested;
                }
                Use::Pending => {
                    pending.insert(id);
                    sums.active += block.size;
                    sums.requested += block.requested;
                }
                Use::Free => free += 1,
                Use::Unmapped => {
                    assert!(block.is_expandable(), "memory without pages: {block:?}");
                    unmapped += 1;
                }
                Use::Gone => {}
            }
        }
        let listed = |count: &dyn Fn(BlockId) -> bool, ids: Vec<BlockId>| {
            assert!(ids.iter().all(|id| count(*id)), "a list names a block that is not there");
            ids.len()
        };
        let is_there = |id: BlockId| self.blocks[id].used != Use::Gone;
        let in_free = self.bins.iter().flat_map(|bin| bin.free.iter()).collect();
        assert_eq!(listed(&is_there, in_free), free, "free blocks");
        let in_unmapped = self.bins.iter().flat_map(|bin| bin.unmapped.iter().map(|(_, id)| *id));
        assert_eq!(listed(&is_there, in_unmapped.collect()), unmapped, "unmapped blocks");
        assert_eq!(pending, self.pending, "blocks that wait");
        let of = |counters: &Counters| {
            [counters.reserved, counters.allocated, counters.active, counters.requested]
        };
        assert_eq!(of(&self.counters), of(&sums), "reserved, allocated, active, requested");
        let Counters { peak_allocated, peak_active, peak_reserved, .. } = self.counters;
        assert!(peak_allocated >= sums.allocated && peak_active >= sums.active);
        assert!(peak_reserved >= sums.reserved && sums.active <= sums.reserved);
    }

    fn check_links(&self, id: BlockId, block: &Block) {
        assert!(block.size > 0 && block.addr.checked_add(block.size).is_some(), "{block:?}");
        if let Some(prev) = block.prev.some() {
            assert_eq!(self.blocks[prev].next, id, "links: {block:?}");
        }
        let Some(next) = block.next.some() else { return };
        let after = &self.blocks[next];
        assert_eq!((after.prev, after.addr), (id, block.end()), "links: {block:?} {after:?}");
        assert_ne!(after.used, Use::Gone, "links: {block:?}");
        let home = |block: &Block| (block.bin, block.expandable, block.segment, block.base);
        assert_eq!(home(block), home(after), "segments: {block:?} {after:?}");
        let merges = matches!(block.used, Use::Free | Use::Unmapped);
        assert!(!merges || block.used != after.used, "not merged: {block:?} {after:?}");
    }

    /// What holds only where no address came from a file: no two blocks overlap, and expandable
    /// segments are mapped in whole units.
    pub(crate) fn check_addresses(&self) {
        let mut all: Vec<&Block> = self.blocks.iter().map(|(_, block)| block).collect();
        // Where addresses ran out, positions no longer matter.
        all.retain(|block| block.addr < TOP);
        all.sort_unstable_by_key(|block| block.addr);
        for pair in all.windows(2) {
            assert!(pair[0].end() <= pair[1].addr, "overlap: {pair:?}");
        }
        for block in all.iter().filter(|block| block.is_expandable()) {
            let unit = self.unit(block.bin);
            let is_edge = |other: BlockId| {
                let other = other.some().map(|other| self.blocks[other].used);
                (block.used == Use::Unmapped) != (other == Some(Use::Unmapped))
            };
            if block.prev != BlockId::NONE && is_edge(block.prev) {
                assert!((block.addr - block.base).is_multiple_of(unit), "units: {block:?}");
            }
        }
    }
}
