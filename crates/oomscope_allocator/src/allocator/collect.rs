//! `garbage_collect_cached_blocks`: above a share of the process's cap, the cached segments that
//! were unused for longest are given back.

use crate::allocator::Allocator;
use crate::block::{BinId, BlockId};
use crate::world::World;

impl Allocator {
    pub(super) fn collect(&mut self, world: &mut impl World) {
        let Some(wanted) = self.garbage() else { return };
        let mut whole: Vec<BlockId> = self.whole().collect();
        let mut total_age: f64 = whole.iter().map(|id| self.age(*id)).sum();
        let mut freed = 0;
        let mut frees = true;
        while frees && !whole.is_empty() && world.collects(freed, wanted) {
            let threshold = total_age / whole.len() as f64;
            frees = false;
            // One pass over the blocks. It does not stop in the middle when enough is freed.
            let (old, young): (Vec<BlockId>, Vec<BlockId>) =
                whole.iter().partition(|id| self.age(**id) >= threshold);
            for id in old {
                frees = true;
                freed += self.blocks[id].size;
                total_age -= self.age(id);
                self.release_segment(id, world);
            }
            whole = young;
        }
    }

    /// Whether there is something to collect.
    pub(super) fn would_collect(&self) -> bool {
        self.garbage().is_some() && self.whole().next().is_some()
    }

    /// How many bytes are held above the threshold, if any.
    fn garbage(&self) -> Option<u64> {
        let share = self.rules.settings.garbage_collection_threshold?;
        let threshold = (share * self.rules.allowed? as f64) as u64;
        self.counters.reserved.checked_sub(threshold).filter(|over| *over > 0)
    }

    /// The cached large segments of the default pool.
    fn whole(&self) -> impl Iterator<Item = BlockId> {
        let bins = self.pools[0].large.cached.iter();
        let free = |bin: &BinId| self.bins[bin.0 as usize].free.from(self.smallest_segment);
        let cached = bins.flat_map(move |(_, bin)| free(bin));
        cached.filter(|id| !self.blocks[*id].is_split())
    }

    /// How many searches a block has been free for (`gc_count`).
    fn age(&self, id: BlockId) -> f64 {
        let block = self.blocks[id];
        f64::from(self.searches(block.bin).saturating_sub(block.free_since))
    }
}
