//! What `oomscope snapshot` shows: each view once as data (JSON), and once as sections, from which
//! text, Markdown and CSV follow.

mod annotations;
mod chart;
mod csv;
mod diff;
mod fragmentation;
mod leaks;
mod lifetimes;
mod live;
mod markdown;
mod replay;
mod section;
mod segments;
mod stacks;
mod summary;
mod svg;
mod svg_map;
mod svg_timeline;
mod text;
mod timeline;
mod timeline_csv;
mod tune;
mod wire;

use std::io::{self, Write};

use oomscope_model::{DeviceId, Problem};
use oomscope_snapshot::ReadProblem;
use schemars::JsonSchema;
use serde::Serialize;

use crate::TextStyle;
use crate::json::{schema_of, write_json};
use crate::wire::Tool;
pub use annotations::annotations;
pub use diff::diff;
pub use lifetimes::lifetimes;
pub use live::live;
pub use segments::{Blocks, segments};
pub use stacks::{
    FrameChoice, StackForm, StackOptions, TreeOptions, Weight, render_stacks, stacks,
};
pub use summary::summary;
pub use svg::render_svg;
pub use timeline::timeline;

use annotations::AnnotationsV1;
use diff::DiffV1;
use fragmentation::FragmentationV1;
pub use fragmentation::fragmentation;
use leaks::LeaksV1;
pub use leaks::leaks;
use lifetimes::LifetimesV1;
use live::LiveV1;
use replay::ReplayV1;
pub use replay::{Replayed, replay};
use section::Section;
use segments::SegmentsV1;
use stacks::StacksV1;
use summary::SummaryV1;
use timeline::TimelineV1;
use tune::TuneV1;
pub use tune::{Listed, Tuned, tune};

/// The version of this format: minor when fields are added, major when one changes.
const SCHEMA_VERSION: &str = "1.0";

/// What one verb says of one device of one file.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "view", rename_all = "kebab-case")]
#[schemars(title = "view")]
pub enum View {
    /// `summary`.
    Summary(Box<SummaryV1>),
    /// `peak` and `at`.
    Live(Box<LiveV1>),
    /// `annotations`.
    Annotations(Box<AnnotationsV1>),
    /// `leaks`.
    Leaks(Box<LeaksV1>),
    /// `fragmentation`.
    Fragmentation(Box<FragmentationV1>),
    /// `stacks`.
    Stacks(Box<StacksV1>),
    /// `diff`.
    Diff(Box<DiffV1>),
    /// `lifetimes`.
    Lifetimes(Box<LifetimesV1>),
    /// `timeline`.
    Timeline(Box<TimelineV1>),
    /// `segments`.
    Segments(Box<SegmentsV1>),
    /// `oomscope replay`.
    Replay(Box<ReplayV1>),
    /// `oomscope tune`.
    Tune(Box<TuneV1>),
}

impl View {
    fn sections(&self) -> Vec<Section> {
        match self {
            View::Summary(view) => view.sections(),
            View::Live(view) => view.sections(),
            View::Annotations(view) => view.sections(),
            View::Leaks(view) => view.sections(),
            View::Fragmentation(view) => view.sections(),
            View::Stacks(view) => view.sections(),
            View::Diff(view) => view.sections(),
            View::Lifetimes(view) => view.sections(),
            View::Timeline(view) => view.sections(),
            View::Segments(view) => view.sections(),
            View::Replay(view) => view.sections(),
            View::Tune(view) => view.sections(),
        }
    }
}

/// A view with what it is of.
#[derive(Serialize, JsonSchema)]
pub struct Entry {
    /// The file, as the user named it.
    pub(crate) file: String,
    /// The device's ordinal.
    pub(crate) device: u32,
    /// What is wrong with the file, which was used all the same (`--partial`).
    pub(crate) damage: Vec<String>,
    #[serde(flatten)]
    pub(crate) view: View,
}

impl Entry {
    /// The file, as the user named it.
    pub fn file(&self) -> &String {
        &self.file
    }

