//! The catalogue: every cause is a value with its page, its assessment and its remedy.
//!
//! An assessment adds points for and against from the evidence; the sum, 0 to 97, is the
//! confidence in percent. 50 and more is a claim.

mod activations_too_large;
mod case;
mod checkpoint_load;
mod driver_refusal;
mod eval_records_graph;
mod fragmentation;
mod gradients_not_cleared;
mod graph_retained;
mod host_memory;
mod kv_cache;
mod memory_cap;
mod model_too_large;
mod non_torch_memory;
mod not_out_of_memory;
mod optimizer_state;
mod other_process;
mod outputs_accumulated;
mod oversized_allocation;
mod private_pools;
mod ranks_on_one_device;
mod references_held;
mod retained_backward;
mod serving_budget;
mod stream_held;
mod unknown;

use oomscope_model::{Assessment, Cause, Confidence};

use crate::context::Context;
use case::Case;

/// One cause of the catalogue.
pub(crate) struct CauseRule {
    /// Which.
    pub(crate) cause: Cause,
    /// Its page: what it is, how it shows, what frees it. Shown by `oomscope explain`.
    pub(crate) page: &'static str,
    /// Adds what speaks for and against it.
    pub(crate) assess: fn(&Context<'_>, &mut Case),
    /// What to do about it in this case.
    pub(crate) remedy: fn(&Context<'_>) -> Remedy,
}

/// What to do about a cause, in words, with the names and bytes of this case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remedy {
    /// The change, in the imperative.
    pub(crate) fix: String,
    /// What to run and see.
    pub(crate) verification: String,
    /// How to keep it from coming back.
    pub(crate) prevention: String,
}

/// The catalogue, in the order of [`Cause::ALL`].
pub(crate) const RULES: &[CauseRule] = &[
    gradients_not_cleared::RULE,
    graph_retained::RULE,
    activations_too_large::RULE,
    eval_records_graph::RULE,
    references_held::RULE,
    outputs_accumulated::RULE,
    oversized_allocation::RULE,
    model_too_large::RULE,
    optimizer_state::RULE,
    fragmentation::RULE,
    other_process::RULE,
    ranks_on_one_device::RULE,
    checkpoint_load::RULE,
    retained_backward::RULE,
    stream_held::RULE,
    private_pools::RULE,
    non_torch_memory::RULE,
    kv_cache::RULE,
    serving_budget::RULE,
    memory_cap::RULE,
    host_memory::RULE,
    driver_refusal::RULE,
    not_out_of_memory::RULE,
    unknown::RULE,
];

/// The rule of a cause.
pub(crate) fn rule(cause: Cause) -> &'static CauseRule {
    RULES.iter().find(|rule| rule.cause == cause).unwrap_or(&unknown::RULE)
}

/// The page of a cause, in Markdown.
pub fn page(cause: Cause) -> &'static str {
    rule(cause).page
}

/// Every cause, assessed, best first. Without a claim, `unknown` leads when something failed.
pub(crate) fn assess_all(context: &Context<'_>) -> Vec<Assessment> {
    let mut scored: Vec<(i32, Assessment)> = RULES
        .iter()
        .filter(|rule| rule.cause != Cause::Unknown)
        .map(|rule| {
            let mut case = Case::open(rule.cause, context);
            (rule.assess)(context, &mut case);
            case.close()
        })
        .collect();
    scored.sort_by_key(|(points, _)| std::cmp::Reverse((*points).max(0)));
    let mut assessments: Vec<Assessment> =
        scored.into_iter().map(|(_, assessment)| assessment).collect();
    let best = assessments.first().map_or(Confidence::NONE, |assessment| assessment.confidence);
    let undecided = unknown::assessment(context, best);
    let at = if context.failed() && !best.is_claim() { 0 } else { assessments.len() };
    assessments.insert(at, undecided);
    assessments
}

#[cfg(test)]
mod tests {
    use super::RULES;
    use oomscope_model::Cause;

    #[test]
    fn the_table_holds_every_cause_in_order_with_its_page() {
        assert_eq!(RULES.iter().map(|rule| rule.cause).collect::<Vec<_>>(), Cause::ALL);
        for rule in RULES {
            assert!(rule.page.starts_with(&format!("# {}\n", rule.cause)), "{}", rule.cause);
            assert!(rule.page.contains("\n## Fix\n"), "{}", rule.cause);
        }
    }
}
