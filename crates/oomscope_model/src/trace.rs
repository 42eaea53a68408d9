//! The allocator's own vocabulary: segments, blocks, events. Sources: `CUDACachingAllocator.h`
//! (`TraceEntry`, `SegmentInfo`, `BlockInfo`) and `memory_snapshot.cpp` of PyTorch 2.9.

use crate::Bytes;

/// Index of an event in one device's trace, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventIndex(pub u32);

/// An interned stack. [`StackId::NONE`] stands for "not recorded".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StackId(pub u32);

impl StackId {
    /// No stack was recorded.
    pub const NONE: StackId = StackId(u32::MAX);
}

/// An interned frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameId(pub u32);

/// Ordinal of a device in the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(pub u32);

/// What happened, `TraceEntry::Action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A block was handed out; `size` is the requested size, before rounding.
    Alloc,
    /// Python released the block.
    FreeRequested,
    /// The block became reusable (all streams done with it).
    FreeCompleted,
    /// A segment was obtained from the device.
    SegmentAlloc,
    /// A segment was returned to the device.
    SegmentFree,
    /// Physical pages were mapped into an expandable segment.
    SegmentMap,
    /// Physical pages were unmapped.
    SegmentUnmap,
    /// A request failed; `addr` holds the device's free bytes.
    Oom,
    /// A snapshot was taken.
    Snapshot,
    /// An annotation or internal record, or an action of a newer PyTorch.
    Other,
}

impl EventKind {
    /// As PyTorch's trace names it; `other` for what this vocabulary does not have.
    pub const fn action(self) -> &'static str {
        match self {
            EventKind::Alloc => "alloc",
            EventKind::FreeRequested => "free_requested",
            EventKind::FreeCompleted => "free_completed",
            EventKind::SegmentAlloc => "segment_alloc",
            EventKind::SegmentFree => "segment_free",
            EventKind::SegmentMap => "segment_map",
            EventKind::SegmentUnmap => "segment_unmap",
            EventKind::Oom => "oom",
            EventKind::Snapshot => "snapshot",
            EventKind::Other => "other",
        }
    }
}

/// One entry of a device's trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// Device address; for [`EventKind::Oom`] the free bytes on the device.
    pub addr: u64,
    /// Bytes, as recorded.
    pub size: Bytes,
    /// CUDA stream handle.
    pub stream: u64,
    /// Microseconds since the epoch; `None` before PyTorch 2.1 or where not recorded.
    pub time_us: Option<u64>,
    /// Who asked, innermost frame first.
    pub stack: StackId,
}

/// Which free list a segment belongs to, by request size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SegmentPool {
    /// Requests up to 1 MiB, in 2 MiB segments.
    Small,
    /// Larger requests.
    Large,
    /// Not stated.
    Unknown,
}

/// A block's state in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockState {
    /// Held by a tensor.
    Allocated,
    /// Released, but another stream may still use it.
    PendingFree,
    /// Free and cached.
    Inactive,
}

/// A block of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Device address.
    pub addr: u64,
    /// Size after rounding.
    pub size: Bytes,
    /// Size asked for; stale in an inactive block.
    pub requested: Bytes,
    /// Whether it is held.
    pub state: BlockState,
    /// Who asked for it, innermost frame first.
    pub stack: StackId,
}

/// A range of device memory that the allocator holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The device that it lies on.
    pub device: DeviceId,
    /// Device address.
    pub addr: u64,
    /// Bytes held from the device (mapped bytes of an expandable segment).
    pub total: Bytes,
    /// Bytes in allocated blocks, as stated.
    pub allocated: Bytes,
    /// Bytes in allocated and pending blocks, as stated.
    pub active: Bytes,
    /// Bytes requested by live blocks, as stated.
    pub requested: Option<Bytes>,
    /// CUDA stream handle.
    pub stream: u64,
    /// Small or large.
    pub pool: SegmentPool,
    /// The private pool, `(0, 0)` for the default one.
    pub pool_id: (u64, u64),
    /// Whether it grows by mapping pages.
    pub is_expandable: bool,
    /// Who caused it, innermost frame first.
    pub stack: StackId,
    /// Its blocks, by address.
    pub blocks: Vec<Block>,
}

/// The allocator's settings as the snapshot states them; `None` where it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllocatorSettings {
    /// `PYTORCH_CUDA_ALLOC_CONF` as it was given.
    pub conf: Option<String>,
    /// `expandable_segments`.
    pub expandable_segments: Option<bool>,
    /// `max_split_size_mb`, in bytes; `None` when unlimited or not stated.
    pub max_split_size: Option<Bytes>,
    /// `garbage_collection_threshold`, in percent.
    pub garbage_collection_threshold_percent: Option<u8>,
}
