//! The segments at the dump.

use oomscope_model::{Segment, SegmentPool, StackId};
use oomscope_snapshot::Snapshot;

use crate::column::{Batches, Column, ColumnType, bools, known, maybe, texts, u32s, u64s};
use crate::in_batches;

pub(crate) const COLUMNS: &[Column] = &[
    known("device", ColumnType::UInt32, "Ordinal of the device."),
    known("addr", ColumnType::UInt64, "Device address."),
    known("total", ColumnType::UInt64, "Bytes held from the device."),
    known("allocated", ColumnType::UInt64, "Bytes in blocks that tensors hold, as stated."),
    known("active", ColumnType::UInt64, "Allocated, and waiting for a stream, as stated."),
    maybe("requested", ColumnType::UInt64, "Bytes that live blocks asked for, as stated."),
    known("stream", ColumnType::UInt64, "CUDA stream handle."),
    maybe("pool", ColumnType::Text, "`small` or `large`."),
    known("pool_owner", ColumnType::UInt64, "Private pool, first part; 0 for the default pool."),
    known("pool_id", ColumnType::UInt64, "Private pool, second part; 0 for the default pool."),
    known("is_expandable", ColumnType::Boolean, "Whether it grows by mapping pages."),
    known("blocks", ColumnType::UInt32, "Number of its blocks, free ones included."),
    maybe("stack", ColumnType::UInt32, "Who caused it: a row of `stacks`."),
];

pub(crate) fn batches(snapshot: &Snapshot) -> Batches<'_> {
    in_batches(snapshot.segments.iter(), |rows: &[&Segment]| {
        vec![
            u32s(rows, |segment| Some(segment.device.0)),
            u64s(rows, |segment| Some(segment.addr)),
            u64s(rows, |segment| Some(segment.total.0)),
            u64s(rows, |segment| Some(segment.allocated.0)),
            u64s(rows, |segment| Some(segment.active.0)),
            u64s(rows, |segment| segment.requested.map(|bytes| bytes.0)),
            u64s(rows, |segment| Some(segment.stream)),
            texts(rows, |segment| match segment.pool {
                SegmentPool::Small => Some("small"),
                SegmentPool::Large => Some("large"),
                SegmentPool::Unknown => None,
            }),
            u64s(rows, |segment| Some(segment.pool_id.0)),
            u64s(rows, |segment| Some(segment.pool_id.1)),
            bools(rows, |segment| Some(segment.is_expandable)),
            u32s(rows, |segment| u32::try_from(segment.blocks.len()).ok()),
            u32s(rows, |segment| Some(segment.stack.0).filter(|_| segment.stack != StackId::NONE)),
        ]
    })
}
