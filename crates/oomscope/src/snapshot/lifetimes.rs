//! `oomscope snapshot lifetimes`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use oomscope_report::snapshot as report;
use oomscope_snapshot::views::{self, MomentChoice};

use super::arguments::{OutputArguments, SelectionArguments, TableFormat, rows};
use super::origin::Origin;
use crate::cli::ColorChoice;

#[derive(Args)]
pub(crate) struct LifetimesArguments {
    #[command(flatten)]
    selection: SelectionArguments,
    /// What to sum the blocks by.
    #[arg(long, value_enum, default_value_t = Origin::Line)]
    by: Origin,
    /// Rows of a table, 20 unless told; 0 for all, as CSV has.
    #[arg(long, value_name = "ROWS")]
    limit: Option<usize>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = TableFormat::Text)]
    format: TableFormat,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) fn run(arguments: &LifetimesArguments, color: ColorChoice) -> Result<ExitCode> {
    super::views::run(
        &arguments.selection,
        MomentChoice::End,
        arguments.format.form(),
        &arguments.output,
        color,
        |subject| {
            let by = arguments.by.group_by();
            let lifetimes =
                views::lifetimes(subject.recording, subject.point, subject.selection, by);
            report::lifetimes(&lifetimes, rows(arguments.limit, 20, arguments.format))
        },
    )
}
