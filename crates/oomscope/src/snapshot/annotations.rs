//! `oomscope snapshot annotations`.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use oomscope_report::snapshot as report;
use oomscope_snapshot::views::{self, LabelKind, MomentChoice};

use super::arguments::{OutputArguments, SelectionArguments, TableFormat, rows};
use crate::cli::ColorChoice;

#[derive(Args)]
pub(crate) struct AnnotationsArguments {
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
    /// Only this kind of label; by default each that the recording has.
    #[arg(long, value_enum)]
    pub(crate) by: Option<ByLabel>,
    /// Rows of a table, 20 unless told; 0 for all, as CSV has.
    #[arg(long, value_name = "ROWS")]
    pub(crate) limit: Option<usize>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = TableFormat::Text)]
    pub(crate) format: TableFormat,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// Where labels come from.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ByLabel {
    /// Named ranges: `torch.profiler.record_function`, `Optimizer.step#Adam.step`, ...
    Annotation,
    /// Forward, backward, optimizer step, ..., told from stacks.
    Phase,
    /// `torch.cuda.memory._set_memory_metadata`.
    Metadata,
    /// The part of `torch.compile` that ran.
    Compile,
    /// The innermost module, or graph node.
    Module,
}

pub(crate) fn run(arguments: &AnnotationsArguments, color: ColorChoice) -> Result<ExitCode> {
    let kinds = match arguments.by {
        None => LabelKind::ALL.to_vec(),
        Some(ByLabel::Annotation) => vec![LabelKind::Annotation],
        Some(ByLabel::Phase) => vec![LabelKind::Phase],
        Some(ByLabel::Metadata) => vec![LabelKind::Metadata],
        Some(ByLabel::Compile) => vec![LabelKind::Compile],
        Some(ByLabel::Module) => vec![LabelKind::Module],
    };
    super::views::run(
        &arguments.selection,
        MomentChoice::End,
        arguments.format.form(),
        &arguments.output,
        color,
        |subject| {
            let tables =
                views::annotations(subject.recording, subject.point, subject.selection, &kinds);
            report::annotations(
                &subject.point,
                &tables,
                rows(arguments.limit, 20, arguments.format),
            )
        },
    )
}
