//! Rules on gradients: cleared when, retained why.

use crate::rules::Rule;

mod accumulation_not_divided;
mod create_graph;
mod frozen_backbone_with_grad;
mod gradients_cleared_before_step;
mod losses_summed_before_backward;
mod missing_zero_grad;
mod requires_grad_typo;
mod retain_graph;
mod zeroed_gradients_kept;

pub(super) static RULES: &[Rule] = &[
    missing_zero_grad::RULE,
    retain_graph::RULE,
    create_graph::RULE,
    gradients_cleared_before_step::RULE,
    losses_summed_before_backward::RULE,
    accumulation_not_divided::RULE,
    zeroed_gradients_kept::RULE,
    requires_grad_typo::RULE,
    frozen_backbone_with_grad::RULE,
];
