//! `oomscope snapshot VERB`: opens the files, asks the library, hands the answer to a renderer.

pub(crate) mod arguments;
mod live;
mod load;
mod parallel;
mod segments;
mod summary;
mod timeline;
mod views;

use std::process::ExitCode;

use anyhow::Result;
use oomscope_snapshot::views::MomentChoice;

use crate::cli::ColorChoice;
use arguments::SnapshotVerb;

pub(crate) fn run(verb: &SnapshotVerb, color: ColorChoice) -> Result<ExitCode> {
    match verb {
        SnapshotVerb::Summary(arguments) => summary::run(arguments, color),
        SnapshotVerb::Peak(arguments) => live::run(arguments, MomentChoice::Peak, color),
        SnapshotVerb::Timeline(arguments) => timeline::run(arguments, color),
        SnapshotVerb::Segments(arguments) => segments::run(arguments, color),
        SnapshotVerb::At(arguments) => live::run(arguments, MomentChoice::OomOrEnd, color),
    }
}
