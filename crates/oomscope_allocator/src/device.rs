//! A pretended device: so many bytes, and addresses.

use std::collections::{BTreeMap, BTreeSet};

use crate::allocator::StartSegment;
use crate::rounding::SMALL_BUFFER;
use crate::world::World;

/// The end of the address space that is given out, from the top down. Best fit breaks ties by
/// address, so the order matters: Linux and the drivers seen in recordings mostly go down.
pub(crate) const TOP: u64 = 0x7fff_0000_0000;

/// More gaps are not looked at for one segment: a hostile file has a million.
const GAPS_TRIED: usize = 256;

/// A device that has a number of bytes for this process and keeps them in whole pages of 2 MiB.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    capacity: u64,
    used: u64,
    gaps: Gaps,
}

/// Free address ranges.
#[derive(Clone, Debug, Default)]
struct Gaps {
    /// Their begins, by end.
    begins: BTreeMap<u64, u64>,
    /// The ends of those that could hold a segment: most are the single pages between segments.
    useful: BTreeSet<u64>,
}

impl Gaps {
    fn add(&mut self, begin: u64, end: u64) {
        if begin < end {
            self.begins.insert(end, begin);
            if end - begin > SMALL_BUFFER {
                self.useful.insert(end);
            }
        }
    }

    /// Takes the gap out that ends at `end`; its begin.
    fn remove(&mut self, end: u64) -> Option<u64> {
        self.useful.remove(&end);
        self.begins.remove(&end)
    }

    /// The highest gap of at least `size` bytes; the lowest gap, most of the address space, where
    /// many others are in the way.
    fn highest(&self, size: u64) -> Option<(u64, u64)> {
        let begin = |end: &u64| self.begins.get(end).map(|begin| (*begin, *end));
        let fits = |(begin, end): &(u64, u64)| end - begin >= size;
        let tried = self.useful.iter().rev().take(GAPS_TRIED);
        let last = self.useful.first().into_iter();
        tried.chain(last).filter_map(begin).find(fits)
    }

    /// The lowest gap that ends above an address.
    fn above(&self, addr: u64) -> Option<(u64, u64)> {
        self.begins.range(addr.checked_add(1)?..).next().map(|(end, begin)| (*begin, *end))
    }
}

impl Device {
    /// A device with `capacity` bytes left for the allocator: its total without the context and
    /// what other processes hold.
    pub(crate) fn new(capacity: u64) -> Device {
        let mut gaps = Gaps::default();
        gaps.add(0, TOP);
        Device { capacity, used: 0, gaps }
    }

    /// A device that holds segments already.
    pub(crate) fn holding(segments: &[StartSegment], capacity: u64) -> Device {
        let mut device = Device::new(capacity);
        for segment in segments {
            device.occupy(segment.addr, segment.size);
        }
        device
    }

    /// Bytes that are held.
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    /// Takes out what is held before the first event.
    fn occupy(&mut self, addr: u64, size: u64) {
        self.used = self.used.saturating_add(size);
        let end = addr.saturating_add(size);
        let around = self.gaps.above(addr).filter(|(begin, _)| *begin < end);
        if let Some((begin, gap_end)) = around {
            self.gaps.remove(gap_end);
            self.gaps.add(begin, addr.max(begin));
            self.gaps.add(end, gap_end);
        }
    }

    fn place(&mut self, size: u64) -> u64 {
        // A page is left between ranges: as `mmap` with alignment does.
        let wanted = size.saturating_add(SMALL_BUFFER);
        let Some((begin, end)) = self.gaps.highest(wanted) else {
            return TOP; // 128 TiB of addresses are used up: positions no longer matter.
        };
        self.gaps.remove(end);
        let addr = end - wanted;
        self.gaps.add(begin, addr);
        self.gaps.add(addr + size, end);
        addr
    }

    fn vacate(&mut self, addr: u64, size: u64) {
        let (mut begin, mut end) = (addr, addr.saturating_add(size));
        if addr >= TOP {
            return;
        }
        if let Some(before) = self.gaps.remove(begin) {
            begin = before;
        }
        if let Some((_, after_end)) = self.gaps.above(end).filter(|(after, _)| *after == end) {
            self.gaps.remove(after_end);
            end = after_end;
        }
        self.gaps.add(begin, end);
    }

    fn take(&mut self, size: u64) -> bool {
        let fits = self.used.checked_add(size).is_some_and(|used| used <= self.capacity);
        if fits {
            self.used += size;
        }
        fits
    }
}

impl World for Device {
    fn malloc(&mut self, size: u64, _stream: u64) -> Option<u64> {
        self.take(size).then(|| self.place(size))
    }

    fn free(&mut self, addr: u64, size: u64, _stream: u64) {
        self.used = self.used.saturating_sub(size);
        self.vacate(addr, size);
    }

    fn reserve(&mut self, size: u64, _stream: u64) -> u64 {
        self.place(size)
    }

    fn release(&mut self, base: u64, size: u64) {
        self.vacate(base, size);
    }

    fn map(&mut self, _addr: u64, size: u64, _stream: u64) -> bool {
        self.take(size)
    }

    fn unmap(&mut self, _addr: u64, size: u64, _stream: u64) {
        self.used = self.used.saturating_sub(size);
    }
}

#[cfg(test)]
mod tests {
    use super::Device;
    use crate::world::World;

    #[test]
    fn addresses_go_down_and_holes_are_used_again() {
        let mib = |n: u64| n << 20;
        let mut device = Device::new(mib(100));
        let first = device.malloc(mib(20), 0).expect("there is room");
        let second = device.malloc(mib(20), 0).expect("there is room");
        let third = device.malloc(mib(40), 0).expect("there is room");
        assert!(first > second && second > third);
        assert_eq!(device.malloc(mib(22), 0), None);
        device.free(second, mib(20), 0);
        assert_eq!(device.malloc(mib(20), 0), Some(second));
        device.free(first, mib(20), 0);
        device.free(second, mib(20), 0);
        device.free(third, mib(40), 0);
        assert_eq!(device.malloc(mib(100), 0).map(|addr| addr + mib(102)), Some(super::TOP));
        assert_eq!(device.gaps.begins.len(), 2);
    }
}
