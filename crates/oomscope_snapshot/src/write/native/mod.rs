//! A compact form of our own: a fraction of the pickle's size, open in milliseconds.
//!
//! Little-endian throughout; `n` is an unsigned LEB128 number, a text is its length and its UTF-8
//! bytes, an optional value is 0, or 1 and the value.
//!
//! ```text
//! file     magic (8 bytes) · version (2 bytes) · head · annotations · stacks · segments · traces · "END"
//! head     texts: n, each a text
//!          release (1 byte) · conf? · expandable? · max_split_size? · collection percent?
//!          16 × n: rounding divisions
//!          problems: n, each at, what, hint? · unknown words: n, each word, count
//!          pinned host memory? (reserved, allocated, segments)
//! annotations n · name* · device + 1 · time + 1 · stage
//! stacks   frames: n · file* · function · line         (texts by place in the table)
//!          graph nodes: n · frame* · op + 1 · name + 1 · target + 1 · trace + 1
//!          stacks: n · caller + 1 · frame*             (a caller stands before its callees)
//! segments n · device · address · total · allocated · active · has requested · requested · stream
//!          pool* · pool id (2) · is expandable · stack + 1 · number of blocks
//!          blocks: n · address · size · requested · state* · stack + 1
//! traces   streams: n · handle* · labels: n, each a text
//!          n, each: device (n) · events (n), then groups of up to 4096 events, each
//!          kind* · address · size · stream · time · stack + 1
//!          private pools, user metadata, compile contexts, each in stretches of equal values:
//!          rows (n) · n · first row* · value (a pool's parts in one number; a label, or 0)
//! ```
//!
//! Every field from `stacks` on is a column: runs of up to 4096 values, each run `base` (n) ·
//! shift (1 byte) · width (1 byte) · values of `width` bytes, 0 to 8; a value is
//! `base + (packed << shift)`. Columns with `*` are at least a byte wide, so that a table never has
//! more rows than the file has bytes. A newer version is refused, an older one is read.

mod columns;
mod reader;
mod writer;

pub(crate) use reader::{is_native, read};
pub use writer::write_native;

use oomscope_model::{BlockState, EventKind, SegmentPool};

use crate::snapshot::Stage;

/// Like PNG's: the first byte is no text, the line ends show a transfer that was not binary.
const MAGIC: [u8; 8] = *b"\x93OOM\r\n\x1a\n";
const VERSION: u16 = 1;
const END: [u8; 3] = *b"END";

/// What [`Snapshot::torch_version`](crate::Snapshot::torch_version) says; stored as the place here
/// plus one. Only ever added to.
const RELEASES: [&str; 8] = [
    "2.0 to 2.2",
    "2.3 to 2.5",
    "2.6",
    "2.6 or later",
    "2.7 to 2.9",
    "2.10 or later",
    "2.10 to 2.12",
    "2.13 or later",
];

/// Set in the byte of the release where the trace ends before the dump.
const LOST_TAIL: u8 = 0x80;

/// Stored as the place here. Only ever added to.
const KINDS: [EventKind; 10] = [
    EventKind::Alloc,
    EventKind::FreeRequested,
    EventKind::FreeCompleted,
    EventKind::SegmentAlloc,
    EventKind::SegmentFree,
    EventKind::SegmentMap,
    EventKind::SegmentUnmap,
    EventKind::Oom,
    EventKind::Snapshot,
    EventKind::Other,
];
const STAGES: [Stage; 3] = [Stage::Start, Stage::End, Stage::Instant];
const POOLS: [SegmentPool; 3] = [SegmentPool::Unknown, SegmentPool::Small, SegmentPool::Large];
const STATES: [BlockState; 3] =
    [BlockState::Inactive, BlockState::Allocated, BlockState::PendingFree];

/// The place of a value in one of the tables above.
fn code<T: PartialEq>(table: &[T], value: &T) -> u64 {
    table.iter().position(|known| known == value).unwrap_or(0) as u64
}