    /// The same of a file with this damage.
    #[must_use]
    pub fn with_damage(self, problems: &[ReadProblem]) -> Entry {
        let damage = problems.iter().map(|problem| format!("{}: {}", problem.at, problem.what));
        Entry { damage: damage.collect(), ..self }
    }

    /// What `view` says of a device.
    pub fn new(file: &str, device: DeviceId, view: View) -> Entry {
        Entry { file: file.to_owned(), device: device.0, damage: Vec::new(), view }
    }

    /// Whether it is of leaks, and memory grows.
    pub fn finds_growth(&self) -> bool {
        matches!(&self.view, View::Leaks(view) if view.is_growing())
    }

    /// Whether it is of a replay that does not fit, or does not agree with the recording.
    pub fn finds_misfit(&self) -> bool {
        matches!(&self.view, View::Replay(view) if view.finds_something())
    }
}

/// What `oomscope snapshot` found.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "oomscope snapshot view")]
struct DocumentV1<'a> {
    /// The version of this format, "1.0".
    schema_version: &'static str,
    /// What wrote it.
    tool: Tool,
    /// One for each device of each file.
    results: &'a [Entry],
    /// What could not be read.
    problems: Vec<ProblemV1<'a>>,
}

/// What `oomscope replay` or `oomscope tune` says of one device's run.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "oomscope replay and tune")]
struct RunDocumentV1<'a> {
    /// The version of this format, "1.0".
    schema_version: &'static str,
    /// What wrote it.
    tool: Tool,
    /// What was found; nothing where the file could not be read.
    #[serde(flatten)]
    result: Option<&'a Entry>,
    /// What could not be read.
    problems: Vec<ProblemV1<'a>>,
}

#[derive(Serialize, JsonSchema)]
struct ProblemV1<'a> {
    /// The file.
    file: &'a str,
    /// Where in it.
    at: Option<&'a str>,
    /// What is wrong.
    what: &'a str,
    /// What to do about it.
    hint: Option<&'a str>,
}

/// Forms in which every view can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people, in a terminal.
    Text,
    /// For programs; schema in `schema/snapshot.schema.json`.
    Json,
    /// The same for a verb that is about one run; schema in `schema/replay.schema.json`.
    RunJson,
    /// For spreadsheets: the main table, bytes as whole numbers.
    Csv,
    /// For an issue or a chat.
    Markdown,
}

impl Form {
    /// The same for a verb that is about one run.
    #[must_use]
    pub fn of_one_run(self) -> Form {
        if self == Form::Json { Form::RunJson } else { self }
    }
}

/// Writes the views.
pub fn render(
    entries: &[Entry],
    problems: &[Problem],
    form: Form,
    style: &TextStyle,
    out: &mut dyn Write,
) -> io::Result<()> {
    match form {
        Form::Text => text::write(entries, *style, out),
        Form::Markdown => markdown::write(entries, out),
        Form::Csv => csv::write(entries, out),
        Form::Json | Form::RunJson => {
            let problems = problems.iter().map(|problem| ProblemV1 {
                file: &problem.input,
                at: problem.at.as_deref(),
                what: &problem.what,
                hint: problem.hint.as_deref(),
            });
            let (schema_version, tool) = (SCHEMA_VERSION, Tool::this());
            let problems = problems.collect();
            if form == Form::RunJson {
                let result = entries.first();
                return write_json(&RunDocumentV1 { schema_version, tool, result, problems }, out);
            }
            write_json(&DocumentV1 { schema_version, tool, results: entries, problems }, out)
        }
    }
}

/// The JSON Schema (draft 2020-12) of the JSON that [`render`] writes.
pub fn json_schema() -> String {
    schema_of::<DocumentV1<'static>>()
}

/// The same for the JSON of `oomscope replay` and `oomscope tune`.
pub fn run_json_schema() -> String {
    schema_of::<RunDocumentV1<'static>>()
}
