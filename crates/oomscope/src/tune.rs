//! `oomscope tune`: which allocator settings a recorded run should use.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use oomscope_diagnose::replay::{recorded_capacity, tune_recorded};
use oomscope_model::Problem;
use oomscope_report::snapshot::{self as report, Entry, Listed, Tuned};

use crate::COULD_NOT_READ;
use crate::cli::ColorChoice;
use crate::replay::device::DeviceArguments;
use crate::replay::of_option;
use crate::replay::source::{Source, SourceArguments};
use crate::snapshot::arguments::{OutputArguments, TableFormat};
use crate::snapshot::views::{print, say_all};

#[derive(Args)]
pub(crate) struct TuneArguments {
    #[command(flatten)]
    pub(crate) source: SourceArguments,
    #[command(flatten)]
    pub(crate) device: DeviceArguments,
    /// List all settings that were tried, as CSV and JSON do.
    #[arg(long)]
    pub(crate) all: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = TableFormat::Text, help_heading = "Output")]
    pub(crate) format: TableFormat,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

pub(crate) fn run(arguments: &TuneArguments, color: ColorChoice) -> Result<ExitCode> {
    let (entries, problems) = match entry(arguments) {
        Ok(entry) => (vec![entry], Vec::new()),
        Err(problem) => (Vec::new(), vec![problem]),
    };
    say_all(&problems);
    print(&entries, &problems, arguments.format.form().of_one_run(), &arguments.output, color)?;
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(COULD_NOT_READ) })
}

fn entry(arguments: &TuneArguments) -> Result<Entry, Problem> {
    let asked = arguments.device.capacity().map_err(|what| of_option("--capacity", what, None))?;
    let Source { loaded, device, recorded } = arguments.source.open()?;
    let tuning = tune_recorded(&recorded, asked);
    let is_whole = arguments.all || arguments.format == TableFormat::Csv;
    let view = report::tune(&Tuned {
        snapshot: &loaded.snapshot,
        device,
        recorded: &recorded,
        capacity: asked.or_else(|| recorded_capacity(&recorded)),
        tuning: &tuning,
        listed: if is_whole { Listed::All } else { Listed::Front },
    });
    Ok(Entry::new(&loaded.name, device, view).with_damage(&loaded.snapshot.problems))
}
