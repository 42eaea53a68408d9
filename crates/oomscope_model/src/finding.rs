//! A defect in source, with the path that shows it, and the edit that removes it.

use crate::{Cause, Place};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Advice.
    Note,
    /// Bounded or slow growth.
    Warning,
    /// Holds activations or tensors that grow.
    Error,
}

/// What the defect keeps alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Held {
    /// A whole graph with its saved activations.
    Activations,
    /// Graph nodes only: backward has freed the activations.
    Nodes,
    /// Device tensors without a graph.
    Tensors,
    /// Gradients or copies of parameters.
    Parameters,
    /// Nothing: advice.
    Nothing,
}

/// One step of the path that shows the defect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathStep {
    /// The line.
    pub place: Place,
    /// What happens there, as in "`loss` carries a graph".
    pub what: String,
}

/// How safe an edit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FixSafety {
    /// Keeps the program's meaning.
    Safe,
    /// May change what a later reader of the value sees.
    Unsafe,
    /// A suggestion to look at.
    Suggest,
}

/// A replacement of bytes `start..end` of the file's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// First byte replaced.
    pub start: usize,
    /// One past the last byte replaced.
    pub end: usize,
    /// The new text.
    pub text: String,
}

/// Edits of one file that remove a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// How safe they are together.
    pub safety: FixSafety,
    /// What they do, in the imperative.
    pub title: String,
    /// The edits, in order, not overlapping.
    pub edits: Vec<Edit>,
}

/// A defect in source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's id, `OOM101`.
    pub rule: &'static str,
    /// The rule's name, reads after "allow".
    pub name: &'static str,
    /// The cause that it joins.
    pub cause: Cause,
    /// How much it matters.
    pub severity: Severity,
    /// What it keeps alive.
    pub held: Held,
    /// The line to change.
    pub place: Place,
    /// 1-based column, in characters.
    pub column: u32,
    /// Where it ends: 1-based line and column, in characters; the column is one past the last.
    pub end: (u32, u32),
    /// What is wrong, one sentence, with the names of this code.
    pub message: String,
    /// From where the value comes to where it is kept.
    pub path: Vec<PathStep>,
    /// The function around it: live bytes made anywhere below a call on these lines belong to it.
    pub function_lines: (u32, u32),
    /// The edit, where one can be written.
    pub fix: Option<Fix>,
}

/// Whether autograd records at a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GradMode {
    /// No switch on any path that the analysis sees.
    Recording,
    /// `no_grad` or `inference_mode` is on.
    Off,
    /// Callers decide.
    Unknown,
}

/// What is known of one function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionFact {
    /// Its qualified name, `Trainer.evaluate`.
    pub name: String,
    /// First and last line, 1-based, decorators included.
    pub lines: (u32, u32),
    /// Grad mode in its body, own decorators and callers in this file considered.
    pub grad_mode: GradMode,
    /// Whether it runs backward itself.
    pub runs_backward: bool,
    /// Whether its name or an `eval()` call says that it evaluates.
    pub evaluates: bool,
}

/// A file of the user's, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The path as given, or the path inside the given directory.
    pub path: String,
    /// Its text; for a notebook the code cells, joined.
    pub text: String,
    /// Its functions, outermost first.
    pub functions: Vec<FunctionFact>,
    /// First and last lines of the blocks in which autograd is switched off.
    pub grad_off: Vec<(u32, u32)>,
    /// What the rules found.
    pub findings: Vec<Finding>,
}
