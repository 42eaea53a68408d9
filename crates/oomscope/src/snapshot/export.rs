//! `oomscope snapshot export`: whole tables for data tools.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use oomscope_export::{Format, Table};
use oomscope_model::DeviceId;
use oomscope_snapshot::Snapshot;

use super::load::{Damage, load, warn_of_damage};
use super::views::{exit_code, say_all};
use crate::output::{self, Replace};

#[derive(Args)]
pub(crate) struct ExportArguments {
    /// A snapshot; `-` for standard input.
    #[arg(value_name = "FILE")]
    file: String,
    /// The form.
    #[arg(long, value_enum, default_value_t = To::Parquet)]
    to: To,
    /// One table instead of all; their columns are in `docs/export.md`.
    #[arg(long, value_enum)]
    table: Option<TableName>,
    /// Only this device.
    #[arg(long, value_name = "ORDINAL")]
    device: Option<u32>,
    /// Use what could be read of a damaged or truncated file.
    #[arg(long)]
    partial: bool,
    /// The file of the table, or the folder for all of them. Without it one table goes to standard
    /// output.
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Replace files that exist.
    #[arg(long, requires = "output")]
    force: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum To {
    /// Apache Parquet.
    Parquet,
    /// Arrow's IPC file (Feather 2).
    Arrow,
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated with a header.
    Csv,
}

impl To {
    fn format(self) -> Format {
        match self {
            To::Parquet => Format::Parquet,
            To::Arrow => Format::Arrow,
            To::Jsonl => Format::JsonLines,
            To::Csv => Format::Csv,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum TableName {
    /// One row an event of the trace.
    Events,
    /// One row a block: its whole life.
    Blocks,
    /// One row a segment at the dump.
    Segments,
    /// One row a distinct frame.
    Frames,
    /// One row a distinct stack.
    Stacks,
}

impl TableName {
    fn table(self) -> Table {
        match self {
            TableName::Events => Table::Events,
            TableName::Blocks => Table::Blocks,
            TableName::Segments => Table::Segments,
            TableName::Frames => Table::Frames,
            TableName::Stacks => Table::Stacks,
        }
    }
}

pub(crate) fn run(arguments: &ExportArguments) -> Result<ExitCode> {
    let damage = if arguments.partial { Damage::Accept } else { Damage::Refuse };
    let mut snapshot = match load(&arguments.file, damage) {
        Ok(loaded) => {
            warn_of_damage(&loaded);
            loaded.snapshot
        }
        Err(problem) => {
            say_all(&[problem]);
            bail!("nothing was exported");
        }
    };
    if let Some(device) = arguments.device {
        keep_device(&mut snapshot, DeviceId(device))?;
    }
    output::refuse_inputs(arguments.output.as_deref(), [&arguments.file])?;
    let format = arguments.to.format();
    let replace = if arguments.force { Replace::Allow } else { Replace::Refuse };
    match (arguments.table, &arguments.output) {
        (Some(table), output) => {
            if output.is_none()
                && matches!(format, Format::Parquet | Format::Arrow)
                && io::stdout().is_terminal()
            {
                bail!("{} is not for a terminal: name a file with `-o`", format.ending());
            }
            write(&snapshot, table.table(), format, output.as_deref(), replace)?;
        }
        (None, Some(folder)) => {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
            let file_of =
                |table: Table| folder.join(format!("{}.{}", table.name(), format.ending()));
            // All or nothing: a mixture of two runs would look like one.
            Table::ALL.iter().try_for_each(|table| output::may_write(&file_of(*table), replace))?;
            for table in Table::ALL {
                write(&snapshot, table, format, Some(&file_of(table)), replace)?;
            }
        }
        (None, None) => {
            bail!("several tables need a folder: give one with `-o`, or pick one with `--table`")
        }
    }
    Ok(exit_code(&[]))
}

fn write(
    snapshot: &Snapshot,
    table: Table,
    format: Format,
    file: Option<&Path>,
    replace: Replace,
) -> Result<()> {
    output::deliver(file, replace, |out: &mut (dyn Write + Send)| {
        oomscope_export::write(snapshot, table, format, out).map_err(|error| match error {
            oomscope_export::ExportError::Io(error) => error,
            error => io::Error::other(error),
        })
    })
}

fn keep_device(snapshot: &mut Snapshot, device: DeviceId) -> Result<()> {
    if !snapshot.devices().contains(&device) {
        bail!("no device {} in it", device.0);
    }
    snapshot.segments.retain(|segment| segment.device == device);
    snapshot.traces.retain(|trace| trace.device == device);
    Ok(())
}
