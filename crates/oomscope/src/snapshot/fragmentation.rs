//! `oomscope snapshot fragmentation`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use oomscope_report::snapshot as report;
use oomscope_snapshot::views::{self, MomentChoice};

use super::arguments::{OutputArguments, SelectionArguments, TableFormat, rows};
use crate::cli::ColorChoice;

#[derive(Args)]
pub(crate) struct FragmentationArguments {
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
    /// Rows of a table, 10 unless told; 0 for all, as CSV has.
    #[arg(long, value_name = "ROWS")]
    pub(crate) limit: Option<usize>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = TableFormat::Text)]
    pub(crate) format: TableFormat,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

pub(crate) fn run(arguments: &FragmentationArguments, color: ColorChoice) -> Result<ExitCode> {
    super::views::run(
        &arguments.selection,
        MomentChoice::OomOrEnd,
        arguments.format.form(),
        &arguments.output,
        color,
        |subject| {
            let found = views::fragmentation(subject.recording, subject.point, subject.selection);
            report::fragmentation(&found, rows(arguments.limit, 10, arguments.format))
        },
    )
}
