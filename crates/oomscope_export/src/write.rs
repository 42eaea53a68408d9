//! Rows to bytes.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::ipc::writer::FileWriter;
use arrow::json::LineDelimitedWriter;
use oomscope_snapshot::Snapshot;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use thiserror::Error;

use crate::Table;
use crate::column::schema;

/// A form of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Apache Parquet, compressed with Snappy.
    Parquet,
    /// Arrow's IPC file (Feather 2).
    Arrow,
    /// One JSON object a line; null columns are left out.
    JsonLines,
    /// Comma-separated with a header.
    Csv,
}

impl Format {
    /// The usual ending of its files.
    pub const fn ending(self) -> &'static str {
        match self {
            Format::Parquet => "parquet",
            Format::Arrow => "arrow",
            Format::JsonLines => "jsonl",
            Format::Csv => "csv",
        }
    }
}

/// Why a table could not be written.
#[derive(Debug, Error)]
pub enum ExportError {
    /// Arrow refused.
    #[error("cannot write the table: {0}")]
    Arrow(#[from] ArrowError),
    /// Parquet refused.
    #[error("cannot write the table: {0}")]
    Parquet(#[from] ParquetError),
    /// The writer refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes a table of all devices.
pub fn write(
    snapshot: &Snapshot,
    table: Table,
    format: Format,
    out: &mut (dyn Write + Send),
) -> Result<(), ExportError> {
    let schema = Arc::new(schema(table.columns()));
    let mut batches =
        table.batches(snapshot).map(|columns| RecordBatch::try_new(Arc::clone(&schema), columns));
    match format {
        Format::Parquet => {
            let properties =
                WriterProperties::builder().set_compression(Compression::SNAPPY).build();
            let mut writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties))?;
            for batch in batches {
                writer.write(&batch?)?;
            }
            writer.close()?;
        }
        Format::Arrow => {
            let mut writer = FileWriter::try_new(out, &schema)?;
            for batch in batches {
                writer.write(&batch?)?;
            }
            writer.finish()?;
        }
        Format::JsonLines => {
            let mut writer = LineDelimitedWriter::new(out);
            for batch in batches {
                writer.write(&batch?)?;
            }
            writer.finish()?;
        }
        Format::Csv => {
            let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(out);
            // An empty table still has its header.
            let first = match batches.next() {
                Some(batch) => batch?,
                None => RecordBatch::new_empty(Arc::clone(&schema)),
            };
            writer.write(&first)?;
            for batch in batches {
                writer.write(&batch?)?;
            }
        }
    }
    Ok(())
}
