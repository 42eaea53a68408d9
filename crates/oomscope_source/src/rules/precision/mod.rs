//! Rules on precision and optimizers.

use crate::rules::Rule;

mod backward_under_autocast;
mod converted_after_move;
mod double_precision;
mod foreach_optimizer;
mod lbfgs_history;

pub(super) static RULES: &[Rule] = &[
    backward_under_autocast::RULE,
    double_precision::RULE,
    converted_after_move::RULE,
    foreach_optimizer::RULE,
    lbfgs_history::RULE,
];
