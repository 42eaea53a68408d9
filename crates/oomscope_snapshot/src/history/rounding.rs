//! The allocator's rounding of a request, as `round_size` in PyTorch's
//! `CUDACachingAllocator.cpp` (2.9), and its limits.

/// Blocks are multiples of this (`kMinBlockSize`).
const MIN_BLOCK: u64 = 512;
/// Requests up to this go to the small pool, and in the large pool no free rest of this size or
/// less is split off (`kSmallSize`).
pub(crate) const SMALL_SIZE: u64 = 1 << 20;
/// The size of a segment of the small pool (`kSmallBuffer`).
pub(crate) const SMALL_BUFFER: u64 = 2 << 20;
/// Requests of more than [`SMALL_SIZE`] below this (`kMinLargeAlloc`) share segments of
/// [`LARGE_BUFFER`] (`kLargeBuffer`); larger ones are rounded to 2 MiB (`kRoundLarge`).
const LARGE_BLOCK: u64 = 10 << 20;
const LARGE_BUFFER: u64 = 20 << 20;
/// No device has blocks this large; hostile sizes are cut to it so that sums stay in range.
pub(crate) const LARGEST: u64 = 1 << 42;

/// How requests become block sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rounding {
    /// `roundup_power2_divisions`, from 1 MiB on, by power of two.
    pub(crate) divisions: [u16; 16],
}

impl Rounding {
    /// The block size that a request of `size` bytes asks the pools for.
    pub(crate) fn block_size(self, size: u64) -> u64 {
        let size = size.min(LARGEST);
        if size < MIN_BLOCK {
            return MIN_BLOCK;
        }
        let power = size.ilog2().saturating_sub(SMALL_SIZE.ilog2()) as usize;
        let last = self.divisions.len() - 1;
        let divisions = self.divisions.get(power.min(last)).copied().map_or(0, u64::from);
        if divisions > 1 && size > MIN_BLOCK * divisions {
            next_division(size, divisions)
        } else {
            size.next_multiple_of(MIN_BLOCK)
        }
    }
}

/// The size of the segment that a block of `size` bytes is cut from (`get_allocation_size`).
pub(crate) fn segment_size(size: u64) -> u64 {
    if size <= SMALL_SIZE {
        SMALL_BUFFER
    } else if size < LARGE_BLOCK {
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
    use super::{Rounding, segment_size};

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
        let quarters = Rounding { divisions: [4; 16] };
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
