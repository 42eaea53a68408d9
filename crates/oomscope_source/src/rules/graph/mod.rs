//! Rules on autograd graphs that outlive their step.

use crate::rules::Rule;

mod detach_without_effect;
mod graph_appended;
mod graph_cached;
mod graph_in_closure;
mod graph_in_meter;
mod graph_stored_on_object;
mod hidden_state_carried;
mod loss_accumulation;
mod metric_state_attached;
mod metrics_dict_attached;

pub(super) static RULES: &[Rule] = &[
    loss_accumulation::RULE,
    graph_appended::RULE,
    graph_stored_on_object::RULE,
    graph_in_meter::RULE,
    metric_state_attached::RULE,
    metrics_dict_attached::RULE,
    graph_cached::RULE,
    graph_in_closure::RULE,
    hidden_state_carried::RULE,
    detach_without_effect::RULE,
];
