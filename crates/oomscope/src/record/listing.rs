//! `oomscope runs`: lists recorded runs, shows one, removes old ones.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use oomscope_diagnose::record::RunInfo;
use oomscope_model::Bytes;
use serde_json::json;

use super::directory::{all, find, no_runs, read_info};
use super::reading::{Process, processes};
use super::run::{outcome, shown};
use crate::output;

#[derive(Args)]
pub(crate) struct RunsArguments {
    #[command(subcommand)]
    verb: Option<RunsVerb>,
    /// Where runs are kept.
    #[arg(long, value_name = "DIR", default_value = ".oomscope", global = true)]
    directory: PathBuf,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = ListFormat::Text, global = true)]
    format: ListFormat,
}

#[derive(Subcommand)]
enum RunsVerb {
    /// List all, oldest first; the default.
    List,
    /// Show one: its command, processes, steps, failures and files.
    Show {
        /// An ID, the start of one, a run directory, or `last`.
        #[arg(default_value = "last")]
        run: String,
    },
    /// Remove all but the newest.
    Prune {
        /// How many to keep.
        #[arg(long, default_value_t = 10)]
        keep: usize,
        /// Say what would be removed, and remove nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    Text,
    Json,
}

pub(crate) fn run(arguments: &RunsArguments) -> Result<ExitCode> {
    let root = &arguments.directory;
    match arguments.verb.as_ref().unwrap_or(&RunsVerb::List) {
        RunsVerb::List => list(root, arguments.format),
        RunsVerb::Show { run } => show(&find(root, run)?, arguments.format),
        RunsVerb::Prune { keep, dry_run } => prune(root, *keep, *dry_run),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn list(root: &Path, format: ListFormat) -> Result<()> {
    let runs = all(root)?;
    if runs.is_empty() {
        output::say(&no_runs(root));
    }
    let mut out = std::io::BufWriter::new(std::io::stdout());
    if format == ListFormat::Json {
        let runs: Vec<_> = runs.iter().map(|(path, _)| as_json(path)).collect();
        writeln!(out, "{:#}", json!({"schema_version": 1, "runs": runs}))?;
        return Ok(());
    }
    for (path, info) in &runs {
        match info {
            Ok(info) => writeln!(
                out,
                "{}  {:<9}  {}  {}",
                info.id,
                ending(info),
                outcome(&processes(path)),
                info.command.join(" ")
            )?,
            Err(error) => writeln!(out, "{}  {error}", shown(path))?,
        }
    }
    Ok(out.flush()?)
}

/// How the command ended, in a word.
fn ending(info: &RunInfo) -> String {
    match (info.exit_code, info.signal, info.ended) {
        (Some(code), ..) => format!("exit {code}"),
        (None, Some(signal), _) => format!("signal {signal}"),
        (None, None, Some(_)) => "ended".to_owned(),
        (None, None, None) => "running?".to_owned(),
    }
}

fn show(run: &Path, format: ListFormat) -> Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout());
    if format == ListFormat::Json {
        writeln!(out, "{:#}", as_json(run))?;
        return Ok(out.flush()?);
    }
    let info = read_info(run)?;
    let started = UNIX_EPOCH + Duration::try_from_secs_f64(info.started).unwrap_or_default();
    writeln!(out, "run        {}", info.id)?;
    writeln!(out, "command    {}", info.command.join(" "))?;
    writeln!(out, "folder     {}", info.cwd)?;
    writeln!(out, "started    {}", humantime::format_rfc3339_seconds(started))?;
    writeln!(out, "ended      {}", ending(&info))?;
    if let Some(revision) = &info.git_revision {
        writeln!(out, "revision   {revision}")?;
    }
    for process in processes(run) {
        show_process(&process, &mut out)?;
    }
    Ok(out.flush()?)
}

fn show_process(process: &Process, out: &mut dyn Write) -> Result<()> {
    let record = &process.record;
    writeln!(out, "\n{}  {}", process.name, outcome(std::slice::from_ref(process)))?;
    if let Some(start) = &record.start {
        writeln!(out, "  python   {}", start.argv.join(" "))?;
    }
    if let Some(torch) = &record.torch {
        writeln!(out, "  torch    {}", torch.version)?;
    }
    for device in &record.devices {
        let total = device.total.map(|total| Bytes(total).to_string()).unwrap_or_default();
        let name = device.name.as_deref().unwrap_or("a device");
        writeln!(out, "  device   {} {name} {total}", device.device)?;
    }
    for exception in &record.exceptions {
        let first = exception.message.lines().next().unwrap_or_default();
        let first: String = first.chars().take(100).collect();
        writeln!(out, "  died of  {}: {first}", exception.r#type)?;
    }
    for problem in &record.problems {
        writeln!(out, "  agent    {}", problem.what)?;
    }
    for snapshot in record.snapshots.iter().filter_map(|s| s.snapshot.as_ref()) {
        let path = process.folder.join(snapshot);
        let size = fs::metadata(&path).map(|metadata| Bytes(metadata.len()).to_string());
        let size = size.unwrap_or_else(|_| "removed".to_owned());
        writeln!(out, "  snapshot {} {size}", shown(&path))?;
    }
    Ok(())
}

fn as_json(run: &Path) -> serde_json::Value {
    let processes: Vec<_> = processes(run)
        .iter()
        .map(|process| {
            let record = &process.record;
            let steps = record.best_steps().last().map(|step| step.step);
            json!({
                "name": process.name,
                "folder": process.folder,
                "rank": record.start.as_ref().and_then(|start| start.rank),
                "steps": steps,
                "ooms": record.ooms.len(),
                "died_of_memory": record.died_of_memory(),
                "problems": record.problems.iter().map(|p| &p.what).collect::<Vec<_>>(),
            })
        })
        .collect();
    let info = read_info(run).ok().and_then(|info| serde_json::to_value(info).ok());
    json!({"path": run, "run": info, "processes": processes})
}

fn prune(root: &Path, keep: usize, dry_run: bool) -> Result<()> {
    let runs = all(root)?;
    let count = runs.len().saturating_sub(keep);
    let young = SystemTime::now() - Duration::from_hours(24);
    for (path, info) in runs.into_iter().take(count) {
        // It may still be running.
        let is_open = info.is_ok_and(|info| {
            info.ended.is_none()
                && UNIX_EPOCH + Duration::try_from_secs_f64(info.started).unwrap_or_default()
                    > young
        });
        if is_open {
            continue;
        }
        if !dry_run {
            fs::remove_dir_all(&path)
                .with_context(|| format!("cannot remove {}", path.display()))?;
        }
        let done = if dry_run { "would remove" } else { "removed" };
        output::say(&format!("{done} {}", shown(&path)));
    }
    Ok(())
}
