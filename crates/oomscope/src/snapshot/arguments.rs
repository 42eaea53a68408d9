//! The arguments of `oomscope snapshot`, as data.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use oomscope_report::snapshot::Form;
use oomscope_snapshot::views::{GroupBy, MomentChoice, PoolChoice};
use regex::Regex;

use super::export::ExportArguments;
use super::write::{AnonymiseArguments, ConvertArguments, CutArguments, SplitArguments};

#[derive(Subcommand)]
pub(crate) enum SnapshotVerb {
    /// What is in a file, who held memory at the peak, what is missing.
    Summary(SummaryArguments),
    /// Who held memory when the most was allocated (whole call stacks: `stacks`).
    Peak(LiveArguments),
    /// Who held memory at a moment (`--at`): by default right before the failure, else at the dump.
    At(LiveArguments),
    /// Memory by named range, phase, metadata, part of `torch.compile`, module.
    Annotations(super::annotations::AnnotationsArguments),
    /// What outlives its step, how fast it grows, and how sure that is. Exits with 1 when memory
    /// grows, with 0 when it is steady or the recording cannot tell.
    Leaks(super::leaks::LeaksArguments),
    /// What is reserved and cannot be used, what pins it, and whether a request failed for it.
    /// `--stream` and `--pool` narrow the segments; `--frame` the blocks that pin them.
    Fragmentation(super::fragmentation::FragmentationArguments),
    /// Bytes by call stack: a tree, flame graphs, and the formats of speedscope, Perfetto, pprof.
    Stacks(super::stacks::StacksArguments),
    /// What changed: between two files, or between two moments of one (`--from`, `--to`).
    ///
    /// Two files are compared at `--at` in each, by default the peak; devices by their ordinal.
    /// Code is the same where its path is, or where the paths differ in their root folder alone.
    Diff(super::diff::DiffArguments),
    /// How long blocks live, how much comes and goes, and whether freed blocks serve again.
    ///
    /// A lifetime is from being handed out to being given up by the program; blocks that are still
    /// held count for none. What came after `--at`, by default the dump, is not looked at.
    ///
    /// Reused: an allocation whose address and rounded size are those of the block that was handed
    /// out there before. Temporary: given up before 10 other blocks were handed out. A step is a
    /// turn of the loop that the recorded stacks show; where none shows, churn is per second.
    Lifetimes(super::lifetimes::LifetimesArguments),
    /// What was allocated, reserved and cached over time, or groups of blocks as bands.
    Timeline(super::timeline::TimelineArguments),
    /// The memory map at a moment (`--at`): every segment, its blocks and holes; by default right
    /// before the failure, else at the dump.
    Segments(super::segments::SegmentsArguments),
    /// Write whole tables (events, blocks, segments, frames, stacks) for data tools.
    Export(ExportArguments),
    /// Keep a stretch of the recording, as a snapshot of its own.
    Cut(CutArguments),
    /// Make several snapshots of one: by device, or in stretches of events.
    Split(SplitArguments),
    /// Hash the program's own paths and names, so that a snapshot can be shown to others.
    #[command(visible_alias = "anonymize")]
    Anonymise(AnonymiseArguments),
    /// Rewrite a snapshot: as a pickle, or in a compact form, smaller and several times faster to open.
    Convert(ConvertArguments),
}

