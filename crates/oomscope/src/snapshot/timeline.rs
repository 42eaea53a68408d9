//! `oomscope snapshot timeline`.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use oomscope_report::snapshot::{self as report, Form};
use oomscope_snapshot::views::{self, Axis, Counter, GroupBy, MomentChoice, OverTimeOptions};

use super::arguments::{OutputArguments, SelectionArguments};
use super::views::{exit_code, print, print_svg, say_all, try_collect};
use crate::cli::ColorChoice;

/// Buckets of a chart in a terminal, and of a picture.
const CHART_POINTS: usize = 660;
const PICTURE_POINTS: usize = 800;

#[derive(Args)]
pub(crate) struct TimelineArguments {
    /// `--at` marks a moment, and with `--by category` parameters are those live then (by default
    /// at the peak).
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
    /// Split what is in use into groups of blocks.
    #[arg(long, value_enum, default_value_t = BandsBy::None)]
    pub(crate) by: BandsBy,
    /// Groups that are told apart; the rest is `other`.
    #[arg(long, value_name = "GROUPS", default_value_t = 8)]
    pub(crate) top: usize,
    /// Counters, by commas. Files get all of them by default, charts those that read well.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "COUNTER")]
    pub(crate) series: Vec<CounterName>,
    /// Where the window begins (a moment, as for `--at`).
    #[arg(long, value_name = "MOMENT")]
    pub(crate) from: Option<MomentChoice>,
    /// Where it ends, inclusive.
    #[arg(long, value_name = "MOMENT")]
    pub(crate) to: Option<MomentChoice>,
    /// What the width measures; by default time where it was recorded, unless nearly all happens in
    /// a small part of it.
    #[arg(long, value_enum)]
    pub(crate) axis: Option<AxisName>,
    /// Level of detail: buckets, each with its first, least, most and last; 0 for every event
    /// exactly (CSV and JSON).
    #[arg(long, value_name = "BUCKETS")]
    pub(crate) points: Option<usize>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = PictureFormat::Text)]
    pub(crate) format: PictureFormat,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// Forms of a view that can be drawn.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PictureFormat {
    /// For people, in a terminal.
    Text,
    /// A picture that stands alone, light or dark as the reader likes it.
    Svg,
    /// For programs; schemas are in `schema/`.
    Json,
    /// For spreadsheets.
    Csv,
    /// For an issue or a chat.
    Markdown,
}

impl PictureFormat {
    /// The form of what is not a picture.
    pub(crate) fn form(self) -> Option<Form> {
        match self {
            PictureFormat::Text => Some(Form::Text),
            PictureFormat::Svg => None,
            PictureFormat::Json => Some(Form::Json),
            PictureFormat::Csv => Some(Form::Csv),
            PictureFormat::Markdown => Some(Form::Markdown),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CounterName {
    /// In blocks that tensors hold.
    Allocated,
    /// Allocated, and waiting for a stream.
    Active,
    /// Held from the device.
    Reserved,
    /// Reserved and not active.
    Cached,
    /// The largest cached block.
    LargestFree,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AxisName {
    /// Microseconds.
    Time,
    /// Events.
    Events,
}

/// What bands are made of. Age is none: it changes while time passes.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BandsBy {
    /// No bands.
    None,
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
    /// Parameters, gradients, optimizer state, activations, ...
    Category,
    /// Forward, backward, optimizer step, ...
    Phase,
    /// The size's power of two.
    Size,
    /// The CUDA stream.
    Stream,
    /// The allocator's pool.
    Pool,
}

impl BandsBy {
    fn group_by(self) -> Option<GroupBy> {
        Some(match self {
            BandsBy::None => return None,
            BandsBy::Line => GroupBy::Line,
            BandsBy::Function => GroupBy::Function,
            BandsBy::File => GroupBy::File,
            BandsBy::Module => GroupBy::Module,
            BandsBy::Stack => GroupBy::Stack,
            BandsBy::Category => GroupBy::Category,
            BandsBy::Phase => GroupBy::Phase,
            BandsBy::Size => GroupBy::Size,
            BandsBy::Stream => GroupBy::Stream,
            BandsBy::Pool => GroupBy::Pool,
        })
    }
}

pub(crate) fn run(arguments: &TimelineArguments, color: ColorChoice) -> Result<ExitCode> {
    let by = arguments.by.group_by();
    let options = OverTimeOptions {
        counters: counters(arguments),
        by: by.map(|by| (by, arguments.top.max(1))),
        from: arguments.from,
        to: arguments.to,
        axis: arguments.axis.map(|axis| match axis {
            AxisName::Time => Axis::Time,
            AxisName::Events => Axis::Events,
        }),
        points: points(arguments),
    };
    let (entries, problems) = try_collect(&arguments.selection, MomentChoice::Peak, |subject| {
        let view = views::over_time(subject.recording, &subject.point, subject.selection, &options);
        let view = view.map_err(|error| error.to_string())?;
        let asked = arguments.selection.at.map(|_| subject.point);
        Ok(report::timeline(&view, by, asked))
    });
    say_all(&problems);
    match arguments.format.form() {
        Some(form) => print(&entries, &problems, form, &arguments.output, color)?,
        None => print_svg(&entries, &arguments.output)?,
    }
    Ok(exit_code(&problems))
}

fn counters(arguments: &TimelineArguments) -> Vec<Counter> {
    let is_picture = !matches!(arguments.format, PictureFormat::Json | PictureFormat::Csv);
    if !arguments.series.is_empty() {
        let mut counters: Vec<Counter> = Vec::new();
        for name in &arguments.series {
            let counter = match name {
                CounterName::Allocated => Counter::Allocated,
                CounterName::Active => Counter::Active,
                CounterName::Reserved => Counter::Reserved,
                CounterName::Cached => Counter::Cached,
                CounterName::LargestFree => Counter::LargestFree,
            };
            if !counters.contains(&counter) {
                counters.push(counter);
            }
        }
        return counters;
    }
    match (is_picture, arguments.by, arguments.format) {
        (true, BandsBy::None, _) => {
            vec![Counter::Allocated, Counter::Reserved, Counter::LargestFree]
        }
        (true, _, PictureFormat::Svg) => vec![Counter::Reserved],
        (true, ..) => Vec::new(),
        (false, ..) => vec![
            Counter::Allocated,
            Counter::Active,
            Counter::Reserved,
            Counter::Cached,
            Counter::LargestFree,
        ],
    }
}

/// Pictures need no more buckets than they have room for.
fn points(arguments: &TimelineArguments) -> Option<usize> {
    match (arguments.format, arguments.points) {
        (PictureFormat::Json | PictureFormat::Csv, Some(0)) => None,
        (PictureFormat::Json | PictureFormat::Csv, points) => points.or(Some(1000)),
        (PictureFormat::Svg, points) => {
            Some(points.filter(|points| *points > 0).unwrap_or(PICTURE_POINTS).min(4000))
        }
        (PictureFormat::Text | PictureFormat::Markdown, points) => {
            Some(points.filter(|points| *points > 0).unwrap_or(CHART_POINTS))
        }
    }
}
