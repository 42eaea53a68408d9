//! The command line as data.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::check::CheckArguments;
use crate::estimate::EstimateArguments;
use crate::fix::FixArguments;
use crate::record::{AttachArguments, RunArguments, RunsArguments};
use crate::replay::ReplayArguments;
use crate::rules::RulesArguments;
use crate::snapshot::arguments::SnapshotVerb;
use crate::tune::TuneArguments;
use crate::verify::VerifyArguments;

/// Finds why a PyTorch program ran out of GPU memory, and proves the fix.
#[derive(Parser)]
#[command(name = "oomscope", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
    /// When to colour the output; `NO_COLOR` is honoured.
    #[arg(long, value_enum, default_value_t = ColorChoice::Auto, global = true)]
    pub(crate) color: ColorChoice,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Diagnose a failed run from its log, snapshot and source, in any mix.
    ///
    /// Every INPUT is recognised by content: an error text or whole log, an allocator snapshot
    /// (pickle, JSON or HTML, also gzip or zstd), Python source or a notebook, a directory that
    /// holds any of these, a recorded run (its folder, its ID, `last`). What is no path is taken as
    /// the message itself. Without INPUT the current directory is searched.
    ///
    /// Exit code: 0 nothing found, 1 a failure or cause found, 2 nothing could be read.
    Diagnose(DiagnoseArguments),
    /// Run a command with a recorder inside, and diagnose it when it dies of memory.
    ///
    /// Every Python process below the command that imports torch is recorded: allocator history,
    /// memory step by step, failures with a snapshot taken at the failure. Output, signals and exit
    /// code are the command's own. Recordings are kept below `.oomscope/runs`.
    ///
    /// Exit code: the command's; 2 also when it could not be run.
    Run(Box<RunArguments>),
    /// Run a command and prove that its memory is flat and fits.
    ///
    /// Says whether memory is stable, growing (by how much a step, and when it will fail), failed,
    /// or watched for too short a time; holds the peak against a budget; compares with a baseline,
    /// line by line. Where `oomscope-budget.toml` exists, it is the budget.
    ///
    /// Exit code: 0 stable and within the budget, 1 not proven, 2 the command could not be run.
    Verify(Box<VerifyArguments>),
    /// Apply the patches of a diagnosis, and prove with `--verify` that they help.
    ///
    /// Shows each patch and asks; `--yes` applies the best one. Files are written atomically, and a
    /// patch that takes the change back is kept. With `--verify -- COMMAND` the command runs before
    /// and after, and the change is kept only if memory improved and the command still succeeds.
    ///
    /// Exit code: 0 applied (and better), or nothing to fix; 1 nothing applied or not kept; 2 nothing could be read.
    Fix(Box<FixArguments>),
    /// What a configuration needs, before anything runs: term by term, phase by phase.
    ///
    /// MODEL is a well-known name, a Hugging Face `config.json` or the directory of a model; nothing is downloaded
    /// or executed. A step of forward, backward and optimizer is run on sizes alone.
    ///
    /// Exit code: 0 it fits (or no device was named), 1 it does not, 2 wrong arguments, or nothing
    /// could be read.
    Estimate(Box<EstimateArguments>),
    /// List recorded runs, show one, remove old ones.
    Runs(RunsArguments),
    /// Have a running recorded process write a snapshot now.
    ///
    /// Prints the path of the snapshot.
    Attach(AttachArguments),
    /// Find GPU memory defects in PyTorch source before they cost a run.
    ///
    /// Calls are followed across all files that are given. A finding is left out where a comment
    /// says `# oomscope: allow[NAME]` on its statement, or `# oomscope: allow-file[NAME]` anywhere.
    /// Settings come from the nearest `oomscope.toml`, or `pyproject.toml` with `[tool.oomscope]`.
    ///
    /// Exit code: 0 nothing found, 1 something found, 2 wrong arguments or settings, or nothing
    /// could be read.
    Check(Box<CheckArguments>),
    /// Ask an allocator snapshot anything: who holds memory, when, since when, and what it pins.
    Snapshot {
        #[command(subcommand)]
        verb: Box<SnapshotVerb>,
    },
    /// Run a recorded program through a model of PyTorch's allocator, as it was or under a change.
    ///
    /// Without a change: does the model decide as PyTorch did, event by event? With other settings
    /// (`--conf`), another device (`--capacity`), a cap (`--memory-fraction`) or another release
    /// (`--to-version`): how much would be held, and would it fit?
    ///
    /// Exit code: 0 the run fits (without a change: the model agrees with the recording), 1 it ends
    /// out of memory (it does not agree), 2 nothing could be read.
    Replay(Box<ReplayArguments>),
    /// Find the allocator settings under which a recorded program holds the least memory.
    ///
    /// Tries the settings that documentation and issues recommend, and their combinations, and says
    /// which to use, what they save, and on how small a device the program runs under each.
    ///
    /// Exit code: 0, also when nothing helps; 2 nothing could be read.
    Tune(Box<TuneArguments>),
    /// List the rules of `check`.
    Rules(RulesArguments),
    /// Print the page of a cause or a rule, or the rules of a group.
    Explain(ExplainArguments),
}

#[derive(Args)]
#[allow(clippy::struct_excessive_bools)] // flags are bools on the command line, enums behind it
pub(crate) struct DiagnoseArguments {
    /// Logs, snapshots, source, directories, runs, `-` for standard input, or a pasted message.
    #[arg(value_name = "INPUT")]
    pub(crate) inputs: Vec<String>,
    /// How to print the diagnosis.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Write to FILE instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace FILE if it exists.
    #[arg(long, requires = "output")]
    pub(crate) force: bool,
    /// Also ask the driver (NVML) who uses the devices now.
    #[arg(long)]
    pub(crate) live: bool,
    /// Print the verdict and the fix only.
    #[arg(long)]
    pub(crate) brief: bool,
    /// Use no characters outside ASCII.
    #[arg(long)]
    pub(crate) ascii: bool,
}

#[derive(Args)]
pub(crate) struct ExplainArguments {
    /// A cause (`graph-retained`), a rule's id (`OOM101`) or name, a group of rules
    /// (`graph-retention`). Without it: the list of all.
    pub(crate) name: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people, in a terminal.
    Text,
    /// For programs; schema in `schema/diagnosis.schema.json`.
    Json,
    /// For an issue or a chat.
    Markdown,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    Auto,
    Always,
    Never,
}
