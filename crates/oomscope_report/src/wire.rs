//! What the JSON is made of, version 1. Fields are added, never renamed or removed, within a major
//! version; unknown is `null`, never 0. The doc comments become the schema's descriptions.

use schemars::JsonSchema;
use serde::Serialize;

/// The version of this format: minor when fields are added, major when one changes.
pub(crate) const SCHEMA_VERSION: &str = "1.0";

/// A diagnosis of a PyTorch program that ran out of memory.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "oomscope diagnosis")]
pub(crate) struct DiagnosisV1 {
    /// The version of this format, "1.0".
    pub(crate) schema_version: String,
    /// What wrote this.
    pub(crate) tool: Tool,
    /// What the whole comes to.
    pub(crate) verdict: VerdictV1,
    /// Whether any evidence shows a failure; without one a claim is a defect found in source.
    pub(crate) failure_seen: bool,
    /// The verdict in one sentence.
    pub(crate) headline: String,
    /// What was read, in words.
    pub(crate) inputs: Vec<String>,
    /// The six steps, in order.
    pub(crate) steps: Steps,
    /// Causes that something speaks for, best first.
    pub(crate) causes: Vec<CauseV1>,
    /// The figures of the error text, completed from the snapshot; null without an error.
    pub(crate) memory_error: Option<MemoryErrorV1>,
    /// Changes that remove the cause, best first.
    pub(crate) fixes: Vec<FixV1>,
    /// What else saves memory here, most bytes first.
    pub(crate) options: Vec<OptionV1>,
    /// How to see that it is fixed.
    pub(crate) verify: Vec<VerifyV1>,
    /// The four parts of the report, as prose.
    pub(crate) report: ReportV1,
    /// What to capture next and whom to ask, in order.
    pub(crate) escalation: Vec<String>,
    /// Findings in the source that hold no live bytes: not the cause.
    pub(crate) cold_findings: Vec<FactV1>,
    /// Source around the places that matter.
    pub(crate) excerpts: Vec<ExcerptV1>,
    /// What could not be read.
    pub(crate) problems: Vec<ProblemV1>,
}

/// What wrote the diagnosis.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Tool {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
}

/// What the whole comes to.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum VerdictV1 {
    /// A cause is claimed: the first of `causes`.
    Claimed,
    /// Something failed, the evidence does not decide.
    Undecided,
    /// No failure and no defect found.
    Healthy,
}

/// Exactly six steps, in order.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Steps(
    pub(crate) Step<StateV1>,
    pub(crate) Step<CulpritV1>,
    pub(crate) Step<CausesV1>,
    pub(crate) Step<FixesV1>,
    pub(crate) Step<OptionsV1>,
    pub(crate) Step<VerifiesV1>,
);

/// A step and its content.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Step<T> {
    /// 1 to 6.
    #[serde(rename = "step")]
    #[schemars(range(min = 1, max = 6))]
    pub(crate) number: u8,
    /// The step's name.
    pub(crate) name: String,
    /// What it found.
    #[serde(flatten)]
    pub(crate) content: T,
}

