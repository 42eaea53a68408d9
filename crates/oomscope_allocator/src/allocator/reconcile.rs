//! What a late start leaves open, settled by the trace itself: each block that is handed out later
//! tells something about the state that the trace began with.
//!
//! Two things are not known of blocks and segments that are older than the trace. A block of the
//! large pool may be up to 1 MiB larger than its request, a rest that was not worth a split; and
//! which of two segments is older decides, from PyTorch 2.12 on, between free blocks of one size.

use rustc_hash::FxHashMap;

use crate::allocator::{Allocator, Request, TieBreak};
use crate::block::{Block, BlockId, Use};
use crate::pool::Width;
use crate::rounding::{MIN_BLOCK, SMALL_SIZE};

/// One request tells at most this much.
const MOST: usize = 64;

/// What was learnt of the state that a trace began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lesson {
    /// The block at `addr` is `size` bytes large.
    Size { addr: u64, size: u64 },
    /// The segment at `older` is older than the one at `younger`: they change places.
    Age { older: u64, younger: u64 },
}

impl Allocator {
    /// Changes what is open until the cache serves `request` with the block at `addr`, or not at
    /// all where the device served it (`None`). Stops where nothing open explains it.
    pub(crate) fn reconcile(
        &mut self,
        request: Request,
        addr: Option<u64>,
        mut learn: impl FnMut(Lesson),
    ) {
        let size = self.rules.settings.rounding.block_size(request.size);
        let bin = self.bin_for(request, size);
        for _ in 0..MOST {
            let position = self.find_free(bin, size);
            let choice = position.and_then(|position| self.bin(bin).free.block_at(position));
            let lesson = match (choice, addr) {
                (None, _) => return,
                (Some(choice), Some(addr)) if self.blocks[choice].addr == addr => return,
                (Some(choice), None) => self.shrink(choice, self.excess(choice, size)),
                (Some(choice), Some(addr)) => {
                    let holds = |id: &BlockId| {
                        let block = &self.blocks[*id];
                        block.addr <= addr && addr < block.end()
                    };
                    let Some(served) = self.bin(bin).free.iter().find(holds) else { return };
                    self.prefer(served, choice, addr, size)
                }
            };
            let Some(lesson) = lesson else { return };
            learn(lesson);
        }
    }

    /// Makes `served` a better choice than `choice`, or its begin what was handed out.
    fn prefer(&mut self, served: BlockId, choice: BlockId, addr: u64, size: u64) -> Option<Lesson> {
        let (better, block) = (self.blocks[served], self.blocks[choice]);
        if better.addr < addr {
            return self.shrink(served, addr - better.addr);
        }
        if better.size > block.size {
            return self.shrink(choice, self.excess(choice, size));
        }
        match self.tie_break {
            _ if better.size < block.size => None,
            TieBreak::Address => None,
            TieBreak::Block if !better.is_old || !block.is_old => None,
            TieBreak::Block => {
                self.take_out_of_list(served, &better);
                self.take_out_of_list(choice, &block);
                (self.blocks[served].made, self.blocks[choice].made) = (block.made, better.made);
                self.put_into_list(served);
                self.put_into_list(choice);
                Some(Lesson::Age { older: better.base, younger: block.base })
            }
            TieBreak::Segment => self.swap_ages(served, choice),
        }
    }

    /// Brings the ages of segments in line with the order in which they were given back: `addrs`.
    pub(crate) fn reconcile_release(&mut self, addrs: &[u64], mut learn: impl FnMut(Lesson)) {
        if self.tie_break != TieBreak::Segment || addrs.len() < 2 {
            return;
        }
        let free = self.bins.iter().flat_map(|bin| bin.free.iter());
        let cached: FxHashMap<u64, BlockId> = free
            .filter(|id| !self.blocks[*id].is_split())
            .map(|id| (self.blocks[id].addr, id))
            .collect();
        let released: Vec<BlockId> =
            addrs.iter().filter_map(|addr| cached.get(addr).copied()).collect();
        let is_one_group = |a: &BlockId, b: &BlockId| {
            let (a, b) = (self.blocks[*a], self.blocks[*b]);
            (a.size, a.bin) == (b.size, b.bin)
        };
        let groups: Vec<Vec<BlockId>> =
            released.chunk_by(is_one_group).take(MOST).map(<[BlockId]>::to_vec).collect();
        for group in groups {
            for (at, id) in group.iter().take(MOST).enumerate() {
                let rest = group.iter().skip(at + 1);
                let oldest = rest.min_by_key(|id| self.blocks[**id].segment).copied();
                let Some(oldest) = oldest else { continue };
                if self.blocks[oldest].segment < self.blocks[*id].segment
                    && let Some(lesson) = self.swap_ages(*id, oldest)
                {
                    learn(lesson);
                }
            }
        }
    }

    /// Swaps the ages of two segments that are both older than the trace.
    fn swap_ages(&mut self, older: BlockId, younger: BlockId) -> Option<Lesson> {
        let (first, second) = (self.blocks[older], self.blocks[younger]);
        let is_open = first.segment <= self.imported && second.segment <= self.imported;
        if first.base == second.base || !is_open {
            return None;
        }
        self.number_all(older, second.segment);
        self.number_all(younger, first.segment);
        Some(Lesson::Age { older: first.base, younger: second.base })
    }

    /// How much a free block has to lose so that it no longer serves `size` bytes.
    fn excess(&self, block: BlockId, size: u64) -> u64 {
        self.blocks[block].size.saturating_sub(size) + MIN_BLOCK
    }

    /// Gives the first `bytes` of a free block to the old block before it.
    fn shrink(&mut self, id: BlockId, bytes: u64) -> Option<Lesson> {
        let block = self.blocks[id];
        let before = block.prev.some()?;
        let holder = self.blocks[before];
        let is_open = holder.is_old && holder.used != Use::Free && !holder.is_expandable();
        let can_hide = bytes <= SMALL_SIZE && bytes < block.size;
        if !is_open || !can_hide || self.bin(block.bin).width == Width::Small {
            return None;
        }
        self.take_out_of_list(id, &block);
        self.blocks[before].size += bytes;
        self.blocks[id] = Block { addr: block.addr + bytes, size: block.size - bytes, ..block };
        self.put_into_list(id);
        self.counters.hold(bytes, 0);
        if holder.used == Use::Pending {
            self.counters.give_up(bytes);
        }
        Some(Lesson::Size { addr: holder.addr, size: holder.size + bytes })
    }

    /// Gives a segment another place among the ages.
    fn number_all(&mut self, of: BlockId, number: u32) {
        let mut at = of;
        while let Some(before) = self.blocks[at].prev.some() {
            at = before;
        }
        let mut next = Some(at);
        while let Some(id) = next {
            let block = self.blocks[id];
            next = block.next.some();
            if block.used == Use::Free {
                self.take_out_of_list(id, &block);
                self.blocks[id].segment = number;
                self.put_into_list(id);
            } else {
                self.blocks[id].segment = number;
            }
        }
    }
}
