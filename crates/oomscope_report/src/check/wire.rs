//! The types that the JSON of `check` is made of.

use schemars::JsonSchema;
use serde::Serialize;

use crate::wire::{ProblemV1, Tool};

/// Changes when a field goes away or changes its meaning.
pub(super) const SCHEMA_VERSION: u32 = 1;

/// What `oomscope check` found.
///
/// Lines and columns are 1-based; columns count characters (Unicode code points). An end column is
/// one past the last character. In a notebook lines count from the start of their cell.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "oomscope check")]
pub(super) struct CheckV1 {
    /// Version of this shape.
    pub(super) schema_version: u32,
    /// What wrote it.
    pub(super) tool: Tool,
    /// The findings, by file and line.
    pub(super) findings: Vec<FindingV1>,
    /// What could not be read or parsed.
    pub(super) problems: Vec<ProblemV1>,
    /// Counts.
    pub(super) summary: SummaryV1,
    /// Counts by rule, most first; only with `--statistics`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) statistics: Option<Vec<StatisticV1>>,
}

/// A defect.
#[derive(Serialize, JsonSchema)]
pub(super) struct FindingV1 {
    /// The rule's id, `OOM101`.
    pub(super) id: String,
    /// The rule's name, as `allow[...]` takes it.
    pub(super) name: String,
    /// The rule's group.
    pub(super) group: String,
    /// How much it matters.
    pub(super) severity: SeverityV1,
    /// What it keeps alive.
    pub(super) held: HeldV1,
    /// The file, as it was named or found.
    pub(super) file: String,
    /// Of a notebook: the cell, 1-based among all cells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cell: Option<u32>,
    /// First line.
    pub(super) line: u32,
    /// First column.
    pub(super) column: u32,
    /// Last line.
    pub(super) end_line: u32,
    /// One past the last column.
    pub(super) end_column: u32,
    /// The cause of out-of-memory failures that it joins; null for a rule on comments.
    pub(super) cause: Option<String>,
    /// What is wrong, one sentence.
    pub(super) message: String,
    /// The function around it.
    pub(super) function: Option<String>,
    /// From where the value comes to where it is kept.
    pub(super) path: Vec<StepV1>,
    /// The edit that removes it, where one can be written.
    pub(super) fix: Option<FixV1>,
}

/// One step of a path.
#[derive(Serialize, JsonSchema)]
pub(super) struct StepV1 {
    /// The file.
    pub(super) file: String,
    /// Of a notebook: the cell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cell: Option<u32>,
    /// The line.
    pub(super) line: u32,
    /// What happens there.
    pub(super) message: String,
}

/// Edits that remove a finding.
#[derive(Serialize, JsonSchema)]
pub(super) struct FixV1 {
    /// How safe they are together.
    pub(super) safety: SafetyV1,
    /// What they do.
    pub(super) title: String,
    /// The edits, in order, not overlapping.
    pub(super) edits: Vec<EditV1>,
}

/// A replacement of a range of the finding's file.
#[derive(Serialize, JsonSchema)]
pub(super) struct EditV1 {
    /// Of a notebook: the cell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cell: Option<u32>,
    /// First line.
    pub(super) start_line: u32,
    /// First column.
    pub(super) start_column: u32,
    /// Last line.
    pub(super) end_line: u32,
    /// One past the last column.
    pub(super) end_column: u32,
    /// The new text.
    pub(super) text: String,
}

/// How much a finding matters.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum SeverityV1 {
    /// Advice.
    Note,
    /// Bounded or slow growth.
    Warning,
    /// Holds activations or tensors that grow.
    Error,
}

/// What a defect keeps alive.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum HeldV1 {
    /// A whole graph with its saved activations.
    Activations,
    /// Graph nodes only.
    Nodes,
    /// Device tensors without a graph.
    Tensors,
    /// Gradients or copies of parameters.
    Parameters,
    /// Nothing: advice.
    Nothing,
}

/// How safe an edit is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum SafetyV1 {
    /// Keeps the program's meaning: `--fix` applies it.
    Safe,
    /// May change what a later reader of the value sees: `--unsafe-fixes` applies it.
    Unsafe,
    /// To look at; nothing applies it.
    Suggest,
}

/// Counts.
#[derive(Serialize, JsonSchema)]
pub(super) struct SummaryV1 {
    /// Files that were checked.
    pub(super) files_checked: usize,
    /// Files with findings.
    pub(super) files_with_findings: usize,
    /// Findings that are errors.
    pub(super) errors: usize,
    /// Findings that are warnings.
    pub(super) warnings: usize,
    /// Findings that are notes.
    pub(super) notes: usize,
    /// Findings that `--fix` removes.
    pub(super) fixable: usize,
    /// Findings that `--unsafe-fixes` removes as well.
    pub(super) unsafe_fixable: usize,
    /// Findings that were fixed in this run.
    pub(super) fixed: usize,
}

/// Counts of one rule.
#[derive(Serialize, JsonSchema)]
pub(super) struct StatisticV1 {
    /// The rule's id.
    pub(super) id: String,
    /// The rule's name.
    pub(super) name: String,
    /// Its findings.
    pub(super) count: usize,
    /// Those that `--fix` removes.
    pub(super) fixable: usize,
    /// Those that `--unsafe-fixes` removes as well.
    pub(super) unsafe_fixable: usize,
}
