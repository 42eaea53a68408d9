//! Expandable segments: address space that memory is mapped into as it is needed.

use crate::allocator::Allocator;
use crate::block::{BinId, Block, BlockId, ExpandableId, Use};
use crate::pool::Width;
use crate::release::Release;
use crate::rounding::{LARGE_BUFFER, LARGEST, MOST_TOTAL, SMALL_BUFFER};
use crate::world::World;

/// The last release that keeps a range which nothing could be mapped into.
const LAST_THAT_KEEPS: Release = Release { major: 2, minor: 14 };

/// No run has as many ranges; what a hostile file costs is bounded.
const KNOWN_RANGES: usize = 256;

/// As many unmapped stretches as a device of 160 GiB can have between blocks; a hostile file has a
/// million.
const HOLES_TRIED: usize = 4096;

/// `struct ExpandableSegment`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expandable {
    /// First address.
    pub(crate) base: u64,
    /// Bytes of address space.
    pub(crate) size: u64,
    /// The end of what had memory so far.
    pub(crate) top: u64,
    /// Memory is mapped in multiples of this, counted from the base.
    pub(crate) unit: u64,
}

impl Allocator {
    /// `try_allocate_expandable_block`.
    pub(super) fn obtain_expandable(
        &mut self,
        bin: BinId,
        size: u64,
        world: &mut impl World,
    ) -> Option<BlockId> {
        let mut candidate = self.find_expandable(bin, size, world);
        if size >= LARGEST {
            self.give_up_range(candidate, world);
            return None; // No device has it.
        }
        if self.blocks[candidate].used == Use::Unmapped {
            let wanted = size.min(self.blocks[candidate].size);
            if !self.map(candidate, wanted, world) {
                self.give_up_range(candidate, world);
                return None;
            }
        }
        while self.blocks[candidate].size < size && size < LARGEST {
            let next = self.blocks[candidate].next.some()?;
            let wanted = (size - self.blocks[candidate].size).min(self.blocks[next].size);
            if self.blocks[next].used != Use::Unmapped || !self.map(next, wanted, world) {
                return None;
            }
            candidate = next;
        }
        if size >= LARGEST {
            return None; // No device has it.
        }
        let block = self.blocks[candidate];
        self.take_out_of_list(candidate, &block);
        Some(candidate)
    }

    /// A range that nothing could be mapped into stays, where later requests find it first, but in
    /// newer releases.
    fn give_up_range(&mut self, id: BlockId, world: &mut impl World) {
        let block = &self.blocks[id];
        let is_whole = block.used == Use::Unmapped && !block.is_split();
        if is_whole && self.rules.release > LAST_THAT_KEEPS {
            self.release_expandable(id, world);
        }
    }

    /// `find_expandable_block`: the lowest free stretch, mapped or not, that is large enough.
    fn find_expandable(&mut self, bin: BinId, size: u64, world: &mut impl World) -> BlockId {
        let unmapped = &self.bins[bin.0 as usize].unmapped;
        let holes = unmapped.iter().take(HOLES_TRIED);
        for &(addr, id) in holes.chain(unmapped.last()) {
            let before = self.blocks[id].prev.some();
            let first = before.filter(|before| self.is_usable(*before)).unwrap_or(id);
            if self.stretch_holds(first, size) {
                // A recording does not show where ranges lie that nothing was mapped into.
                let has_no_place = !self.blocks[id].is_split();
                match world.maps_next().filter(|next| *next != addr) {
                    Some(next) if has_no_place != self.is_strange(next) => {
                        if has_no_place {
                            continue;
                        }
                        break;
                    }
                    _ => return first,
                }
            }
        }
        self.new_expandable(bin, world)
    }

    /// Whether an address lies beyond what had memory in each range: how large ranges are, a trace
    /// does not tell.
    fn is_strange(&self, addr: u64) -> bool {
        let mut known = self.expandables.iter().rev().take(KNOWN_RANGES).flatten();
        known.all(|range| addr < range.base || addr > range.top)
    }

    fn is_usable(&self, block: BlockId) -> bool {
        matches!(self.blocks[block].used, Use::Free | Use::Unmapped)
    }

    fn stretch_holds(&self, first: BlockId, size: u64) -> bool {
        let mut bytes = 0_u64;
        let mut at = Some(first);
        while let Some(block) = at.filter(|block| bytes < size && self.is_usable(*block)) {
            bytes = bytes.saturating_add(self.blocks[block].size);
            at = self.blocks[block].next.some();
        }
        bytes >= size
    }

    fn new_expandable(&mut self, bin: BinId, world: &mut impl World) -> BlockId {
        let stream = self.bins[bin.0 as usize].stream;
        let unit = self.unit(bin);
        // As much as the device has and an eighth more.
        let total = self.rules.device_total.clamp(LARGE_BUFFER, MOST_TOTAL);
        let size = (total + total / 8).next_multiple_of(unit);
        let base = world.reserve(size, stream);
        let expandable = self.add_expandable(Expandable { base, size, top: base, unit });
        let segment = self.number_segment();
        let block = self.blocks.add(Block {
            segment,
            base,
            addr: base,
            size,
            requested: 0,
            made: 0,
            prev: BlockId::NONE,
            next: BlockId::NONE,
            bin,
            expandable,
            free_since: 0,
            used: Use::Unmapped,
            is_old: false,
        });
        self.list_unmapped(block);
        block
    }

