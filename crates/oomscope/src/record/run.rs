//! `oomscope run`: the command with a recorder inside, and a diagnosis when it dies of memory.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use oomscope_diagnose::diagnose;
use oomscope_model::{Bytes, Diagnosis};

use super::evidence::evidence;
use super::launch::{Ended, Launch, Output, Snapshots, launch};
use super::reading::{Process, processes};
use super::tail;
use crate::cli::ColorChoice;
use crate::output::{self, Replace};

/// How a command is recorded.
#[derive(Args, Clone)]
pub(crate) struct RecordArguments {
    /// Where runs are kept.
    #[arg(long, value_name = "DIR", default_value = ".oomscope")]
    pub(crate) directory: PathBuf,
    /// Which frames the allocator's history keeps.
    #[arg(long, value_enum, default_value_t = Stacks::Python)]
    pub(crate) stacks: Stacks,
    /// How many allocator events are kept, the newest: about 1 KiB of host memory each.
    #[arg(long, value_name = "EVENTS", default_value_t = 100_000)]
    pub(crate) max_entries: u64,
    /// A function whose return ends a step: `module:function`, `train.py:step`.
    #[arg(long, value_name = "FUNCTION", value_parser = step_marker)]
    pub(crate) step_marker: Option<String>,
    /// How much disk the snapshots of one process may take.
    #[arg(long, value_name = "SIZE", default_value = "4GiB", value_parser = crate::replay::size::size)]
    pub(crate) max_disk: Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stacks {
    /// Python's.
    Python,
    /// C++ as well: slower.
    All,
}

impl Stacks {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Stacks::Python => "python",
            Stacks::All => "all",
        }
    }
}

fn step_marker(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((place, function)) if !place.is_empty() && !function.is_empty() => Ok(text.to_owned()),
        _ => Err(format!(
            "`{text}` names no function: write `module:function` or `file.py:function`"
        )),
    }
}

#[derive(Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    record: RecordArguments,
    /// What to do at a failure.
    #[arg(long, value_enum, default_value_t = OnOom::Diagnose)]
    on_oom: OnOom,
    /// Say nothing when the command ends well.
    #[arg(short, long)]
    quiet: bool,
    /// The command with its arguments. `--` before it keeps its options from being taken for ours.
    #[arg(trailing_var_arg = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnOom {
    /// Keep a snapshot, and diagnose when the command has ended.
    Diagnose,
    /// Keep a snapshot.
    Snapshot,
    /// Keep the records alone.
    None,
}

pub(crate) fn run(arguments: &RunArguments, color: ColorChoice) -> Result<ExitCode> {
    let record = &arguments.record;
    let ended = launch(&Launch {
        verb: "run",
        command: &arguments.command,
        root: &record.directory,
        stacks: record.stacks.name(),
        max_entries: record.max_entries,
        step_marker: record.step_marker.as_deref(),
        max_steps: None,
        snapshots: if arguments.on_oom == OnOom::None { Snapshots::None } else { Snapshots::Oom },
        max_disk: record.max_disk.0,
        output: Output::Same,
    })?;
    // The command's exit code is ours, whatever becomes of the diagnosis.
    if let Err(error) = conclude(arguments, &ended, color) {
        output::print_error(&error);
    }
    Ok(ended.exit_code())
}

fn conclude(arguments: &RunArguments, ended: &Ended, color: ColorChoice) -> Result<()> {
    let found = processes(&ended.run);
    let run = shown(&ended.run);
    let failed = found.iter().any(|process| !process.record.ooms.is_empty())
        || found.iter().any(|process| process.record.died_of_memory())
        || !ended.succeeded() && tail::ran_out(&ended.run);
    if failed && arguments.on_oom == OnOom::Diagnose {
        let diagnosis = diagnose(&evidence(&ended.run));
        keep(&ended.run, &diagnosis)?;
        let style = output::style_of_talk(color);
        let mut text = Vec::new();
        oomscope_report::render_text(&diagnosis, &style, &mut text)?;
        output::talk(&text);
        output::say(&format!("oomscope: the recording is {run}"));
    } else if !arguments.quiet {
        output::say(&format!("oomscope: {}; the recording is {run}", outcome(&found)));
    }
    if failed && arguments.on_oom != OnOom::Diagnose {
        output::say(&format!("hint: `oomscope diagnose {run}` says why it ran out of memory"));
    }
    Ok(())
}

/// Writes the diagnosis beside the records.
fn keep(run: &Path, diagnosis: &Diagnosis) -> Result<()> {
    output::deliver(Some(&run.join("diagnosis.json")), Replace::Allow, |out| {
        oomscope_report::render_json(diagnosis, out)
    })?;
    let style = oomscope_report::TextStyle::default();
    output::deliver(Some(&run.join("diagnosis.txt")), Replace::Allow, |out| {
        oomscope_report::render_text(diagnosis, &style, out)
    })
}

/// What a run came to, in a clause.
pub(super) fn outcome(processes: &[Process]) -> String {
    if processes.is_empty() {
        return "no process used a device".to_owned();
    }
    let steps = processes
        .iter()
        .filter_map(|process| process.record.best_steps().last().map(|step| step.step));
    let peak = processes.iter().flat_map(|process| {
        let record = &process.record;
        record.device_indices().into_iter().flat_map(|device| record.series(device))
    });
    let steps = steps.max().map(|steps| match steps {
        1 => "1 step".to_owned(),
        _ => format!("{steps} steps"),
    });
    let peak = peak.map(|point| point.peak).max().map(|peak| format!("peak {peak}"));
    let count = processes.len();
    let many = (count > 1).then(|| format!("{count} processes"));
    let ooms: usize = processes.iter().map(|process| process.record.ooms.len()).sum();
    let ooms = match ooms {
        0 => None,
        1 => Some("ran out of memory".to_owned()),
        _ => Some(format!("ran out of memory {ooms} times")),
    };
    let parts: Vec<String> = [many, steps, peak, ooms].into_iter().flatten().collect();
    if parts.is_empty() { "recorded".to_owned() } else { parts.join(", ") }
}

/// A path as short as it can be given here.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}
