//! `oomscope snapshot cut`, `split`, `anonymise` and `convert`: snapshots out of a snapshot.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{ArgGroup, Args, ValueEnum};
use oomscope_model::EventIndex;
use oomscope_snapshot::views::{MomentChoice, Point};
use oomscope_snapshot::{
    Anonymise, At, Recording, Snapshot, Split, anonymise, cut, split, write_native, write_pickle,
};

use super::load::{Damage, load, warn_of_damage};
use super::views::say_all;
use crate::output::{self, Replace};

/// What is read, and where the result goes.
#[derive(Args)]
pub(crate) struct WriteArguments {
    /// A snapshot of any form; `-` for standard input.
    #[arg(value_name = "FILE")]
    file: String,
    /// The form that is written; by default told from the ending of the output's name, `.oomscope`
    /// for the compact form, else a pickle.
    #[arg(long, value_enum)]
    to: Option<To>,
    /// Use what could be read of a damaged or truncated file.
    #[arg(long)]
    partial: bool,
    /// The file that is written (a folder for `split`); without it, standard output.
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Replace files that exist.
    #[arg(long, requires = "output")]
    force: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    /// As PyTorch writes it: for `pickle.load` and PyTorch's own viewer.
    Pickle,
    /// Compact: smaller and several times faster to open, in oomscope only.
    Compact,
}

impl To {
    fn ending(self) -> &'static str {
        match self {
            To::Pickle => "pickle",
            To::Compact => "oomscope",
        }
    }

    fn write(self, snapshot: &Snapshot, out: &mut dyn io::Write) -> io::Result<()> {
        match self {
            To::Pickle => write_pickle(snapshot, out),
            To::Compact => write_native(snapshot, out),
        }
    }
}

#[derive(Args)]
pub(crate) struct CutArguments {
    /// The first moment that is kept, as `--at` has it elsewhere.
    #[arg(long, value_name = "MOMENT")]
    from: Option<MomentChoice>,
    /// The last moment that is kept; the segments are as they were then.
    #[arg(long, value_name = "MOMENT")]
    until: Option<MomentChoice>,
    #[command(flatten)]
    write: WriteArguments,
}

#[derive(Args)]
#[command(group = ArgGroup::new("how").required(true))]
pub(crate) struct SplitArguments {
    /// One file a device.
    #[arg(long, group = "how")]
    by_device: bool,
    /// Files of at most so many events of the first device; those of others at the same time go
    /// with them.
    #[arg(long, group = "how", value_name = "EVENTS", value_parser = clap::value_parser!(u32).range(1..))]
    events: Option<u32>,
    /// So many files, with equally many events.
    #[arg(long, group = "how", value_name = "PARTS", value_parser = clap::value_parser!(u32).range(1..))]
    parts: Option<u32>,
    #[command(flatten)]
    write: WriteArguments,
}

#[derive(Args)]
pub(crate) struct AnonymiseArguments {
    /// Files with the same salt have the same hashes for the same names; without it, a random one.
    #[arg(long, value_name = "TEXT")]
    salt: Option<String>,
    #[command(flatten)]
    write: WriteArguments,
}

#[derive(Args)]
pub(crate) struct ConvertArguments {
    #[command(flatten)]
    write: WriteArguments,
}

pub(crate) fn run_cut(arguments: &CutArguments) -> Result<ExitCode> {
    let snapshot = read(&arguments.write)?;
    let device = snapshot
        .traces
        .iter()
        .find(|trace| !trace.is_empty())
        .with_context(|| "nothing to cut: no events were recorded")?
        .device;
    let recording = Recording::new(&snapshot, device);
    let end = EventIndex(u32::MAX);
    let from = arguments.from.map(|from| recording.point(from)).transpose()?;
    let until = arguments.until.map(|until| recording.point(until)).transpose()?;
    let from = from.map_or(EventIndex(0), |from| first_kept(from, end));
    let until = until.map_or(end, |until| after(until, end));
    if from >= until {
        bail!("nothing is left: `--from` is not before `--until`");
    }
    write(&cut(&snapshot, from, until), &arguments.write)
}

