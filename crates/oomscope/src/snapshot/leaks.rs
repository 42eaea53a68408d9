//! `oomscope snapshot leaks`.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use oomscope_model::Problem;
use oomscope_report::snapshot as report;
use oomscope_snapshot::views::{self, GroupBy, LeakOptions, MomentChoice, StepsFrom};

use super::arguments::{OutputArguments, SelectionArguments, TableFormat, rows};
use crate::cli::ColorChoice;

/// Exit code when growth was found.
const FOUND: u8 = 1;

#[derive(Args)]
pub(crate) struct LeaksArguments {
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
    /// Where steps start: `auto`, `stacks` (a loop in them), `sizes` (requests that recur),
    /// `optimizer`, the name of a recorded range, or the events themselves (`120,340,560`).
    #[arg(long, value_name = "WHAT", default_value = "auto")]
    pub(crate) steps_from: StepsFrom,
    /// A step is this many events, counted back from the moment.
    #[arg(long, value_name = "EVENTS", conflicts_with = "steps_from", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) period: Option<u32>,
    /// What to sum the survivors by.
    #[arg(long, value_enum, default_value_t = LeakBy::Line)]
    pub(crate) by: LeakBy,
    /// Rows of a table, 15 unless told; 0 for all, as CSV has.
    #[arg(long, value_name = "ROWS")]
    pub(crate) limit: Option<usize>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = TableFormat::Text)]
    pub(crate) format: TableFormat,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// What survivors are summed by: what a stack tells.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LeakBy {
    /// The innermost line of the user's code.
    Line,
    /// The innermost function of the user's code.
    Function,
    /// The file of that function.
    File,
    /// The innermost module whose `forward` is on the stack.
    Module,
    /// The whole stack.
    Stack,
    /// Forward, backward, optimizer step, ...
    Phase,
}

impl LeakBy {
    fn group_by(self) -> GroupBy {
        match self {
            LeakBy::Line => GroupBy::Line,
            LeakBy::Function => GroupBy::Function,
            LeakBy::File => GroupBy::File,
            LeakBy::Module => GroupBy::Module,
            LeakBy::Stack => GroupBy::Stack,
            LeakBy::Phase => GroupBy::Phase,
        }
    }
}

pub(crate) fn run(arguments: &LeaksArguments, color: ColorChoice) -> Result<ExitCode> {
    let steps = arguments.period.map_or_else(|| arguments.steps_from.clone(), StepsFrom::Every);
    let by = arguments.by.group_by();
    let options = LeakOptions { steps, by };
    let (entries, problems) =
        super::views::try_collect(&arguments.selection, MomentChoice::OomOrEnd, |subject| {
            let leaks = views::leaks(subject.recording, subject.point, subject.selection, &options)
                .map_err(|error| error.to_string())?;
            Ok(report::leaks(&leaks, by, rows(arguments.limit, 15, arguments.format)))
        });
    super::views::say_all(&problems);
    let form = arguments.format.form();
    super::views::print(&entries, &problems, form, &arguments.output, color)?;
    Ok(exit_code(&entries, &problems))
}

fn exit_code(entries: &[report::Entry], problems: &[Problem]) -> ExitCode {
    if problems.is_empty() && entries.iter().any(report::Entry::finds_growth) {
        return ExitCode::from(FOUND);
    }
    super::views::exit_code(problems)
}