/// What every verb that reads snapshots takes.
#[derive(Args)]
#[command(next_help_heading = "Selection")]
pub(crate) struct SelectionArguments {
    /// Snapshots (pickle, JSON, the memory viewer's HTML, also gzip or zstd); `-` for standard
    /// input.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<String>,
    /// The moment: an event's index, `peak`, `oom`, `oom:N`, `end`, or a time (`1.5s`, `300ms` since
    /// the first event; `@MICROSECONDS` since the epoch).
    #[arg(long, value_name = "MOMENT")]
    pub(crate) at: Option<MomentChoice>,
    /// Only this device.
    #[arg(long, value_name = "ORDINAL")]
    pub(crate) device: Option<u32>,
    /// Only blocks of this CUDA stream, by its handle.
    #[arg(long, value_name = "HANDLE", value_parser = handle)]
    pub(crate) stream: Option<u64>,
    /// Only blocks of a pool: `small`, `large`, `default`, `private` or `OWNER.ID`.
    #[arg(long, value_name = "POOL")]
    pub(crate) pool: Option<PoolChoice>,
    /// Only blocks whose stack has a frame that matches: `FILE:LINE FUNCTION`.
    #[arg(long, value_name = "REGEX")]
    pub(crate) frame: Option<Regex>,
    /// Match and show the user's own frames only, no library's and no C++.
    #[arg(long)]
    pub(crate) user_frames: bool,
    /// Categories of your own: a TOML file with `[categories]`, each `"NAME" = "REGEX"`, matched
    /// against `FILE:LINE FUNCTION` of every frame, the first match wins [default: oomscope.toml,
    /// where there is one].
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Use what could be read of a damaged or truncated file.
    #[arg(long)]
    pub(crate) partial: bool,
}

/// Where a view goes.
#[derive(Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArguments {
    /// Write to FILE instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace FILE if it exists.
    #[arg(long, requires = "output")]
    pub(crate) force: bool,
    /// Use no characters outside ASCII.
    #[arg(long)]
    pub(crate) ascii: bool,
}

#[derive(Args)]
pub(crate) struct SummaryArguments {
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
    /// Rows of a table, 10 unless told; 0 for all, as CSV has.
    #[arg(long, value_name = "ROWS")]
    pub(crate) limit: Option<usize>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = TableFormat::Text)]
    pub(crate) format: TableFormat,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

#[derive(Args)]
pub(crate) struct LiveArguments {
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
    /// What to sum the blocks by.
    #[arg(long, value_enum, default_value_t = By::Line)]
    pub(crate) by: By,
    /// Rows of a table, 20 unless told; 0 for all, as CSV has.
    #[arg(long, value_name = "ROWS")]
    pub(crate) limit: Option<usize>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = TableFormat::Text)]
    pub(crate) format: TableFormat,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// Forms of a view that is a table.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableFormat {
    /// For people, in a terminal.
    Text,
    /// For programs; schemas are in `schema/`.
    Json,
    /// The main table, for spreadsheets.
    Csv,
    /// For an issue or a chat.
    Markdown,
}

impl TableFormat {
    pub(crate) fn form(self) -> Form {
        match self {
            TableFormat::Text => Form::Text,
            TableFormat::Json => Form::Json,
            TableFormat::Csv => Form::Csv,
            TableFormat::Markdown => Form::Markdown,
        }
    }
}

/// What blocks are summed by.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
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
    /// How long ago the block was made.
    Age,
    /// The CUDA stream.
    Stream,
    /// The allocator's pool.
    Pool,
}

impl By {
    pub(crate) fn group_by(self) -> GroupBy {
        match self {
            By::Line => GroupBy::Line,
            By::Function => GroupBy::Function,
            By::File => GroupBy::File,
            By::Module => GroupBy::Module,
            By::Stack => GroupBy::Stack,
            By::Category => GroupBy::Category,
            By::Phase => GroupBy::Phase,
            By::Size => GroupBy::Size,
            By::Age => GroupBy::Age,
            By::Stream => GroupBy::Stream,
            By::Pool => GroupBy::Pool,
        }
    }
}

/// Rows as given, all of them for 0; else `usual` for people and programs, all for spreadsheets.
pub(crate) fn rows(given: Option<usize>, usual: usize, format: TableFormat) -> usize {
    match given {
        None if format == TableFormat::Csv => usize::MAX,
        None => usual,
        Some(0) => usize::MAX,
        Some(rows) => rows,
    }
}

fn handle(text: &str) -> Result<u64, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| format!("`{text}` is no stream handle: a number, or 0x and hexadecimal"))
}
