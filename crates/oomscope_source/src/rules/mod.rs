//! The table of rules. A rule is a file with its check, and a page with its text and test cases.

use oomscope_model::{Cause, Finding, Severity};

use crate::index::FileId;
use crate::project::Project;

mod cat_in_loop;
mod create_graph;
mod default_device_per_rank;
mod eval_mode_missing;
mod eval_without_no_grad;
mod full_logits_upcast;
mod graph_appended;
mod graph_in_meter;
mod graph_stored_on_object;
mod hook_keeps_outputs;
mod load_onto_device;
mod loss_accumulation;
mod missing_zero_grad;
mod outputs_accumulated;
mod retain_graph;
mod tensor_cache;
mod tensors_in_exception;
#[cfg(test)]
mod tests;

/// A rule: what it finds, why that matters, and how it finds it.
pub struct Rule {
    /// `OOM101`.
    pub id: &'static str,
    /// Reads after "allow": `loss-accumulation`.
    pub name: &'static str,
    /// The cause that its findings join.
    pub cause: Cause,
    /// The worst severity of its findings.
    pub severity: Severity,
    /// Its page in Markdown: explain text, documentation and test cases.
    pub doc: &'static str,
    pub(crate) check: fn(&Project<'_>, &mut Vec<(FileId, Finding)>),
}

static RULES: [Rule; 17] = [
    loss_accumulation::RULE,
    graph_appended::RULE,
    graph_stored_on_object::RULE,
    graph_in_meter::RULE,
    missing_zero_grad::RULE,
    retain_graph::RULE,
    create_graph::RULE,
    eval_without_no_grad::RULE,
    eval_mode_missing::RULE,
    outputs_accumulated::RULE,
    cat_in_loop::RULE,
    load_onto_device::RULE,
    tensors_in_exception::RULE,
    hook_keeps_outputs::RULE,
    default_device_per_rank::RULE,
    tensor_cache::RULE,
    full_logits_upcast::RULE,
];

/// All rules, by id.
pub fn rules() -> &'static [Rule] {
    &RULES
}

/// The rule of a name or id.
pub fn rule(name_or_id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.name == name_or_id || rule.id.eq_ignore_ascii_case(name_or_id))
}
