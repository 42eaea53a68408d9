//! The trace.

use oomscope_model::{Event, EventIndex, EventKind, StackId};
use oomscope_snapshot::{Snapshot, Trace};

use crate::column::{Batches, Column, ColumnType, known, maybe, texts, u32s, u64s};
use crate::in_batches;

pub(crate) const COLUMNS: &[Column] = &[
    known("device", ColumnType::UInt32, "Ordinal of the device."),
    known("event", ColumnType::UInt32, "Index within the device's trace, oldest first."),
    known("action", ColumnType::Text, "What happened, as PyTorch names it."),
    maybe("addr", ColumnType::UInt64, "Device address; null for `oom`."),
    known("size", ColumnType::UInt64, "Bytes; of an `alloc`: as requested, before rounding."),
    maybe("device_free", ColumnType::UInt64, "Bytes that the driver had free; `oom` only."),
    known("stream", ColumnType::UInt64, "CUDA stream handle."),
    maybe("time_us", ColumnType::UInt64, "Microseconds since the epoch."),
    known("pool_owner", ColumnType::UInt64, "Private pool, first part; 0 for the default pool."),
    known("pool_id", ColumnType::UInt64, "Private pool, second part; 0 for the default pool."),
    maybe("stack", ColumnType::UInt32, "Who asked: a row of `stacks`."),
];

struct Row {
    device: u32,
    index: EventIndex,
    event: Event,
    pool: (u64, u64),
}

pub(crate) fn batches(snapshot: &Snapshot) -> Batches<'_> {
    let rows = snapshot.traces.iter().flat_map(rows);
    in_batches(rows, |rows| {
        let is_oom = |row: &Row| row.event.kind == EventKind::Oom;
        vec![
            u32s(rows, |row| Some(row.device)),
            u32s(rows, |row| Some(row.index.0)),
            texts(rows, |row| Some(row.event.kind.action())),
            u64s(rows, |row| Some(row.event.addr).filter(|_| !is_oom(row))),
            u64s(rows, |row| Some(row.event.size.0)),
            u64s(rows, |row| Some(row.event.addr).filter(|_| is_oom(row))),
            u64s(rows, |row| Some(row.event.stream)),
            u64s(rows, |row| row.event.time_us),
            u64s(rows, |row| Some(row.pool.0)),
            u64s(rows, |row| Some(row.pool.1)),
            u32s(rows, |row| Some(row.event.stack.0).filter(|_| row.event.stack != StackId::NONE)),
        ]
    })
}

fn rows(trace: &Trace) -> impl Iterator<Item = Row> {
    trace.iter().map(|(index, event)| Row {
        device: trace.device.0,
        index,
        event,
        pool: trace.pool_id(index),
    })
}
