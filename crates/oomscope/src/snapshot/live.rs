//! `oomscope snapshot peak` and `at`.

use std::process::ExitCode;

use anyhow::Result;
use oomscope_report::snapshot as report;
use oomscope_snapshot::views::{self, MomentChoice};

use super::arguments::{LiveArguments, rows};
use crate::cli::ColorChoice;

pub(crate) fn run(
    arguments: &LiveArguments,
    default: MomentChoice,
    color: ColorChoice,
) -> Result<ExitCode> {
    super::views::run(
        &arguments.selection,
        default,
        arguments.format.form(),
        &arguments.output,
        color,
        |subject| {
            let by = arguments.by.group_by();
            let set = views::live_set(subject.recording, subject.point, subject.selection, by);
            report::live(&set, rows(arguments.limit, 20, arguments.format))
        },
    )
}
