//! The table of rules. A rule is a file with its check, and a page with its text and test cases;
//! a group is a folder with its part of the table.

use std::fmt;

use oomscope_model::{Cause, Finding, Severity};

use crate::index::FileId;
use crate::project::Project;

mod accumulation;
mod allocator;
mod checkpointing;
mod compile;
mod data;
mod distributed;
mod evaluation;
mod generation;
mod gradients;
mod graph;
mod intermediates;
mod loading;
mod precision;
mod references;
#[cfg(test)]
mod tests;
pub(crate) mod tool;

/// A rule: what it finds, why that matters, and how it finds it.
pub struct Rule {
    /// `OOM101`.
    pub id: &'static str,
    /// Reads after "allow": `loss-accumulation`.
    pub name: &'static str,
    /// What it belongs to.
    pub group: Group,
    /// The cause that its findings join.
    pub cause: Cause,
    /// The worst severity of its findings.
    pub severity: Severity,
    /// Its page in Markdown: explain text, documentation and test cases.
    pub doc: &'static str,
    pub(crate) check: fn(&Project<'_>, &mut Vec<(FileId, Finding)>),
}

/// A family of rules, by what they are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// What the tool says of its own comments (`OOM00x`).
    Tool,
    /// Autograd graphs that outlive their step (`OOM1xx`).
    GraphRetention,
    /// Gradients: cleared when, retained why (`OOM2xx`).
    Gradients,
    /// Evaluation and grad mode (`OOM3xx`).
    Evaluation,
    /// Device tensors gathered over a loop (`OOM4xx`).
    Accumulation,
    /// References, caches, hooks, exceptions and cycles (`OOM5xx`).
    References,
    /// Checkpoints, copies and devices (`OOM60x`).
    Loading,
    /// Data loading and pinned memory (`OOM62x`).
    Data,
    /// Intermediates that are larger than they need to be (`OOM7xx`).
    Intermediates,
    /// Precision and optimizers (`OOM80x`).
    Precision,
    /// Activation checkpointing (`OOM82x`).
    Checkpointing,
    /// `torch.compile` and CUDA graphs (`OOM84x`).
    Compile,
    /// Generation and serving (`OOM86x`).
    Generation,
    /// The allocator and its cache (`OOM90x`).
    Allocator,
    /// Ranks, replicas and buckets (`OOM92x`).
    Distributed,
}

impl Group {
    /// All groups, in the order of their ids.
    pub const ALL: [Group; 15] = [
        Group::Tool,
        Group::GraphRetention,
        Group::Gradients,
        Group::Evaluation,
        Group::Accumulation,
        Group::References,
        Group::Loading,
        Group::Data,
        Group::Intermediates,
        Group::Precision,
        Group::Checkpointing,
        Group::Compile,
        Group::Generation,
        Group::Allocator,
        Group::Distributed,
    ];

    /// Its name on the command line: `graph-retention`.
    pub fn name(self) -> &'static str {
        match self {
            Group::Tool => "tool",
            Group::GraphRetention => "graph-retention",
            Group::Gradients => "gradients",
            Group::Evaluation => "evaluation",
            Group::Accumulation => "accumulation",
            Group::References => "references",
            Group::Loading => "loading",
            Group::Data => "data",
            Group::Intermediates => "intermediates",
            Group::Precision => "precision",
            Group::Checkpointing => "checkpointing",
            Group::Compile => "compile",
            Group::Generation => "generation",
            Group::Allocator => "allocator",
            Group::Distributed => "distributed",
        }
    }

    /// Its rules, by id.
    pub fn rules(self) -> &'static [Rule] {
        match self {
            Group::Tool => tool::RULES,
            Group::GraphRetention => graph::RULES,
            Group::Gradients => gradients::RULES,
            Group::Evaluation => evaluation::RULES,
            Group::Accumulation => accumulation::RULES,
            Group::References => references::RULES,
            Group::Loading => loading::RULES,
            Group::Data => data::RULES,
            Group::Intermediates => intermediates::RULES,
            Group::Precision => precision::RULES,
            Group::Checkpointing => checkpointing::RULES,
            Group::Compile => compile::RULES,
            Group::Generation => generation::RULES,
            Group::Allocator => allocator::RULES,
            Group::Distributed => distributed::RULES,
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// All rules, by id.
pub fn rules() -> impl Iterator<Item = &'static Rule> + Clone {
    Group::ALL.into_iter().flat_map(Group::rules)
}

/// The rule of a name or id.
pub fn rule(name_or_id: &str) -> Option<&'static Rule> {
    rules().find(|rule| rule.name == name_or_id || rule.id.eq_ignore_ascii_case(name_or_id))
}