impl Tool {
    /// This one.
    pub(crate) fn this() -> Tool {
        Tool { name: "oomscope".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

/// Step 1: the memory state.
#[derive(Serialize, JsonSchema)]
pub(crate) struct StateV1 {
    /// The moment that is described, in words.
    pub(crate) moment: String,
    /// The figures that are known.
    pub(crate) figures: Vec<FigureV1>,
    /// What else belongs to the state.
    pub(crate) notes: Vec<String>,
}

/// A figure with its source.
#[derive(Serialize, JsonSchema)]
pub(crate) struct FigureV1 {
    /// What it is, as in "requested".
    pub(crate) name: String,
    /// The bytes.
    pub(crate) bytes: u64,
    /// Where it came from.
    pub(crate) from: String,
}

/// Step 2: who asked last, who holds most.
#[derive(Serialize, JsonSchema)]
pub(crate) struct CulpritV1 {
    /// The line that asked for the last bytes.
    pub(crate) asked: Option<PlaceV1>,
    /// The library call below it.
    pub(crate) library_call: Option<String>,
    /// What the program was doing.
    pub(crate) phase: Option<String>,
    /// All live bytes.
    pub(crate) live_bytes: Option<u64>,
    /// Live bytes by line, most first.
    pub(crate) holders: Vec<HolderV1>,
    /// Live bytes by kind, most first.
    pub(crate) roles: Vec<RoleV1>,
    /// What limits this step.
    pub(crate) notes: Vec<String>,
}

/// Live blocks of one line.
#[derive(Serialize, JsonSchema)]
pub(crate) struct HolderV1 {
    /// The line; null when no user frame was recorded.
    pub(crate) place: Option<PlaceV1>,
    /// The library call right below it.
    pub(crate) library_call: Option<String>,
    /// What the blocks are.
    pub(crate) role: String,
    /// When they were made.
    pub(crate) phase: String,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Their number.
    pub(crate) blocks: u64,
    /// Event of the oldest block; null when older than the trace.
    pub(crate) oldest_event: Option<u32>,
    /// Event of the youngest block; null when older than the trace.
    pub(crate) youngest_event: Option<u32>,
    /// The user's lines above it, innermost first.
    pub(crate) callers: Vec<PlaceV1>,
}

/// Live bytes of one kind.
#[derive(Serialize, JsonSchema)]
pub(crate) struct RoleV1 {
    /// The kind.
    pub(crate) role: String,
    /// The bytes.
    pub(crate) bytes: u64,
}

/// Step 3: the whole catalogue, judged.
#[derive(Serialize, JsonSchema)]
pub(crate) struct CausesV1 {
    /// Every cause of the catalogue, best first.
    pub(crate) assessed: Vec<CauseV1>,
}

/// Step 4: the changes.
#[derive(Serialize, JsonSchema)]
pub(crate) struct FixesV1 {
    /// The same as the diagnosis' `fixes`.
    pub(crate) fixes: Vec<FixV1>,
}

/// Step 5: what else saves memory.
#[derive(Serialize, JsonSchema)]
pub(crate) struct OptionsV1 {
    /// The same as the diagnosis' `options`.
    pub(crate) options: Vec<OptionV1>,
}

/// Step 6: how to see that it is fixed.
#[derive(Serialize, JsonSchema)]
pub(crate) struct VerifiesV1 {
    /// The same as the diagnosis' `verify`.
    pub(crate) verify: Vec<VerifyV1>,
}

/// One cause, judged.
#[derive(Clone, Serialize, JsonSchema)]
pub(crate) struct CauseV1 {
    /// Its stable name.
    pub(crate) name: String,
    /// How sure: a claim from 0.5 on.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) confidence: f64,
    /// The bytes that it explains.
    pub(crate) bytes: Option<u64>,
    /// What speaks for and against it.
    pub(crate) evidence: Vec<EvidenceV1>,
    /// The lines, most telling first.
    pub(crate) places: Vec<PlaceV1>,
    /// What would settle it.
    pub(crate) settle: Option<String>,
}

/// One piece of evidence.
#[derive(Clone, Serialize, JsonSchema)]
pub(crate) struct EvidenceV1 {
    /// For or against the cause.
    pub(crate) direction: DirectionV1,
    /// The statement.
    #[serde(flatten)]
    pub(crate) fact: FactV1,
}

/// Which way evidence points.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DirectionV1 {
    /// For the cause.
    For,
    /// Against it.
    Against,
}

/// A statement with its bytes and its line.
#[derive(Clone, Serialize, JsonSchema)]
pub(crate) struct FactV1 {
    /// The statement.
    pub(crate) text: String,
    /// The bytes that it is about.
    pub(crate) bytes: Option<u64>,
    /// The file that it is about.
    pub(crate) file: Option<String>,
    /// The line, 1-based.
    pub(crate) line: Option<u32>,
}

/// A line of source.
#[derive(Clone, Serialize, JsonSchema)]
pub(crate) struct PlaceV1 {
    /// The path as the evidence spells it.
    pub(crate) file: String,
    /// The line, 1-based.
    pub(crate) line: u32,
    /// The function around it.
    pub(crate) function: Option<String>,
}

/// The figures of an error text; null where unknown.
#[derive(Serialize, JsonSchema)]
pub(crate) struct MemoryErrorV1 {
    /// Which library printed it.
    pub(crate) framework: Option<String>,
    /// False when the text blames memory but states another cause.
    pub(crate) is_memory_error: bool,
    /// Size of the request that failed.
    pub(crate) requested_bytes: Option<u64>,
    /// Ordinal of the device.
    pub(crate) device_index: Option<u32>,
    /// The device's total capacity.
    pub(crate) capacity_bytes: Option<u64>,
    /// Free on the device.
    pub(crate) free_bytes: Option<u64>,
    /// Used by this process, memory outside PyTorch included.
    pub(crate) this_process_bytes: Option<u64>,
    /// Allocated for live tensors.
    pub(crate) allocated_bytes: Option<u64>,
    /// Reserved, not allocated.
    pub(crate) reserved_unallocated_bytes: Option<u64>,
    /// Reserved from the device.
    pub(crate) reserved_bytes: Option<u64>,
    /// Allocated in private pools.
    pub(crate) private_pool_bytes: Option<u64>,
    /// An upper limit smaller than the device.
    pub(crate) cap_bytes: Option<u64>,
    /// Other processes on the device; null when none is listed.
    pub(crate) other_processes: Option<Vec<ProcessV1>>,
}

/// Another process on the device.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ProcessV1 {
    /// Its id.
    pub(crate) pid: u64,
    /// What it holds.
    pub(crate) bytes: Option<u64>,
}

/// A change that removes a cause.
#[derive(Clone, Serialize, JsonSchema)]
pub(crate) struct FixV1 {
    /// The cause that it removes.
    pub(crate) cause: String,
    /// What it does, in the imperative.
    pub(crate) title: String,
    /// A unified diff; null when only words can be given.
    pub(crate) diff: Option<String>,
    /// The change in words.
    pub(crate) words: String,
}

/// Something that saves memory.
#[derive(Clone, Serialize, JsonSchema)]
pub(crate) struct OptionV1 {
    /// What to do.
    pub(crate) title: String,
    /// What it saves here; null where it cannot be computed.
    pub(crate) saves_bytes: Option<u64>,
    /// How the figure comes about.
    pub(crate) why: String,
    /// What it costs.
    pub(crate) cost: String,
}

/// A check of the fix.
#[derive(Clone, Serialize, JsonSchema)]
pub(crate) struct VerifyV1 {
    /// What to run.
    pub(crate) run: String,
    /// What to see.
    pub(crate) expect: String,
}

/// The four parts.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ReportV1 {
    /// Why it failed.
    pub(crate) root_cause: String,
    /// What to change.
    pub(crate) fix: String,
    /// How to see that it is fixed.
    pub(crate) verification: String,
    /// How to keep it from coming back.
    pub(crate) prevention: String,
}

/// Source around a line.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ExcerptV1 {
    /// The line that matters.
    pub(crate) place: PlaceV1,
    /// The lines around it.
    pub(crate) lines: Vec<SourceLineV1>,
}

/// A line of source.
#[derive(Serialize, JsonSchema)]
pub(crate) struct SourceLineV1 {
    /// Its number, 1-based.
    pub(crate) number: u32,
    /// Its text.
    pub(crate) text: String,
}

/// What could not be read.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ProblemV1 {
    /// The input.
    pub(crate) input: String,
    /// Where in it.
    pub(crate) at: Option<String>,
    /// What is wrong.
    pub(crate) what: String,
    /// What can be done about it.
    pub(crate) hint: Option<String>,
}
