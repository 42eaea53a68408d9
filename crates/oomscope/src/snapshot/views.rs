//! One view of every device of every file, in the order of the arguments.

use std::process::ExitCode;

use anyhow::Result;
use oomscope_model::{DeviceId, Frame, FrameOrigin, Problem};
use oomscope_report::snapshot::{Entry, Form, View, render, render_svg};
use oomscope_report::{Charset, Detail};
use oomscope_snapshot::views::{MomentChoice, Point, Selection, StackSet};
use oomscope_snapshot::{CategoryRules, Recording, Snapshot};

use super::arguments::{OutputArguments, SelectionArguments};
use super::config;
use super::load::{Damage, Loaded, load, warn_of_damage};
use super::parallel;
use crate::COULD_NOT_READ;
use crate::cli::ColorChoice;
use crate::output::{self, Replace};

/// One device of one file, with what the arguments say of it.
pub(crate) struct Subject<'a> {
    pub(crate) recording: &'a Recording<'a>,
    pub(crate) selection: &'a Selection,
    /// The moment asked for, or the verb's own.
    pub(crate) point: Point,
}

/// Builds and prints a view of each device. Exit code 2 when a file could not be read.
pub(crate) fn run(
    selection: &SelectionArguments,
    default: MomentChoice,
    form: Form,
    output: &OutputArguments,
    color: ColorChoice,
    view: impl Fn(&Subject) -> View + Sync,
) -> Result<ExitCode> {
    let (entries, problems) = collect(selection, default, view);
    say_all(&problems);
    print(&entries, &problems, form, output, color)?;
    Ok(exit_code(&problems))
}

/// The views of all files and devices, and what could not be read.
pub(crate) fn collect(
    arguments: &SelectionArguments,
    default: MomentChoice,
    view: impl Fn(&Subject) -> View + Sync,
) -> (Vec<Entry>, Vec<Problem>) {
    try_collect(arguments, default, |subject| Ok(view(subject)))
}

/// As [`collect`], of a view that may not be had of some device.
pub(crate) fn try_collect(
    arguments: &SelectionArguments,
    default: MomentChoice,
    view: impl Fn(&Subject) -> Result<View, String> + Sync,
) -> (Vec<Entry>, Vec<Problem>) {
    let rules = match config::load(arguments.config.as_deref()) {
        Ok(rules) => rules,
        Err(problem) => return (Vec::new(), vec![problem]),
    };
    let results = parallel::map(arguments.files.iter().collect(), |name| {
        of_file(arguments, &rules, name, default, &view)
    });
    let (mut entries, mut problems) = (Vec::new(), Vec::new());
    for (of_file, of_problems) in results {
        entries.extend(of_file);
        problems.extend(of_problems);
    }
    (entries, problems)
}

fn of_file(
    arguments: &SelectionArguments,
    rules: &CategoryRules,
    name: &str,
    default: MomentChoice,
    view: &(impl Fn(&Subject) -> Result<View, String> + Sync),
) -> (Vec<Entry>, Vec<Problem>) {
    let loaded = match load(name, damage(arguments)) {
        Ok(loaded) => loaded,
        Err(problem) => return (Vec::new(), vec![problem]),
    };
    let Loaded { name, snapshot } = &loaded;
    warn_of_damage(&loaded);
    let mut problems = Vec::new();
    let devices = match devices(arguments, snapshot) {
        Ok(devices) => devices,
        Err(what) => {
            problems.push(problem(name, what));
            return (Vec::new(), problems);
        }
    };
    let selection = selection(arguments, snapshot);
    let choice = arguments.at.unwrap_or(default);
    let views = parallel::map(devices, |device| {
        let recording = Recording::new(snapshot, device)
            .with_rules(rules)
            .with_user_frames_only(arguments.user_frames);
        let point = recording.point(choice).map_err(|error| problem(name, error.to_string()))?;
        let subject = Subject { recording: &recording, selection: &selection, point };
        let view = view(&subject).map_err(|what| problem(name, what))?;
        Ok(Entry::new(name, device, view).with_damage(&snapshot.problems))
    });
    let mut entries = Vec::new();
    for view in views {
        match view {
            Ok(entry) => entries.push(entry),
            Err(problem) => problems.push(problem),
        }
    }
    (entries, problems)
}

/// What the arguments say about damaged files.
pub(crate) fn damage(arguments: &SelectionArguments) -> Damage {
    if arguments.partial { Damage::Accept } else { Damage::Refuse }
}

/// The devices asked for.
pub(crate) fn devices(
    arguments: &SelectionArguments,
    snapshot: &Snapshot,
) -> Result<Vec<DeviceId>, String> {
    let devices = snapshot.devices();
    let Some(wanted) = arguments.device else {
        // A snapshot of a process that used no device still has something to say: nothing.
        return Ok(if devices.is_empty() { vec![DeviceId(0)] } else { devices });
    };
    if devices.contains(&DeviceId(wanted)) {
        return Ok(vec![DeviceId(wanted)]);
    }
    let known: Vec<String> = devices.iter().map(|device| device.0.to_string()).collect();
    Err(format!("no device {wanted} in it; it has {}", known.join(", ")))
}

/// What the arguments select of a snapshot's blocks.
pub(crate) fn selection(arguments: &SelectionArguments, snapshot: &Snapshot) -> Selection {
    let stacks = arguments.frame.as_ref().map(|wanted| {
        StackSet::with_frame(&snapshot.stacks, |frame: &Frame| {
            let is_eligible = !arguments.user_frames || frame.origin() == FrameOrigin::User;
            is_eligible
                && wanted.is_match(&format!("{}:{} {}", frame.file, frame.line, frame.function))
        })
    });
    Selection { stream: arguments.stream, pool: arguments.pool, stacks }
}

/// Says what could not be read, to standard error.
pub(crate) fn say_all(problems: &[Problem]) {
    for problem in problems {
        output::say(&format!("error: {problem}"));
        if let Some(hint) = &problem.hint {
            output::say(&format!("hint: {hint}"));
        }
    }
}

/// Writes the views to where they go.
pub(crate) fn print(
    entries: &[Entry],
    problems: &[Problem],
    form: Form,
    arguments: &OutputArguments,
    color: ColorChoice,
) -> Result<()> {
    if entries.is_empty() && !matches!(form, Form::Json | Form::RunJson) {
        return Ok(());
    }
    output::refuse_inputs(arguments.output.as_deref(), entries.iter().map(Entry::file))?;
    let charset = if arguments.ascii { Charset::Ascii } else { Charset::Unicode };
    let style = output::style(color, arguments.output.is_some(), Detail::Full, charset);
    output::deliver(arguments.output.as_deref(), replace(arguments), |out| {
        render(entries, problems, form, &style, out)
    })
}

/// Writes the views as a picture to where it goes.
pub(crate) fn print_svg(entries: &[Entry], arguments: &OutputArguments) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    output::deliver(arguments.output.as_deref(), replace(arguments), |out| render_svg(entries, out))
}

/// What to do with an output file that exists.
pub(crate) fn replace(arguments: &OutputArguments) -> Replace {
    if arguments.force { Replace::Allow } else { Replace::Refuse }
}

/// 2 when something could not be read, as ripgrep has it.
pub(crate) fn exit_code(problems: &[Problem]) -> ExitCode {
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(COULD_NOT_READ) }
}

/// What is wrong with an input.
pub(crate) fn problem(name: &str, what: String) -> Problem {
    Problem { input: name.to_owned(), at: None, what, hint: None }
}
