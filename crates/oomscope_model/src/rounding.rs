//! How a request becomes a block and a segment: `round_size` and `get_allocation_size` of
//! `CUDACachingAllocator.cpp`, `roundup_power2_divisions` of `AllocatorConfig.cpp`.

/// Blocks are multiples of this (`kMinBlockSize`), bytes.
pub const MIN_BLOCK: u64 = 512;
/// Requests up to this go to the small pool; in the large pool a rest of this size or less is not
/// split off (`kSmallSize`), bytes.
pub const SMALL_SIZE: u64 = 1 << 20;
/// The size of a segment of the small pool (`kSmallBuffer`), and what larger segments are rounded
/// to (`kRoundLarge`), bytes.
pub const SMALL_BUFFER: u64 = 2 << 20;
/// Requests from here on get a segment of their own size (`kMinLargeAlloc`), bytes.
pub const MIN_LARGE_ALLOC: u64 = 10 << 20;
/// The default size of a segment that requests below [`MIN_LARGE_ALLOC`] share (`kLargeBuffer`,
/// `large_segment_size_mb`), bytes.
pub const LARGE_BUFFER: u64 = 20 << 20;
/// No device has a block this large: requests above it are refused, so that sums stay in range.
pub const LARGEST: u64 = 1 << 40;
/// Number of intervals that `roundup_power2_divisions` tells apart: 1 MiB, 2 MiB, … 32 GiB.
pub const INTERVALS: usize = 16;

/// How requests are rounded: divisions of each power of two from 1 MiB on; 0 or 1 for multiples
/// of 512 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rounding {
    /// Divisions by interval; sizes below the first fall into it, sizes above the last into that.
    pub divisions: [u16; INTERVALS],
}

impl Rounding {
    /// The block that a request of `size` bytes asks the pools for, bytes.
    #[inline]
    pub fn block_size(&self, size: u64) -> u64 {
        let size = size.min(LARGEST);
        if size < MIN_BLOCK {
            return MIN_BLOCK;
        }
        let interval = size.ilog2().saturating_sub(SMALL_SIZE.ilog2()) as usize;
        let divisions = u64::from(self.divisions[interval.min(INTERVALS - 1)]);
        if divisions > 1 && size > MIN_BLOCK * divisions {
            next_division(size, divisions)
        } else {
            size.next_multiple_of(MIN_BLOCK)
        }
    }
}

/// The segment that a block of `size` bytes is cut from by default (`get_allocation_size`), bytes.
pub fn segment_size(size: u64) -> u64 {
    if size <= SMALL_SIZE {
        SMALL_BUFFER
    } else if size < MIN_LARGE_ALLOC {
        LARGE_BUFFER
    } else {
        size.min(LARGEST).next_multiple_of(SMALL_BUFFER)
    }
}

/// `roundup_power2_next_division`.
fn next_division(size: u64, divisions: u64) -> u64 {
    if size.is_power_of_two() {
        return size;
    }
    let floor = 1_u64 << size.ilog2();
    let step = floor >> divisions.ilog2();
    if step == 0 { floor << 1 } else { size.next_multiple_of(step) }
}

#[cfg(test)]
mod tests {
    use super::{INTERVALS, Rounding, segment_size};

    #[test]
    fn segments_are_as_large_as_the_allocator_makes_them() {
        for (block, segment) in
            [(512, 2 << 20), (1 << 20, 2 << 20), (2 << 20, 20 << 20), ((11 << 20) + 1, 12 << 20)]
        {
            assert_eq!(segment_size(block), segment, "{block}");
        }
    }

    #[test]
    fn requests_round_as_the_allocator_rounds_them() {
        let plain = Rounding::default();
        let quarters = Rounding { divisions: [4; INTERVALS] };
        for (rounding, size, block) in [
            (plain, 0, 512),
            (plain, 513, 1024),
            (plain, 1 << 20, 1 << 20),
            (quarters, 1200, 1536),
            (quarters, 2100, 2560),
            (quarters, 5 << 20, 5 << 20),
            (quarters, (5 << 20) + 1, 6 << 20),
        ] {
            assert_eq!(rounding.block_size(size), block, "{size}");
        }
    }
}
