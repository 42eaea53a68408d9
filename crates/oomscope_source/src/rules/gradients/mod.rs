//! Rules on gradients: cleared when, retained why.

use crate::rules::Rule;

mod create_graph;
mod missing_zero_grad;
mod retain_graph;

pub(super) static RULES: &[Rule] =
    &[missing_zero_grad::RULE, retain_graph::RULE, create_graph::RULE];
