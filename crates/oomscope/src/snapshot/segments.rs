//! `oomscope snapshot segments`.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use oomscope_report::snapshot as report;
use oomscope_snapshot::views::{self, MomentChoice, SegmentOrder};

use super::arguments::{OutputArguments, SelectionArguments};
use super::timeline::PictureFormat;
use super::views::{collect, exit_code, print, print_svg, say_all};
use crate::cli::ColorChoice;

#[derive(Args)]
pub(crate) struct SegmentsArguments {
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
    /// The order of the segments.
    #[arg(long, value_enum, default_value_t = Order::Address)]
    pub(crate) sort: Order,
    /// List every block with who made it.
    #[arg(long)]
    pub(crate) blocks: bool,
    /// Segments that are shown; 0 for all. Files get all by default, a terminal 20, a picture 60.
    #[arg(long, value_name = "ROWS")]
    pub(crate) limit: Option<usize>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = PictureFormat::Text)]
    pub(crate) format: PictureFormat,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    /// By address.
    Address,
    /// Largest first.
    Size,
    /// Most free bytes beside live blocks first.
    Waste,
}

pub(crate) fn run(arguments: &SegmentsArguments, color: ColorChoice) -> Result<ExitCode> {
    let order = match arguments.sort {
        Order::Address => SegmentOrder::Address,
        Order::Size => SegmentOrder::Size,
        Order::Waste => SegmentOrder::Waste,
    };
    let rows = match (arguments.limit, arguments.format) {
        (Some(rows @ 1..), _) => rows,
        (None, PictureFormat::Text | PictureFormat::Markdown) => 20,
        (None, PictureFormat::Svg) => 60,
        (Some(0), _) | (None, PictureFormat::Json | PictureFormat::Csv) => usize::MAX,
    };
    let blocks = if arguments.blocks { report::Blocks::Listed } else { report::Blocks::Drawn };
    let has_selection = arguments.selection.frame.is_some();
    let (entries, problems) = collect(&arguments.selection, MomentChoice::OomOrEnd, |subject| {
        let map = views::segment_map(subject.recording, subject.point, subject.selection, order);
        report::segments(&map, rows, blocks, has_selection)
    });
    say_all(&problems);
    match arguments.format.form() {
        Some(form) => print(&entries, &problems, form, &arguments.output, color)?,
        None => print_svg(&entries, &arguments.output)?,
    }
    Ok(exit_code(&problems))
}
