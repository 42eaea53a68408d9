//! Starting in the middle: segments and live blocks that exist before the first event.

use crate::allocator::{Allocator, Expandable};
use crate::block::{BinId, Block, BlockId, ExpandableId, Use};
use crate::pool::{PoolId, Width};
use crate::rounding::{LARGEST, LAST_ADDRESS, MIN_BLOCK, MOST_TOTAL};

/// A block that is held when the trace begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartBlock {
    /// Device address.
    pub addr: u64,
    /// Bytes, rounded.
    pub size: u64,
    /// Bytes asked for.
    pub requested: u64,
    /// Whether the program gave it up already and another stream still uses it.
    pub is_pending: bool,
}

impl StartBlock {
    /// What its program asked for: the block's size where that is not known.
    pub(crate) fn asked(&self) -> u64 {
        let is_known = self.requested > 0 && self.requested <= self.size;
        if is_known { self.requested } else { self.size }
    }
}

/// A segment that is held when the trace begins. What its blocks leave over is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartSegment {
    /// Device address.
    pub addr: u64,
    /// Bytes held (mapped bytes of an expandable segment).
    pub size: u64,
    /// CUDA stream handle.
    pub stream: u64,
    /// The pool's identity.
    pub pool: PoolId,
    /// Whether it belongs to the pool for requests up to 1 MiB.
    pub is_small: bool,
    /// Whether it grows by mapping pages.
    pub is_expandable: bool,
    /// Its place by age, the oldest first; 0 where it is not known: then by address, downwards.
    pub age: u32,
    /// Its held blocks, by address.
    pub blocks: Vec<StartBlock>,
}

/// The segments and blocks that can be. What cannot (overlaps, blocks that stick out, sizes that
/// the allocator never makes, a wrong order) is left out and counted.
pub(crate) fn sound(start: &[StartSegment]) -> (Vec<StartSegment>, u64) {
    let mut left_out = 0;
    let mut last_end = 0;
    let mut sound = Vec::with_capacity(start.len());
    for segment in start {
        let end = end_of(segment.addr, segment.size);
        let Some(end) = end.filter(|_| segment.addr >= last_end && segment.size <= LARGEST) else {
            left_out += 1;
            continue;
        };
        last_end = end;
        let mut at = segment.addr;
        let mut blocks = Vec::with_capacity(segment.blocks.len());
        for block in &segment.blocks {
            let offset = block.addr.checked_sub(at);
            let is_placed = offset.is_some_and(|offset| offset.is_multiple_of(MIN_BLOCK));
            let block_end = end_of(block.addr, block.size);
            let Some(block_end) = block_end.filter(|block_end| is_placed && *block_end <= end)
            else {
                left_out += 1;
                continue;
            };
            at = block_end;
            blocks.push(StartBlock { requested: block.requested.min(block.size), ..*block });
        }
        sound.push(StartSegment { blocks, ..*segment });
    }
    (sound, left_out)
}

/// The end of a range that an allocator could hold.
fn end_of(addr: u64, size: u64) -> Option<u64> {
    let end = addr.checked_add(size)?;
    (size > 0 && size.is_multiple_of(MIN_BLOCK) && end <= LAST_ADDRESS).then_some(end)
}

