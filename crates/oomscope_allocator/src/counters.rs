//! What `torch.cuda.memory_stats` counts, as far as it matters here.

/// Bytes and calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes in blocks that the program holds (`allocated_bytes`).
    pub allocated: u64,
    /// The same, and blocks that wait for another stream (`active_bytes`).
    pub active: u64,
    /// Bytes asked for by active blocks (`requested_bytes`).
    pub requested: u64,
    /// Bytes held from the device (`reserved_bytes`).
    pub reserved: u64,
    /// Highest [`Counters::allocated`].
    pub peak_allocated: u64,
    /// Highest [`Counters::active`].
    pub peak_active: u64,
    /// Highest [`Counters::reserved`].
    pub peak_reserved: u64,
    /// Calls that obtained memory from the device (`num_device_alloc`).
    pub device_allocs: u64,
    /// Calls that gave memory back (`num_device_free`).
    pub device_frees: u64,
    /// Requests that freed the cache and tried again (`num_alloc_retries`).
    pub retries: u64,
    /// Requests that failed (`num_ooms`).
    pub ooms: u64,
}

impl Counters {
    pub(crate) fn hold(&mut self, size: u64, requested: u64) {
        self.allocated += size;
        self.active += size;
        self.requested += requested;
        self.peak_allocated = self.peak_allocated.max(self.allocated);
        self.peak_active = self.peak_active.max(self.active);
    }

    pub(crate) fn obtain(&mut self, size: u64) {
        self.reserved += size;
        self.peak_reserved = self.peak_reserved.max(self.reserved);
        self.device_allocs += 1;
    }

    pub(crate) fn give_back(&mut self, size: u64) {
        self.reserved -= size;
        self.device_frees += 1;
    }
}
