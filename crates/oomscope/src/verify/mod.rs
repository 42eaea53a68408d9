//! `oomscope verify`: runs a command and proves that its memory is flat and fits.

mod attribution;
mod baseline;
mod budget;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use oomscope_diagnose::verify::{Question, Summary, Verdict, compare, judge};
use oomscope_model::Bytes;
use oomscope_report::verify::{
    self as report, BaselineCheck, BudgetCheck, VerifiedDevice, VerifyReport,
};
use oomscope_report::{Charset, Detail};

use crate::cli::ColorChoice;
use crate::output::{self, Replace};
use crate::record::{
    Ended, Launch, Output, Process, RecordArguments, Snapshots, find, launch, processes, read_info,
};

use baseline::Baseline;
use budget::BudgetFile;

#[derive(Args)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    pub(crate) record: RecordArguments,
    /// Stop after so many steps.
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<u64>,
    /// Compare with a recorded run (an ID, `last`, a run directory) or the JSON of an earlier
    /// verification.
    #[arg(long, value_name = "RUN|FILE")]
    baseline: Option<String>,
    /// The most that the peak may be, as 22GiB.
    #[arg(long, value_name = "SIZE", value_parser = crate::replay::size::size)]
    budget: Option<Bytes>,
    /// The budget file that `--init` writes and later runs obey.
    #[arg(long, value_name = "FILE", default_value = "oomscope-budget.toml")]
    budget_file: PathBuf,
    /// Write what this run needs to the budget file, to be committed.
    #[arg(long)]
    init: bool,
    /// By how much the peak may exceed the budget file's, in per cent; written by `--init`.
    #[arg(long, value_name = "PERCENT", default_value_t = 5, requires = "init")]
    tolerance: u32,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = VerifyFormat::Text)]
    format: VerifyFormat,
    /// Write to FILE instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace FILE, or with `--init` the budget file, if it exists.
    #[arg(long)]
    force: bool,
    /// Judge a recorded run (an ID, `last`, a run directory) instead of running a command.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["steps", "command"])]
    recorded: Option<String>,
    /// The command with its arguments; `--` before it keeps its options from being taken for ours.
    /// Its standard output goes to standard error.
    #[arg(trailing_var_arg = true, required_unless_present = "recorded", value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum VerifyFormat {
    /// For people, in a terminal.
    Text,
    /// For programs; schema in `schema/verify.schema.json`.
    Json,
    /// For a pull request.
    Markdown,
    /// For CI servers.
    Junit,
}

