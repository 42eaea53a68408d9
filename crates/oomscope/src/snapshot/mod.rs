//! `oomscope snapshot VERB`: opens the files, asks the library, hands the answer to a renderer.

pub(crate) mod arguments;
mod diff;
mod lifetimes;
mod live;
mod load;
mod origin;
mod parallel;
mod stacks;
mod summary;
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
        SnapshotVerb::At(arguments) => live::run(arguments, MomentChoice::OomOrEnd, color),
        SnapshotVerb::Stacks(arguments) => stacks::run(arguments, color),
        SnapshotVerb::Diff(arguments) => diff::run(arguments, color),
        SnapshotVerb::Lifetimes(arguments) => lifetimes::run(arguments, color),
    }
}
