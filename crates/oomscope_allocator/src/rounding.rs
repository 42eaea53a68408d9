//! Sizes that bound the model, beside those of the allocator itself.

pub(crate) use oomscope_model::rounding::{
    INTERVALS, LARGE_BUFFER, LARGEST, MIN_BLOCK, MIN_LARGE_ALLOC, Rounding, SMALL_BUFFER,
    SMALL_SIZE,
};

/// Devices have at most 57 bits of addresses; ranges beyond this are nobody's. Sums stay in range.
pub(crate) const LAST_ADDRESS: u64 = 1 << 58;
/// No device has more bytes than this; it bounds address ranges of expandable segments.
pub(crate) const MOST_TOTAL: u64 = 1 << 52;
