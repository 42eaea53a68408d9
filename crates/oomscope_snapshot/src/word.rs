//! The words of the snapshot's schema, PyTorch 2.0 to 2.15. A string is classified once, where it
//! stands in the file; from then on keys and values compare as small numbers.

/// A known key or value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// Not of the schema.
    Unknown,
    // Top level.
    Segments,
    DeviceTraces,
    AllocatorSettings,
    ExternalAnnotations,
    HostTraces,
    /// Known, of no use here: host segments, compile contexts, user metadata.
    Skipped,
    /// Skipped, but tells the version.
    CompileContext,
    /// Skipped, but tells the version.
    UserMetadata,
    // Segments, blocks, events.
    Action,
    ActiveSize,
    Address,
    AllocatedSize,
    Blocks,
    Device,
    DeviceFree,
    Frames,
    History,
    IsExpandable,
    PoolId,
    /// The request, in the histories of PyTorch 2.0.
    RealSize,
    RequestedSize,
    SegmentType,
    Size,
    State,
    Stream,
    TimeUs,
    TotalSize,
    // Frames.
    Filename,
    Line,
    Name,
    // Settings.
    Conf,
    ExpandableSegments,
    GarbageCollectionThreshold,
    MaxSplitSize,
    RoundupDivisions,
    /// A power of two up to 32768 as text: a key of `roundup_power2_divisions`, in MiB.
    Power(u8),
    // Values.
    ActiveAllocated,
    ActivePending,
    Inactive,
    Large,
    Small,
    Alloc,
    FreeRequested,
    FreeCompleted,
    SegmentAlloc,
    SegmentFree,
    SegmentMap,
    SegmentUnmap,
    Oom,
    SnapshotTaken,
    /// A known action that changes nothing.
    Annotation,
}

/// Which word `text` is.
pub(crate) fn classify(text: &[u8]) -> Word {
    use Word::*;
    match text {
        b"segments" => Segments,
        b"device_traces" => DeviceTraces,
        b"allocator_settings" => AllocatorSettings,
        b"external_annotations" => ExternalAnnotations,
        b"compile_context" => CompileContext,
        b"user_metadata" => UserMetadata,
        b"host_traces" => HostTraces,
        b"host_segments" | b"category" | b"rank" | b"" => Skipped,
        b"action" => Action,
        b"active_size" => ActiveSize,
        b"address" | b"addr" => Address,
        b"allocated_size" => AllocatedSize,
        b"blocks" => Blocks,
        b"device" => Device,
        b"device_free" => DeviceFree,
        b"frames" => Frames,
        b"history" => History,
        b"is_expandable" => IsExpandable,
        b"pool_id" | b"segment_pool_id" => PoolId,
        b"real_size" => RealSize,
        b"requested_size" => RequestedSize,
        b"segment_type" => SegmentType,
        b"size" => Size,
        b"state" => State,
        b"stream" => Stream,
        b"time_us" => TimeUs,
        b"total_size" => TotalSize,
        b"filename" => Filename,
        b"line" => Line,
        b"name" => Name,
        b"PYTORCH_CUDA_ALLOC_CONF" | b"PYTORCH_ALLOC_CONF" => Conf,
        b"expandable_segments" => ExpandableSegments,
        b"garbage_collection_threshold" => GarbageCollectionThreshold,
        b"max_split_size" => MaxSplitSize,
        b"roundup_power2_divisions" => RoundupDivisions,
        b"active_allocated" => ActiveAllocated,
        b"active_pending_free" | b"active_awaiting_free" => ActivePending,
        b"inactive" => Inactive,
        b"large" => Large,
        b"small" => Small,
        b"alloc" => Alloc,
        b"free_requested" => FreeRequested,
        b"free_completed" | b"free" => FreeCompleted,
        b"segment_alloc" => SegmentAlloc,
        b"segment_free" => SegmentFree,
        b"segment_map" => SegmentMap,
        b"segment_unmap" => SegmentUnmap,
        b"oom" => Oom,
        b"snapshot" => SnapshotTaken,
        b"annotate" | b"internal_metadata" | b"user_defined" => Annotation,
        [b'0'..=b'9', ..] if text.len() <= 5 => power(text).map_or(Unknown, Power),
        _ => Unknown,
    }
}

fn power(digits: &[u8]) -> Option<u8> {
    let number: u32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (number.is_power_of_two() && number <= 1 << 15).then(|| number.ilog2() as u8)
}

#[cfg(test)]
mod tests {
    use super::{Word, classify};

    #[test]
    fn words_are_told_by_their_text() {
        for (text, word) in [
            ("addr", Word::Address),
            ("address", Word::Address),
            ("free", Word::FreeCompleted),
            ("1", Word::Power(0)),
            ("32768", Word::Power(15)),
            ("3", Word::Unknown),
            ("65536", Word::Unknown),
            ("new_key", Word::Unknown),
        ] {
            assert_eq!(classify(text.as_bytes()), word, "{text}");
        }
    }
}