pub(crate) fn run(arguments: &VerifyArguments, color: ColorChoice) -> Result<ExitCode> {
    let replace = if arguments.force { Replace::Allow } else { Replace::Refuse };
    // What cannot be used is said before the command has run for an hour.
    if let Some(file) = &arguments.output {
        output::may_write(file, replace)?;
    }
    if arguments.init {
        output::may_write(&arguments.budget_file, replace)?;
    }
    let committed = if arguments.init { None } else { BudgetFile::read(&arguments.budget_file)? };
    let baseline = match &arguments.baseline {
        Some(name) => Some(baseline::read(&arguments.record.directory, name)?),
        None => None,
    };
    let limit = limit(arguments, committed.as_ref());
    let (command, ended) = if let Some(name) = &arguments.recorded {
        recorded(&arguments.record.directory, name)?
    } else {
        let ended = watch(&arguments.record, arguments.steps, &arguments.command)?;
        (arguments.command.clone(), ended)
    };
    let mut report = judged(&command, &ended, limit.as_ref().map(|limit| limit.limit));
    report.budget = limit.map(|limit| BudgetCheck { peak: report.peak(), ..limit });
    report.baseline = baseline.map(|baseline| compared(&baseline, &report, &ended.run));
    if arguments.init {
        if report.verdict() != Verdict::Stable {
            output::say("warning: no budget file was written: memory is not proven stable");
        } else if let Some(peak) = report.peak() {
            let file = BudgetFile::new(peak, arguments.tolerance, &command);
            file.write(&arguments.budget_file, replace)?;
            output::say(&format!("wrote {}", arguments.budget_file.display()));
        }
    }
    let style = output::style(color, arguments.output.is_some(), Detail::Full, Charset::Unicode);
    output::deliver(arguments.output.as_deref(), replace, |out| match arguments.format {
        VerifyFormat::Text => report::render_text(&report, &style, out),
        VerifyFormat::Json => report::render_json(&report, out),
        VerifyFormat::Markdown => report::render_markdown(&report, out),
        VerifyFormat::Junit => report::render_junit(&report, out),
    })?;
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// A run that has ended, as if it had been watched now.
fn recorded(root: &Path, name: &str) -> Result<(Vec<String>, Ended)> {
    let run = find(root, name)?;
    let info = read_info(&run)?;
    Ok((info.command, Ended { run, code: info.exit_code, signal: info.signal }))
}

/// `--budget`, else what the budget file allows.
fn limit(arguments: &VerifyArguments, committed: Option<&BudgetFile>) -> Option<BudgetCheck> {
    if let Some(limit) = arguments.budget {
        return Some(BudgetCheck { from: "--budget".to_owned(), limit, peak: None });
    }
    let from = arguments.budget_file.display().to_string();
    committed.map(|file| BudgetCheck { from, limit: file.limit(), peak: None })
}

/// Runs a command under the recorder, with snapshots to compare by line.
pub(crate) fn watch(
    record: &RecordArguments,
    steps: Option<u64>,
    command: &[String],
) -> Result<Ended> {
    if steps == Some(0) {
        bail!("`--steps 0` watches nothing");
    }
    launch(&Launch {
        verb: "verify",
        command,
        root: &record.directory,
        stacks: record.stacks.name(),
        max_entries: record.max_entries,
        step_marker: record.step_marker.as_deref(),
        max_steps: steps,
        snapshots: Snapshots::All,
        max_disk: record.max_disk.0,
        output: Output::ToStandardError,
    })
}

/// Judges every device of every process of a run.
pub(crate) fn judged(command: &[String], ended: &Ended, limit: Option<Bytes>) -> VerifyReport {
    let processes = processes(&ended.run);
    VerifyReport {
        command: command.to_vec(),
        run: crate::record::shown(&ended.run),
        exit_code: ended.code,
        signal: ended.signal,
        devices: processes.iter().flat_map(|process| devices(process, limit)).collect(),
        problems: processes.iter().flat_map(|p| p.record.unread.iter().cloned()).collect(),
        ..VerifyReport::default()
    }
}

fn devices(process: &Process, limit: Option<Bytes>) -> Vec<VerifiedDevice> {
    let record = &process.record;
    let of_device = |device: u32| {
        let capacity = record.capacity(device);
        let series = record.series(device);
        let smallest = [limit, capacity].into_iter().flatten().min();
        let question = Question { capacity: smallest, failed: record.died_of_memory() };
        VerifiedDevice {
            process: process.name.clone(),
            rank: record.start.as_ref().and_then(|start| start.rank),
            device,
            steps: series.last().map_or(0, |point| point.step),
            capacity,
            step_seconds: record.step_seconds(),
            judgement: judge(&series, &question),
        }
    };
    record.device_indices().into_iter().map(of_device).collect()
}

/// The figures of the device with the highest peak.
pub(crate) fn summary(report: &VerifyReport) -> Summary {
    let largest = report.devices.iter().max_by_key(|device| device.judgement.peak);
    largest
        .map_or_else(Summary::default, |device| Summary::of(&device.judgement, device.step_seconds))
}

fn compared(baseline: &Baseline, report: &VerifyReport, run: &Path) -> BaselineCheck {
    let lines = baseline.run.as_ref().map(|before| attribution::by_line(before, run));
    BaselineCheck {
        name: baseline.name.clone(),
        comparison: compare(&baseline.summary, &summary(report)),
        lines: lines.unwrap_or_default(),
    }
}
