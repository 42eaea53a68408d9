//! A snapshot's tables in the forms that data tools read: Parquet, Arrow, JSON lines, CSV.
//!
//! - The one crate that names `arrow` and `parquet`.
//! - Rows are made in batches of [`BATCH`]: memory does not grow with the snapshot.
//! - Unknown is null, never 0. Sizes are bytes, times microseconds since the epoch.
//! - The columns are data ([`Table::columns`]): the documentation and the files' own metadata
//!   are made from them.
//!
//! ```
//! use oomscope_export::{Format, Table, write};
//! # fn main() -> Result<(), oomscope_export::ExportError> {
//! let bytes = oomscope_snapshot::fixture::one_live_block();
//! let snapshot = oomscope_snapshot::read(&bytes).expect("the fixture is whole");
//! let mut out = Vec::new();
//! write(&snapshot, Table::Events, Format::Csv, &mut out)?;
//! assert!(out.starts_with(b"device,event,action,addr,size"));
//! # Ok(())
//! # }
//! ```

mod blocks;
mod column;
mod events;
mod frames;
mod segments;
mod stacks;
mod write;

pub use column::{Column, ColumnType};
pub use write::{ExportError, Format, write};

use oomscope_snapshot::Snapshot;

use column::{Batch, Batches};

/// Rows made at a time.
pub const BATCH: usize = 1 << 16;

/// A table of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// The trace: one row an event.
    Events,
    /// The life of every block that the trace or the dump knows.
    Blocks,
    /// Segments at the dump.
    Segments,
    /// Distinct frames.
    Frames,
    /// Distinct stacks, as a tree of callers.
    Stacks,
}

impl Table {
    /// All tables.
    pub const ALL: [Table; 5] =
        [Table::Events, Table::Blocks, Table::Segments, Table::Frames, Table::Stacks];

    /// Its name, also of its file.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Events => "events",
            Table::Blocks => "blocks",
            Table::Segments => "segments",
            Table::Frames => "frames",
            Table::Stacks => "stacks",
        }
    }

    /// What a row is.
    pub const fn meaning(self) -> &'static str {
        match self {
            Table::Events => "The trace: one row an event, oldest first within a device.",
            Table::Blocks => "The life of every block that the trace or the dump knows.",
            Table::Segments => "Segments at the dump.",
            Table::Frames => "Distinct frames.",
            Table::Stacks => {
                "Distinct stacks, as a tree: each row adds its innermost frame to its caller."
            }
        }
    }

    /// Its columns, in order.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Table::Events => events::COLUMNS,
            Table::Blocks => blocks::COLUMNS,
            Table::Segments => segments::COLUMNS,
            Table::Frames => frames::COLUMNS,
            Table::Stacks => stacks::COLUMNS,
        }
    }

    fn batches(self, snapshot: &Snapshot) -> Batches<'_> {
        match self {
            Table::Events => events::batches(snapshot),
            Table::Blocks => blocks::batches(snapshot),
            Table::Segments => segments::batches(snapshot),
            Table::Frames => frames::batches(snapshot),
            Table::Stacks => stacks::batches(snapshot),
        }
    }
}

/// `rows` in batches, each made by `batch`.
fn in_batches<'s, R: 's>(
    mut rows: impl Iterator<Item = R> + 's,
    batch: impl Fn(&[R]) -> Batch + 's,
) -> Batches<'s> {
    Box::new(std::iter::from_fn(move || {
        let rows: Vec<R> = rows.by_ref().take(BATCH).collect();
        (!rows.is_empty()).then(|| batch(&rows))
    }))
}