impl Allocator {
    /// Takes over segments, which are [`sound`]; `found` hears of each held block.
    pub(crate) fn import(
        &mut self,
        start: &[StartSegment],
        mut found: impl FnMut(StartBlock, BlockId),
    ) {
        // Which segment is the oldest is not recorded; addresses mostly go down as segments come.
        self.obtained = u32::try_from(start.len()).unwrap_or(u32::MAX);
        self.imported = self.obtained;
        let mut age = self.obtained;
        let mut range: Option<(BinId, ExpandableId, BlockId, u64)> = None;
        for segment in start {
            age = age.saturating_sub(1);
            let width = if segment.is_small { Width::Small } else { Width::Large };
            let pool = self.pool_index(segment.pool);
            let bin = self.bin_of(pool, width, segment.stream);
            self.smallest_segment = self.smallest_segment.min(segment.size);
            let mut last = BlockId::NONE;
            let mut expandable = ExpandableId::NONE;
            if segment.is_expandable {
                (expandable, last) = self.continue_range(&mut range, bin, segment.addr);
            }
            self.counters.reserved = self.counters.reserved.saturating_add(segment.size);
            let first = last.some().map(|last| self.blocks[last]);
            let (number, base) = match first {
                Some(first) => (first.segment, first.base),
                None if segment.age > 0 => (segment.age, segment.addr),
                None => (age, segment.addr),
            };
            let mut chain = Chain { bin, expandable, last, addr: segment.addr, number, base };
            for block in &segment.blocks {
                self.add_free(&mut chain, block.addr);
                let used = if block.is_pending { Use::Pending } else { Use::Allocated };
                let id = self.add_to(&mut chain, block.size, used);
                self.blocks[id].requested = block.requested;
                self.counters.hold(block.size, block.requested);
                if block.is_pending {
                    self.counters.give_up(block.size);
                    self.pending.insert(id);
                }
                found(*block, id);
            }
            self.add_free(&mut chain, segment.addr.saturating_add(segment.size));
            if segment.is_expandable {
                self.end_range(&mut range, chain);
            }
        }
        let counters = &mut self.counters;
        counters.peak_allocated = counters.allocated;
        counters.peak_active = counters.active;
        counters.peak_reserved = counters.reserved;
    }

    /// Adds what lies between the chain's end and `until` as a free block.
    fn add_free(&mut self, chain: &mut Chain, until: u64) {
        if until > chain.addr {
            let id = self.add_to(chain, until - chain.addr, Use::Free);
            self.put_into_list(id);
        }
    }

    fn add_to(&mut self, chain: &mut Chain, size: u64, used: Use) -> BlockId {
        let id = self.blocks.add(Block {
            segment: chain.number,
            base: chain.base,
            addr: chain.addr,
            size,
            requested: 0,
            made: 0,
            prev: BlockId::NONE,
            next: BlockId::NONE,
            bin: chain.bin,
            expandable: chain.expandable,
            free_since: 0,
            used,
            is_old: true,
        });
        self.blocks.link(chain.last, id, BlockId::NONE);
        (chain.last, chain.addr) = (id, chain.addr + size);
        id
    }

    /// An expandable segment shows as one segment for each stretch that is mapped. Stretches of
    /// the same pool and stream within one device's address range are taken for one; where its
    /// range really began is not recorded: the first stretch is taken for its begin.
    fn continue_range(
        &mut self,
        range: &mut Option<(BinId, ExpandableId, BlockId, u64)>,
        bin: BinId,
        addr: u64,
    ) -> (ExpandableId, BlockId) {
        let unit = self.unit(bin);
        if let Some((of, expandable, rest, _)) = *range
            && of == bin
            && let Some(place) = self.expandables.get(expandable.0 as usize).copied().flatten()
            && addr < place.base.saturating_add(place.size)
            && (addr - place.base).is_multiple_of(unit)
        {
            // The rest of the address space shrinks to the gap before this stretch.
            let gap = self.blocks[rest];
            if addr > gap.addr {
                self.blocks[rest].size = addr - gap.addr;
                return (expandable, rest);
            }
        }
        let total = self.rules.device_total.min(MOST_TOTAL);
        let size = (total + total / 8).max(unit).next_multiple_of(unit);
        (self.add_expandable(Expandable { base: addr, size, top: addr, unit }), BlockId::NONE)
    }

    fn end_range(
        &mut self,
        range: &mut Option<(BinId, ExpandableId, BlockId, u64)>,
        mut chain: Chain,
    ) {
        let id = chain.expandable;
        let Some(Some(place)) = self.expandables.get_mut(id.0 as usize) else { return };
        let mapped = (chain.addr - place.base).next_multiple_of(place.unit);
        place.top = chain.addr;
        place.size = place.size.max(mapped.saturating_add(place.unit));
        let end = place.base.saturating_add(place.size);
        let (bin, addr) = (chain.bin, chain.addr);
        if end > addr {
            let rest = self.add_to(&mut chain, end - addr, Use::Unmapped);
            self.list_unmapped(rest);
            *range = Some((bin, id, rest, end));
        }
    }
}

/// The end of a row of blocks that is being built.
struct Chain {
    bin: BinId,
    expandable: ExpandableId,
    last: BlockId,
    addr: u64,
    number: u32,
    base: u64,
}
