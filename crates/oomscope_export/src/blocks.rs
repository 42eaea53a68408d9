//! The lives of blocks.

use oomscope_model::StackId;
use oomscope_snapshot::{Life, Snapshot, history};

use crate::column::{Batches, Column, ColumnType, known, maybe, u32s, u64s};
use crate::in_batches;

pub(crate) const COLUMNS: &[Column] = &[
    known("device", ColumnType::UInt32, "Ordinal of the device."),
    known("addr", ColumnType::UInt64, "Device address."),
    known("size", ColumnType::UInt64, "Bytes after rounding."),
    known("requested", ColumnType::UInt64, "Bytes asked for."),
    known("stream", ColumnType::UInt64, "CUDA stream handle."),
    maybe("stack", ColumnType::UInt32, "Who asked: a row of `stacks`."),
    maybe("allocated_event", ColumnType::UInt32, "Its `alloc`; null when older than the trace."),
    maybe("released_event", ColumnType::UInt32, "When Python gave it up; null when it holds it."),
    maybe("completed_event", ColumnType::UInt32, "When it became reusable; null when it is not."),
];

pub(crate) fn batches(snapshot: &Snapshot) -> Batches<'_> {
    let lives = snapshot.devices().into_iter().flat_map(|device| {
        let mut lives = history(snapshot, device).lives;
        lives.sort_unstable_by_key(|life| (life.allocated_at, life.addr, life.released_at()));
        lives.into_iter().map(move |life| (device.0, life))
    });
    in_batches(lives, |rows: &[(u32, Life)]| {
        vec![
            u32s(rows, |(device, _)| Some(*device)),
            u64s(rows, |(_, life)| Some(life.addr)),
            u64s(rows, |(_, life)| Some(life.size.0)),
            u64s(rows, |(_, life)| Some(life.requested.0)),
            u64s(rows, |(_, life)| Some(life.stream)),
            u32s(rows, |(_, life)| Some(life.stack.0).filter(|_| life.stack != StackId::NONE)),
            u32s(rows, |(_, life)| life.allocated_at.map(|event| event.0)),
            u32s(rows, |(_, life)| life.released_at().map(|event| event.0)),
            u32s(rows, |(_, life)| life.completed_at().map(|event| event.0)),
        ]
    })
}
