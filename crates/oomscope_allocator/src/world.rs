//! What the allocator asks of the device. The calls are also the device events of a trace, in
//! their order.

/// A device, pretended ([`crate::Device`]) or as a trace recorded it.
pub(crate) trait World {
    /// `cudaMalloc` of a segment: its address, or `None` where the device refuses.
    fn malloc(&mut self, size: u64, stream: u64) -> Option<u64>;
    /// `cudaFree` of a segment.
    fn free(&mut self, addr: u64, size: u64, stream: u64);
    /// `cuMemAddressReserve`: the base of an address range without memory.
    fn reserve(&mut self, size: u64, stream: u64) -> u64;
    /// `cuMemAddressFree`.
    fn release(&mut self, base: u64, size: u64);
    /// `cuMemCreate` and `cuMemMap` for a range: all of it, or nothing.
    fn map(&mut self, addr: u64, size: u64, stream: u64) -> bool;
    /// `cuMemUnmap`.
    fn unmap(&mut self, addr: u64, size: u64, stream: u64);
    /// Whether garbage is to be collected further: `freed` bytes were, `wanted` are wanted.
    fn collects(&mut self, freed: u64, wanted: u64) -> bool {
        freed < wanted
    }
}