pub(crate) fn run_split(arguments: &SplitArguments) -> Result<ExitCode> {
    let how = match (arguments.events, arguments.parts) {
        (Some(events), _) => Split::Events(events),
        (None, Some(parts)) => Split::Parts(parts),
        (None, None) => Split::Device,
    };
    let write = &arguments.write;
    let Some(folder) = &write.output else {
        bail!("several files need a folder: give one with `-o`")
    };
    let snapshot = read(write)?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let to = write.to.unwrap_or(To::Pickle);
    let mut parts = 0;
    for (name, part) in split(&snapshot, how) {
        let file = folder.join(format!("{name}.{}", to.ending()));
        if parts == 0 && !arguments.write.force && holds_parts(folder, to) {
            bail!(
                "{} holds parts already; name an empty folder, or pass `--force`",
                folder.display()
            );
        }
        output::deliver(Some(&file), replace(write), |out| to.write(&part, out))?;
        parts += 1;
    }
    output::say(&format!("wrote {parts} files to {}", folder.display()));
    Ok(ExitCode::SUCCESS)
}

/// Whether a folder has files as `split` names them: a mixture of two runs would look like one.
fn holds_parts(folder: &Path, to: To) -> bool {
    let is_part = |name: &str| {
        let stem = name.strip_suffix(to.ending()).and_then(|stem| stem.strip_suffix('.'));
        stem.is_some_and(|stem| stem.starts_with("part") || stem.starts_with("device"))
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).any(|name| name.to_str().is_some_and(is_part))
}

pub(crate) fn run_anonymise(arguments: &AnonymiseArguments) -> Result<ExitCode> {
    let snapshot = read(&arguments.write)?;
    let how = Anonymise { salt: arguments.salt.clone() };
    write(&anonymise(&snapshot, &how), &arguments.write)
}

pub(crate) fn run_convert(arguments: &ConvertArguments) -> Result<ExitCode> {
    write(&read(&arguments.write)?, &arguments.write)
}

/// The first event that a cut from a moment keeps.
fn first_kept(from: Point, end: EventIndex) -> EventIndex {
    match from.at {
        At::End => end,
        At::Before(event) | At::After(event) => event,
    }
}

/// The event behind the last one that a cut until a moment keeps; a failure itself is kept.
fn after(until: Point, end: EventIndex) -> EventIndex {
    match until.at {
        At::End => end,
        At::Before(event) | At::After(event) => EventIndex(event.0.saturating_add(1)),
    }
}

fn read(arguments: &WriteArguments) -> Result<Snapshot> {
    let damage = if arguments.partial { Damage::Accept } else { Damage::Refuse };
    match load(&arguments.file, damage) {
        Ok(loaded) => {
            warn_of_damage(&loaded);
            Ok(loaded.snapshot)
        }
        Err(problem) => {
            say_all(&[problem]);
            bail!("nothing was written");
        }
    }
}

fn write(snapshot: &Snapshot, arguments: &WriteArguments) -> Result<ExitCode> {
    let output = arguments.output.as_deref();
    let to = arguments.to.unwrap_or_else(|| of_ending(output));
    if output.is_none() && io::stdout().is_terminal() {
        bail!("a snapshot is not for a terminal: name a file with `-o`");
    }
    output::refuse_inputs(output, [&arguments.file])?;
    output::deliver(output, replace(arguments), |out| to.write(snapshot, out))?;
    Ok(ExitCode::SUCCESS)
}

fn of_ending(output: Option<&Path>) -> To {
    let ending = output.and_then(Path::extension);
    if ending.is_some_and(|ending| ending == To::Compact.ending()) {
        To::Compact
    } else {
        To::Pickle
    }
}

fn replace(arguments: &WriteArguments) -> Replace {
    if arguments.force { Replace::Allow } else { Replace::Refuse }
}