    pub(super) fn add_expandable(&mut self, expandable: Expandable) -> ExpandableId {
        self.expandables.push(Some(expandable));
        ExpandableId(self.expandables.len() as u32 - 1)
    }

    /// The granularity of a bin's expandable segments.
    pub(super) fn unit(&self, bin: BinId) -> u64 {
        match self.bins[bin.0 as usize].width {
            Width::Small => SMALL_BUFFER,
            Width::Large => self.rules.settings.large_segment_size,
        }
    }

    /// `map_block`: puts memory behind the first `wanted` bytes of an unmapped block, rounded up
    /// to the granularity, and merges what is free around it into it.
    fn map(&mut self, id: BlockId, wanted: u64, world: &mut impl World) -> bool {
        if !self.blocks[id].is_split() {
            self.settle(id, world);
        }
        let block = self.blocks[id];
        let Some(expandable) = self.expandable(block) else { return false };
        let size = wanted.next_multiple_of(expandable.unit).min(block.size);
        let stream = self.bins[block.bin.0 as usize].stream;
        if !world.map(block.addr, size, stream) {
            return false;
        }
        if let Some(Some(range)) = self.expandables.get_mut(block.expandable.0 as usize) {
            range.top = range.top.max(block.addr + size);
        }
        self.forget_unmapped(id, &block);
        if size < block.size {
            let (addr, rest) = (block.addr + size, block.size - size);
            let remaining = self.blocks.add(Block { addr, size: rest, ..block });
            self.blocks.link(id, remaining, block.next);
            self.list_unmapped(remaining);
        }
        let mapped = &mut self.blocks[id];
        (mapped.size, mapped.used) = (size, Use::Free);
        let Block { prev, next, .. } = *mapped;
        self.merge(id, prev);
        self.merge(id, next);
        self.put_into_list(id);
        self.counters.obtain(size);
        true
    }

    /// Moves a range that has no memory yet to where it lies.
    fn settle(&mut self, id: BlockId, world: &mut impl World) {
        let Block { addr, bin, expandable, .. } = self.blocks[id];
        let base = world.settle(addr);
        if base == addr {
            return;
        }
        let unmapped = &mut self.bin_mut(bin).unmapped;
        unmapped.remove(&(addr, id));
        unmapped.insert((base, id));
        let block = &mut self.blocks[id];
        (block.addr, block.base) = (base, base);
        if let Some(Some(expandable)) = self.expandables.get_mut(expandable.0 as usize) {
            (expandable.base, expandable.top) = (base, base);
        }
    }

    /// `unmap_block`: gives back the whole pages inside a free block. The parts at its ends that
    /// share a page with a neighbour stay mapped.
    pub(super) fn unmap(&mut self, id: BlockId, world: &mut impl World) {
        let block = self.blocks[id];
        let Some(Expandable { base, unit, .. }) = self.expandable(block) else { return };
        let start = (block.addr - base).next_multiple_of(unit) + base;
        let end = (block.end() - base) / unit * unit + base;
        if start >= end {
            return;
        }
        self.take_out_of_list(id, &block);
        if start > block.addr {
            let size = start - block.addr;
            let before = self.blocks.add(Block { size, ..block });
            self.blocks.link(block.prev, before, id);
            self.put_into_list(before);
        }
        if end < block.end() {
            let size = block.end() - end;
            let after = self.blocks.add(Block { addr: end, size, ..block });
            self.blocks.link(id, after, block.next);
            self.put_into_list(after);
        }
        let unmapped = &mut self.blocks[id];
        (unmapped.addr, unmapped.size, unmapped.used) = (start, end - start, Use::Unmapped);
        let Block { prev, next, .. } = *unmapped;
        self.merge(id, prev);
        self.merge(id, next);
        self.list_unmapped(id);
        self.counters.give_back(end - start);
        let stream = self.bins[block.bin.0 as usize].stream;
        world.unmap(start, end - start, stream);
    }

    /// `release_expandable_segment`: gives the address space of a block back that is all of it.
    pub(super) fn release_expandable(&mut self, id: BlockId, world: &mut impl World) {
        let block = self.blocks[id];
        self.forget_unmapped(id, &block);
        if let Some(place) = self.expandables.get_mut(block.expandable.0 as usize)
            && let Some(gone) = place.take()
        {
            world.release(gone.base, gone.size);
        }
        self.blocks.drop(id);
    }

    fn expandable(&self, block: Block) -> Option<Expandable> {
        self.expandables.get(block.expandable.0 as usize).copied().flatten()
    }
}
