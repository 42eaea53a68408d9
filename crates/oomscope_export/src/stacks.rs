//! The distinct stacks.

use oomscope_model::{FrameId, StackId};
use oomscope_snapshot::Snapshot;

use crate::column::{Batches, Column, ColumnType, known, maybe, u32s};
use crate::in_batches;

pub(crate) const COLUMNS: &[Column] = &[
    known("stack", ColumnType::UInt32, "The stack's id."),
    maybe(
        "caller",
        ColumnType::UInt32,
        "The stack without its innermost frame: a row of `stacks`; null for the outermost frame.",
    ),
    known("frame", ColumnType::UInt32, "The innermost frame: a row of `frames`."),
];

pub(crate) fn batches(snapshot: &Snapshot) -> Batches<'_> {
    let rows = (0_u32..).zip(snapshot.stacks.edges());
    in_batches(rows, |rows: &[(u32, (StackId, FrameId))]| {
        vec![
            u32s(rows, |(id, _)| Some(*id)),
            u32s(rows, |(_, (caller, _))| Some(caller.0).filter(|_| *caller != StackId::NONE)),
            u32s(rows, |(_, (_, frame))| Some(frame.0)),
        ]
    })
}
