//! `stacks`: bytes by call stack, as a tree for people and in the formats of profilers.

mod flamegraph;
mod folded;
mod frame;
mod perfetto;
mod pprof;
mod speedscope;
mod tree;

use std::collections::HashMap;
use std::io::{self, Write};

use oomscope_model::{Bytes, FrameOrigin};
use oomscope_snapshot::Stacks;
use oomscope_snapshot::views::{Scope, Spans, StackSum, StackSums};
use schemars::JsonSchema;
use serde::Serialize;

use super::section::{Section, grouped};
use super::wire::{CountersV1, PointV1};
use super::{Entry, View};

pub use tree::TreeOptions;

/// What a stack weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Bytes after rounding.
    Bytes,
    /// Bytes asked for.
    Requested,
    /// Number of blocks.
    Blocks,
}

/// Which frames of a stack count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameChoice {
    /// All of them.
    All,
    /// The user's own.
    User,
}

/// How stacks are shown.
#[derive(Clone, Copy, Debug)]
pub struct StackOptions {
    /// What a stack weighs.
    pub weight: Weight,
    /// Which frames count.
    pub frames: FrameChoice,
    /// How the tree is cut.
    pub tree: TreeOptions,
}

/// Bytes by call stack.
#[derive(Serialize, JsonSchema)]
pub struct StacksV1 {
    /// Which blocks: `live` at the moment, or `allocated` in the window that ends there.
    pub(crate) scope: &'static str,
    /// Where the window begins; null for live blocks, and at the start of the recording.
    pub(crate) from: Option<PointV1>,
    /// The moment, or the end of the window.
    pub(crate) at: PointV1,
    /// The device's counters then, filters aside.
    pub(crate) counters: CountersV1,
    /// What `weight` counts: `bytes`, `requested` bytes or `blocks`.
    pub(crate) weighs: &'static str,
    /// The sum of all weights.
    pub(crate) total: u64,
    /// Every frame of the stacks, once.
    pub(crate) frames: Vec<FrameV1>,
    /// The stacks, heaviest first.
    pub(crate) stacks: Vec<StackV1>,
    #[serde(skip)]
    tree: TreeOptions,
    #[serde(skip)]
    spans: Option<Spans>,
    /// For each recorded stack of `spans`, what it is called.
    #[serde(skip)]
    span_names: Vec<SpanName>,
}

/// A frame of a stack.
#[derive(Serialize, JsonSchema)]
pub(crate) struct FrameV1 {
    /// `function (file:line)`, with the folder that the user's files share cut off.
    pub(crate) text: String,
    /// The function.
    pub(crate) function: String,
    /// The file as recorded; empty where there is none.
    pub(crate) file: String,
    /// The line; 0 where unknown, an offset in a C++ frame of recent PyTorch.
    pub(crate) line: u32,
    /// Whose it is: `user`, `library`, `native` (C++) or `none` (no frame was recorded).
    pub(crate) origin: &'static str,
}

/// Blocks of one stack.
#[derive(Serialize, JsonSchema)]
pub(crate) struct StackV1 {
    /// Indices into `frames`, outermost first.
    pub(crate) frames: Vec<u32>,
    /// What it weighs.
    pub(crate) weight: u64,
    /// Bytes after rounding.
    pub(crate) bytes: u64,
    /// Bytes asked for.
    pub(crate) requested: u64,
    /// Number of blocks.
    pub(crate) blocks: u64,
}

/// What a block's slice is called, and its whole stack.
struct SpanName {
    name: String,
    stack: String,
}

/// The view of summed stacks. `spans`, if given, are what the `perfetto` form draws over time.
pub fn stacks(
    recorded: &Stacks,
    sums: &StackSums,
    spans: Option<Spans>,
    options: StackOptions,
) -> View {
    let mut table = frame::Table::new(recorded, options.frames);
    let mut by_frames: HashMap<Vec<u32>, StackSum> = HashMap::new();
    for sum in &sums.stacks {
        let whole = by_frames.entry(table.frames_of(sum.stack));
        whole.and_modify(|whole| whole.add(sum)).or_insert(*sum);
    }
    let weight = |sum: &StackSum| match options.weight {
        Weight::Bytes => sum.bytes.0,
        Weight::Requested => sum.requested.0,
        Weight::Blocks => sum.blocks,
    };
    let mut stacks: Vec<StackV1> = by_frames
        .into_iter()
        .map(|(frames, sum)| StackV1 {
            frames,
            weight: weight(&sum),
            bytes: sum.bytes.0,
            requested: sum.requested.0,
            blocks: sum.blocks,
        })
        .collect();
    stacks.sort_by(|a, b| b.weight.cmp(&a.weight).then_with(|| a.frames.cmp(&b.frames)));
    let span_names = spans.iter().flat_map(|spans| &spans.blocks).map(|block| {
        let frames = table.frames_of(block.stack);
        table.span_name(&frames)
    });
    let span_names = span_names.collect();
    let (scope, from, at) = match sums.scope {
        Scope::Live(at) => ("live", None, at),
        Scope::Allocated(from, at) => ("allocated", from.as_ref().map(PointV1::of), at),
    };
    View::Stacks(Box::new(StacksV1 {
        scope,
        from,
        at: PointV1::of(&at),
        counters: CountersV1::of(&sums.counters),
        weighs: match options.weight {
            Weight::Bytes => "bytes",
            Weight::Requested => "requested",
            Weight::Blocks => "blocks",
        },
        total: stacks.iter().map(|stack| stack.weight).fold(0, u64::saturating_add),
        frames: table.finish(),
        stacks,
        tree: options.tree,
        spans,
        span_names,
    }))
}

