//! `oomscope snapshot VERB`: opens the files, asks the library, hands the answer to a renderer.

pub(crate) mod annotations;
pub(crate) mod arguments;
mod config;
mod diff;
mod export;
mod fragmentation;
mod leaks;
mod lifetimes;
mod live;
pub(crate) mod load;
mod origin;
mod parallel;
mod segments;
mod stacks;
mod summary;
pub(crate) mod timeline;
pub(crate) mod views;
mod write;

use std::process::ExitCode;

use anyhow::Result;
use oomscope_snapshot::views::MomentChoice;

use crate::cli::ColorChoice;
use arguments::SnapshotVerb;

pub(crate) fn run(verb: &SnapshotVerb, color: ColorChoice) -> Result<ExitCode> {
    match verb {
        SnapshotVerb::Summary(arguments) => summary::run(arguments, color),
        SnapshotVerb::Peak(arguments) => live::run(arguments, MomentChoice::Peak, color),
        SnapshotVerb::Export(arguments) => export::run(arguments),
        SnapshotVerb::Cut(arguments) => write::run_cut(arguments),
        SnapshotVerb::Split(arguments) => write::run_split(arguments),
        SnapshotVerb::Anonymise(arguments) => write::run_anonymise(arguments),
        SnapshotVerb::Convert(arguments) => write::run_convert(arguments),
        SnapshotVerb::Annotations(arguments) => annotations::run(arguments, color),
        SnapshotVerb::Leaks(arguments) => leaks::run(arguments, color),
        SnapshotVerb::Fragmentation(arguments) => fragmentation::run(arguments, color),
        SnapshotVerb::Timeline(arguments) => timeline::run(arguments, color),
        SnapshotVerb::Segments(arguments) => segments::run(arguments, color),
        SnapshotVerb::At(arguments) => live::run(arguments, MomentChoice::OomOrEnd, color),
        SnapshotVerb::Stacks(arguments) => stacks::run(arguments, color),
        SnapshotVerb::Diff(arguments) => diff::run(arguments, color),
        SnapshotVerb::Lifetimes(arguments) => lifetimes::run(arguments, color),
    }
}
