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
    HostSegments,
    HostTraces,
    /// Known, of no use here.
    Skipped,
    // External annotations.
    Stage,
    // Segments, blocks, events.
    Action,
    ActiveSize,
    Address,
    AllocatedSize,
    Blocks,
    CompileContext,
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
    UserMetadata,
    // Frames.
    Filename,
    Line,
    Name,
    FxNodeName,
    FxNodeOp,
    FxNodeTarget,
    FxOriginalTrace,
    // Settings.
    Conf,
    ExpandableSegments,
    GarbageCollectionThreshold,
    MaxCachedSize,
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
    StageStart,
    StageEnd,
    /// The empty text.
    Empty,
    /// How PyTorch writes that it knows no compile context.
    NotApplicable,
}

/// Which word `text` is.
pub(crate) fn classify(text: &[u8]) -> Word {
    match text {
        b"segments" => Word::Segments,
        b"device_traces" => Word::DeviceTraces,
        b"allocator_settings" => Word::AllocatorSettings,
        b"external_annotations" => Word::ExternalAnnotations,
        b"compile_context" => Word::CompileContext,
        b"user_metadata" => Word::UserMetadata,
        b"host_traces" => Word::HostTraces,
        b"host_segments" => Word::HostSegments,
        b"category" | b"rank" => Word::Skipped,
        b"stage" => Word::Stage,
        b"action" => Word::Action,
        b"active_size" => Word::ActiveSize,
        b"address" | b"addr" => Word::Address,
        b"allocated_size" => Word::AllocatedSize,
        b"blocks" => Word::Blocks,
        b"device" => Word::Device,
        b"device_free" => Word::DeviceFree,
        b"frames" => Word::Frames,
        b"history" => Word::History,
        b"is_expandable" => Word::IsExpandable,
        b"pool_id" | b"segment_pool_id" => Word::PoolId,
        b"real_size" => Word::RealSize,
        b"requested_size" => Word::RequestedSize,
        b"segment_type" => Word::SegmentType,
        b"size" => Word::Size,
        b"state" => Word::State,
        b"stream" => Word::Stream,
        b"time_us" => Word::TimeUs,
        b"total_size" => Word::TotalSize,
        b"filename" => Word::Filename,
        b"line" => Word::Line,
        b"name" => Word::Name,
        b"fx_node_name" => Word::FxNodeName,
        b"fx_node_op" => Word::FxNodeOp,
        b"fx_node_target" => Word::FxNodeTarget,
        b"fx_original_trace" => Word::FxOriginalTrace,
        b"PYTORCH_CUDA_ALLOC_CONF" | b"PYTORCH_ALLOC_CONF" => Word::Conf,
        b"expandable_segments" => Word::ExpandableSegments,
        b"garbage_collection_threshold" => Word::GarbageCollectionThreshold,
        b"max_cached_size" => Word::MaxCachedSize,
        b"max_split_size" => Word::MaxSplitSize,
        b"roundup_power2_divisions" => Word::RoundupDivisions,
        b"active_allocated" => Word::ActiveAllocated,
        b"active_pending_free" | b"active_awaiting_free" => Word::ActivePending,
        b"inactive" => Word::Inactive,
        b"large" => Word::Large,
        b"small" => Word::Small,
        b"alloc" => Word::Alloc,
        b"free_requested" => Word::FreeRequested,
        b"free_completed" | b"free" => Word::FreeCompleted,
        b"segment_alloc" => Word::SegmentAlloc,
        b"segment_free" => Word::SegmentFree,
        b"segment_map" => Word::SegmentMap,
        b"segment_unmap" => Word::SegmentUnmap,
        b"oom" => Word::Oom,
        b"snapshot" => Word::SnapshotTaken,
        b"annotate" | b"internal_metadata" | b"user_defined" => Word::Annotation,
        b"START" => Word::StageStart,
        b"END" => Word::StageEnd,
        b"" => Word::Empty,
        b"N/A" => Word::NotApplicable,
        [b'0'..=b'9', ..] if text.len() <= 5 => power(text).map_or(Word::Unknown, Word::Power),
        _ => Word::Unknown,
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
