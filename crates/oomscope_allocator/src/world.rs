//! What the allocator asks of the device, and hears of the program. The calls are also the events
//! of a trace, in their order.

use crate::program::Lane;

/// A device, pretended ([`crate::Device`]) or as a trace recorded it.
pub(crate) trait World {
    /// `cudaMalloc` of a segment: its address, or `None` where the device refuses.
    fn malloc(&mut self, size: u64, stream: u64) -> Option<u64>;
    /// `cudaFree` of a segment.
    fn free(&mut self, addr: u64, size: u64, stream: u64);
    /// `cuMemAddressReserve`: the base of an address range without memory.
    fn reserve(&mut self, size: u64, stream: u64) -> u64;
    /// Where a range lies: a recording shows it only when memory is first mapped into it.
    fn settle(&mut self, base: u64) -> u64 {
        base
    }
    /// Where memory was mapped next, in a recording.
    fn maps_next(&self) -> Option<u64> {
        None
    }
    /// `cuMemAddressFree`.
    fn release(&mut self, base: u64, size: u64);
    /// `cuMemCreate` and `cuMemMap` for a range: all of it, or nothing.
    fn map(&mut self, addr: u64, size: u64, stream: u64) -> bool;
    /// `cuMemUnmap`.
    fn unmap(&mut self, addr: u64, size: u64, stream: u64);
    /// A request was served.
    #[inline]
    fn served(&mut self, _addr: u64, _size: u64, _lane: Lane) {}
    /// A request failed.
    #[inline]
    fn failed(&mut self, _size: u64, _lane: Lane) {}
    /// The program gave a block up.
    #[inline]
    fn gave_up(&mut self, _addr: u64, _size: u64) {}
    /// No stream uses a block any more.
    #[inline]
    fn completed(&mut self, _addr: u64, _size: u64) {}
    /// Whether garbage is to be collected further: `freed` bytes were, `wanted` are wanted.
    fn collects(&mut self, freed: u64, wanted: u64) -> bool {
        freed < wanted
    }
}
