//! `oomscope snapshot stacks`.

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use oomscope_report::snapshot::{
    self as report, Form, FrameChoice, StackForm, StackOptions, TreeOptions,
};
use oomscope_snapshot::views::{self, MomentChoice, MomentError, Scope};

use super::arguments::{OutputArguments, SelectionArguments};
use super::views::{Subject, exit_code, print, replace, say_all, try_collect};
use crate::cli::ColorChoice;
use crate::output;

/// Stretches of the trace of which the `perfetto` form shows the counters.
const COUNTER_STRETCHES: usize = 20_000;

#[derive(Args)]
pub(crate) struct StacksArguments {
    #[command(flatten)]
    selection: SelectionArguments,
    /// What a stack weighs. Live blocks are those at `--at`, by default at the peak.
    #[arg(long, value_enum)]
    weight: Option<Weight>,
    /// Sum the blocks handed out after this moment, by default from the start, instead of live
    /// ones. Spelt as `--at`.
    #[arg(long, value_name = "MOMENT", conflicts_with = "at")]
    from: Option<MomentChoice>,
    /// Sum the blocks handed out up to this moment, by default to the end.
    #[arg(long, value_name = "MOMENT", conflicts_with = "at")]
    to: Option<MomentChoice>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = StacksFormat::Tree)]
    format: StacksFormat,
    /// Levels of the tree, a chain of single calls counted once; 0 for as many as fit.
    #[arg(long, value_name = "LEVELS", default_value_t = 12)]
    depth: usize,
    /// Per cent of all below which a branch of the tree is summed up with its like.
    #[arg(long, value_name = "PER CENT", default_value_t = 1.0)]
    min_share: f64,
    /// Slices in the `perfetto` form: the largest blocks.
    #[arg(long, value_name = "BLOCKS", default_value_t = 2000)]
    slices: usize,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Weight {
    /// Bytes of live blocks, after rounding (the default).
    Live,
    /// Bytes of all blocks handed out, freed since or not: the default with `--from` or `--to`.
    #[value(alias = "churn")]
    Allocated,
    /// Bytes asked for, before rounding.
    Requested,
    /// Number of blocks.
    Count,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StacksFormat {
    /// The call tree, for people.
    #[value(alias = "text")]
    Tree,
    /// A line a stack, `outermost;...;innermost 1234`, for `flamegraph.pl` and its like.
    Folded,
    /// An interactive picture (SVG) for the browser: click zooms, Ctrl-F searches.
    #[value(alias = "svg")]
    Flamegraph,
    /// A page with the picture of each device.
    Html,
    /// For <https://www.speedscope.app>.
    Speedscope,
    /// Chrome's trace events (JSON) for <https://ui.perfetto.dev>: the counters over time, the
    /// lives of the largest blocks with their stacks, requests that failed. The whole recording,
    /// whatever the moment.
    Perfetto,
    /// For `go tool pprof`: bytes, requested bytes and blocks by stack.
    Pprof,
    /// For programs; schema in `schema/snapshot.schema.json`.
    Json,
    /// The tree, for an issue or a chat.
    Markdown,
}

pub(crate) fn run(arguments: &StacksArguments, color: ColorChoice) -> Result<ExitCode> {
    let is_windowed = arguments.from.is_some() || arguments.to.is_some();
    let weight = arguments.weight.unwrap_or(Weight::Live);
    if is_windowed && arguments.weight == Some(Weight::Live) {
        bail!("`--weight live` is about one moment; give `--at`, or leave `--from` and `--to` out");
    }
    if weight == Weight::Allocated && arguments.selection.at.is_some() {
        bail!("`--weight allocated` is about a stretch of time; give `--from` and `--to`");
    }
    let wants_window = is_windowed || weight == Weight::Allocated;
    let other = other_form(arguments.format);
    if other == Some(StackForm::Pprof)
        && arguments.output.output.is_none()
        && std::io::stdout().is_terminal()
    {
        bail!("a pprof file is binary; name a file with `-o`");
    }
    let options = StackOptions {
        weight: match weight {
            Weight::Live | Weight::Allocated => report::Weight::Bytes,
            Weight::Requested => report::Weight::Requested,
            Weight::Count => report::Weight::Blocks,
        },
        frames: if arguments.selection.user_frames { FrameChoice::User } else { FrameChoice::All },
        tree: TreeOptions { depth: arguments.depth, min_share: arguments.min_share / 100.0 },
    };
    let view = |subject: &Subject<'_>| -> Result<_, String> {
        let recording = subject.recording;
        let scope = if wants_window {
            window(arguments, subject).map_err(|error| error.to_string())?
        } else {
            Scope::Live(subject.point)
        };
        let sums = views::stack_sums(recording, scope, subject.selection);
        let spans = (other == Some(StackForm::Perfetto)).then(|| {
            views::spans(recording, subject.selection, COUNTER_STRETCHES, arguments.slices)
        });
        Ok(report::stacks(&recording.snapshot().stacks, &sums, spans, options))
    };
    let (entries, problems) = try_collect(&arguments.selection, MomentChoice::Peak, view);
    say_all(&problems);
    match other {
        Some(_) if entries.is_empty() => {}
        Some(form) => {
            let file = arguments.output.output.as_deref();
            output::deliver(file, replace(&arguments.output), |out| {
                report::render_stacks(&entries, form, out)
            })?;
        }
        None => {
            let form = match arguments.format {
                StacksFormat::Json => Form::Json,
                StacksFormat::Markdown => Form::Markdown,
                _ => Form::Text,
            };
            print(&entries, &problems, form, &arguments.output, color)?;
        }
    }
    Ok(exit_code(&problems))
}

/// The window asked for: the whole recording where nothing else is said.
fn window(arguments: &StacksArguments, subject: &Subject<'_>) -> Result<Scope, MomentError> {
    let to = subject.recording.point(arguments.to.unwrap_or(MomentChoice::End))?;
    let from = arguments.from.map(|from| subject.recording.point(from)).transpose()?;
    if let (Some(first), Some(last)) = (from.and_then(|from| from.event), to.event)
        && first > last
    {
        return Err(MomentError::Reversed { from: first.0, to: last.0 });
    }
    Ok(Scope::Allocated(from, to))
}

fn other_form(format: StacksFormat) -> Option<StackForm> {
    match format {
        StacksFormat::Tree | StacksFormat::Json | StacksFormat::Markdown => None,
        StacksFormat::Folded => Some(StackForm::Folded),
        StacksFormat::Flamegraph => Some(StackForm::Flamegraph),
        StacksFormat::Html => Some(StackForm::Page),
        StacksFormat::Speedscope => Some(StackForm::Speedscope),
        StacksFormat::Perfetto => Some(StackForm::Perfetto),
        StacksFormat::Pprof => Some(StackForm::Pprof),
    }
}
