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
    /// A block is handed out.
    pub(crate) fn hold(&mut self, size: u64, requested: u64) {
        self.allocated = self.allocated.saturating_add(size);
        self.active = self.active.saturating_add(size);
        self.requested = self.requested.saturating_add(requested);
        self.peak_allocated = self.peak_allocated.max(self.allocated);
        self.peak_active = self.peak_active.max(self.active);
    }

    /// The program gives a block up.
    pub(crate) fn give_up(&mut self, size: u64) {
        self.allocated = self.allocated.saturating_sub(size);
    }

    /// A block is no longer active.
    pub(crate) fn release(&mut self, size: u64, requested: u64) {
        self.active = self.active.saturating_sub(size);
        self.requested = self.requested.saturating_sub(requested);
    }

    /// Memory comes from the device.
    pub(crate) fn obtain(&mut self, size: u64) {
        self.reserved = self.reserved.saturating_add(size);
        self.peak_reserved = self.peak_reserved.max(self.reserved);
        self.device_allocs += 1;
    }

    /// Memory goes back to the device.
    pub(crate) fn give_back(&mut self, size: u64) {
        self.reserved = self.reserved.saturating_sub(size);
        self.device_frees += 1;
    }
}