impl StacksV1 {
    pub(super) fn sections(&self) -> Vec<Section> {
        let headline = format!("{}, by call stack, outermost call first", self.headline());
        let mut sections = vec![Section::Headline(headline)];
        sections.push(Section::Picture(tree::lines(self)));
        if let Some(note) = tree::note(self) {
            sections.push(Section::Note(note));
        }
        sections
    }

    /// `4.00 GiB live at the peak (event 12)`.
    fn headline(&self) -> String {
        let total = self.amount(self.total);
        let what = match (self.scope, self.weighs) {
            ("live", "requested") => "asked for by the blocks that are live",
            ("live", _) => "live",
            (_, "requested") => "asked for",
            _ => "allocated",
        };
        let when = match (self.scope, &self.from) {
            ("live", _) => self.at.words(),
            (_, Some(from)) => format!("from {} to {}", bare(from), bare(&self.at)),
            (_, None) if self.at.event.is_none() => "in the whole recording".to_owned(),
            (_, None) => format!("from the start to {}", bare(&self.at)),
        };
        format!("{total} {what} {when}")
    }

    /// A weight in words.
    fn amount(&self, weight: u64) -> String {
        match self.weighs {
            "blocks" => format!("{} blocks", grouped(weight)),
            _ => Bytes(weight).to_string(),
        }
    }

    fn texts<'v>(&'v self, stack: &'v StackV1) -> impl Iterator<Item = &'v str> {
        stack.frames.iter().filter_map(|&id| Some(self.frames.get(id as usize)?.text.as_str()))
    }
}

/// A moment without its preposition.
fn bare(point: &PointV1) -> String {
    let words = point.words();
    let bare = ["at ", "right ", "after "].iter().find_map(|start| words.strip_prefix(start));
    bare.unwrap_or(&words).to_owned()
}

fn origin(origin: FrameOrigin) -> &'static str {
    match origin {
        FrameOrigin::User => "user",
        FrameOrigin::Library => "library",
        FrameOrigin::Native => "native",
    }
}

/// The formats of other tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackForm {
    /// A line a stack: `outermost;...;innermost 1234`.
    Folded,
    /// An interactive picture that needs nothing else.
    Flamegraph,
    /// A page with the picture of each device, as wide as the window.
    Page,
    /// For speedscope.
    Speedscope,
    /// Chrome's trace events, which Perfetto loads.
    Perfetto,
    /// Gzipped protocol buffer of `pprof`.
    Pprof,
}

/// Writes the views of stacks among `entries` in the format of another tool.
pub fn render_stacks(entries: &[Entry], form: StackForm, out: &mut dyn Write) -> io::Result<()> {
    let subjects: Vec<Subject<'_>> = entries
        .iter()
        .filter_map(|entry| match &entry.view {
            View::Stacks(view) => Some(Subject { entry, view }),
            _ => None,
        })
        .collect();
    match form {
        StackForm::Folded => folded::write(&subjects, out),
        StackForm::Flamegraph => flamegraph::write(&subjects, out),
        StackForm::Page => flamegraph::write_page(&subjects, out),
        StackForm::Speedscope => speedscope::write(&subjects, out),
        StackForm::Perfetto => perfetto::write(&subjects, out),
        StackForm::Pprof => pprof::write(&subjects, out),
    }
}

/// One device's stacks.
struct Subject<'a> {
    entry: &'a Entry,
    view: &'a StacksV1,
}

impl Subject<'_> {
    /// `run.pickle · device 0`, harmless.
    fn name(&self) -> String {
        let file = crate::clean::clean(&self.entry.file, crate::Charset::Unicode);
        format!("{file} · device {}", self.entry.device)
    }
}
