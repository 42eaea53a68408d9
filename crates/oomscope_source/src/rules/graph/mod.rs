//! Rules on autograd graphs that outlive their step.

use crate::rules::Rule;

mod graph_appended;
mod graph_in_meter;
mod graph_stored_on_object;
mod loss_accumulation;

pub(super) static RULES: &[Rule] = &[
    loss_accumulation::RULE,
    graph_appended::RULE,
    graph_stored_on_object::RULE,
    graph_in_meter::RULE,
];
