//! The `oomscope` command: arguments, files, exit codes. All reasoning lives in the libraries.
#![allow(clippy::disallowed_methods)] // this is the rim where I/O belongs

mod check;
mod cli;
mod diagnose;
mod estimate;
mod explain;
mod fix;
mod input;
mod live;
mod output;
mod progress;
mod record;
mod replay;
mod rules;
mod snapshot;
mod tune;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Verb};

/// Trees of source are millions of small allocations.
#[cfg(all(unix, not(target_os = "android")))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Exit code for "nothing could be read" and for wrong arguments, as ruff and ripgrep have it.
pub(crate) const COULD_NOT_READ: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.verb {
        Verb::Diagnose(arguments) => diagnose::run(arguments, cli.color),
        Verb::Run(arguments) => record::run(arguments, cli.color),
        Verb::Fix(arguments) => fix::run(arguments),
        Verb::Verify(arguments) => verify::run(arguments, cli.color),
        Verb::Estimate(arguments) => estimate::run(arguments, cli.color),
        Verb::Runs(arguments) => record::runs(arguments),
        Verb::Attach(arguments) => record::attach(arguments),
        Verb::Check(arguments) => check::run(arguments, cli.color),
        Verb::Snapshot { verb } => snapshot::run(verb, cli.color),
        Verb::Replay(arguments) => replay::run(arguments, cli.color),
        Verb::Tune(arguments) => tune::run(arguments, cli.color),
        Verb::Rules(arguments) => rules::run(arguments, cli.color),
        Verb::Explain(arguments) => explain::run(arguments, cli.color),
    };
    match result {
        Ok(code) => code,
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::print_error(&error);
            ExitCode::from(COULD_NOT_READ)
        }
    }
}
