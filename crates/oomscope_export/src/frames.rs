//! The distinct frames.

use oomscope_model::{Frame, FrameOrigin};
use oomscope_snapshot::Snapshot;

use crate::column::{Batches, Column, ColumnType, known, texts, u32s};
use crate::in_batches;

pub(crate) const COLUMNS: &[Column] = &[
    known("frame", ColumnType::UInt32, "The frame's id."),
    known("file", ColumnType::Text, "File as recorded; a shared object or `??` for C++."),
    known("line", ColumnType::UInt32, "1-based line; 0 where unknown, an offset in recent C++."),
    known("function", ColumnType::Text, "Function name as recorded."),
    known("origin", ColumnType::Text, "`user`, `library` or `native`."),
];

pub(crate) fn batches(snapshot: &Snapshot) -> Batches<'_> {
    in_batches((0_u32..).zip(snapshot.stacks.frames()), |rows: &[(u32, &Frame)]| {
        vec![
            u32s(rows, |(id, _)| Some(*id)),
            texts(rows, |(_, frame)| Some(frame.file.as_str())),
            u32s(rows, |(_, frame)| Some(frame.line)),
            texts(rows, |(_, frame)| Some(frame.function.as_str())),
            texts(rows, |(_, frame)| {
                Some(match frame.origin() {
                    FrameOrigin::User => "user",
                    FrameOrigin::Library => "library",
                    FrameOrigin::Native => "native",
                })
            }),
        ]
    })
}
