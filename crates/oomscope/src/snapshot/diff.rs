//! `oomscope snapshot diff`: two files, or two moments of one.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use oomscope_model::{DeviceId, Problem};
use oomscope_report::snapshot::{self as report, Entry};
use oomscope_snapshot::Recording;
use oomscope_snapshot::views::{self, Lines, MomentChoice, Selection, Side};

use super::arguments::{OutputArguments, SelectionArguments, TableFormat, rows};
use super::load::{Loaded, load, warn_of_damage};
use super::origin::Origin;
use super::parallel;
use super::views::{damage, exit_code, print, problem, say_all, selection};
use crate::cli::ColorChoice;

#[derive(Args)]
pub(crate) struct DiffArguments {
    #[command(flatten)]
    selection: SelectionArguments,
    /// In one file: the moment before, spelt as `--at`.
    #[arg(long, value_name = "MOMENT", requires = "to", conflicts_with = "at")]
    from: Option<MomentChoice>,
    /// In one file: the moment after.
    #[arg(long, value_name = "MOMENT", requires = "from", conflicts_with = "at")]
    to: Option<MomentChoice>,
    /// Take lines of one function for one: the code was edited between the runs.
    #[arg(long)]
    ignore_lines: bool,
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

pub(crate) fn run(arguments: &DiffArguments, color: ColorChoice) -> Result<ExitCode> {
    let files = &arguments.selection.files;
    let moments = arguments.from.zip(arguments.to);
    match (files.len(), moments) {
        (1, Some(_)) | (2, None) => {}
        (1, None) => {
            bail!("one file: give two moments of it with `--from` and `--to`, or a second file")
        }
        (2, Some(_)) => {
            bail!("two files are compared at one moment of each: give `--at`, or one file")
        }
        (more, _) => bail!("{more} files: a difference is of two"),
    }
    let mut loaded = Vec::new();
    let mut problems = Vec::new();
    for result in parallel::map(files.iter().collect(), |name: &String| {
        load(name, damage(&arguments.selection))
    }) {
        match result {
            Ok(one) => {
                warn_of_damage(&one);
                loaded.push(one);
            }
            Err(problem) => problems.push(problem),
        }
    }
    let entries = match loaded.as_slice() {
        [only] if files.len() == 1 => entries(arguments, only, only, &mut problems),
        [old, new] => entries(arguments, old, new, &mut problems),
        _ => Vec::new(),
    };
    say_all(&problems);
    print(&entries, &problems, arguments.format.form(), &arguments.output, color)?;
    Ok(exit_code(&problems))
}

fn entries(
    arguments: &DiffArguments,
    old: &Loaded,
    new: &Loaded,
    problems: &mut Vec<Problem>,
) -> Vec<Entry> {
    let chosen = &arguments.selection;
    let mut devices: BTreeSet<DeviceId> =
        old.snapshot.devices().into_iter().chain(new.snapshot.devices()).collect();
    if let Some(wanted) = chosen.device {
        let is_known = devices.contains(&DeviceId(wanted));
        devices.retain(|device| device.0 == wanted);
        if !is_known {
            problems.push(problem(&old.name, format!("no device {wanted} in it")));
        }
    } else if devices.is_empty() {
        devices.insert(DeviceId(0));
    }
    let selections = [selection(chosen, &old.snapshot), selection(chosen, &new.snapshot)];
    let results = parallel::map(devices.into_iter().collect(), |device| {
        of_device(arguments, device, [old, new], &selections)
    });
    let mut entries = Vec::new();
    for result in results {
        match result {
            Ok(entry) => entries.push(entry),
            Err(problem) => problems.push(problem),
        }
    }
    entries
}

fn of_device(
    arguments: &DiffArguments,
    device: DeviceId,
    [old, new]: [&Loaded; 2],
    [select_old, select_new]: &[Selection; 2],
) -> Result<Entry, Problem> {
    let at = arguments.selection.at.unwrap_or(MomentChoice::Peak);
    let (from, to) = arguments.from.zip(arguments.to).unwrap_or((at, at));
    let is_one = std::ptr::eq(old, new);
    let recording = Recording::new(&old.snapshot, device);
    let other = (!is_one).then(|| Recording::new(&new.snapshot, device));
    let later = other.as_ref().unwrap_or(&recording);
    let point = |recording: &Recording<'_>, choice, name: &str| {
        recording.point(choice).map_err(|error| problem(name, error.to_string()))
    };
    let before = Side {
        recording: &recording,
        point: point(&recording, from, &old.name)?,
        selection: select_old,
    };
    let after =
        Side { recording: later, point: point(later, to, &new.name)?, selection: select_new };
    let lines = if arguments.ignore_lines { Lines::Ignored } else { Lines::Apart };
    let difference = views::difference(before, after, arguments.by.group_by(), lines);
    let title = if is_one { old.name.clone() } else { format!("{} → {}", old.name, new.name) };
    let view = report::diff(
        &difference,
        [&old.name, &new.name],
        rows(arguments.limit, 20, arguments.format),
    );
    Ok(Entry::new(&title, device, view))
}
