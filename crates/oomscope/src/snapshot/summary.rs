//! `oomscope snapshot summary`.

use std::process::ExitCode;

use anyhow::Result;
use oomscope_report::snapshot as report;
use oomscope_snapshot::views::{self, MomentChoice};

use super::arguments::{SummaryArguments, rows};
use crate::cli::ColorChoice;

pub(crate) fn run(arguments: &SummaryArguments, color: ColorChoice) -> Result<ExitCode> {
    super::views::run(
        &arguments.selection,
        MomentChoice::Peak,
        arguments.format.form(),
        &arguments.output,
        color,
        |subject| {
            let summary = views::summary(subject.recording, subject.point, subject.selection);
            report::summary(
                subject.recording.snapshot(),
                &summary,
                rows(arguments.limit, 10, arguments.format),
            )
        },
    )
}
