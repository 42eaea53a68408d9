//! Rules on evaluation and grad mode.

use crate::rules::Rule;

mod eval_mode_missing;
mod eval_without_no_grad;
mod missing_train_after_eval;
mod volatile_no_effect;

pub(super) static RULES: &[Rule] = &[
    eval_without_no_grad::RULE,
    eval_mode_missing::RULE,
    volatile_no_effect::RULE,
    missing_train_after_eval::RULE,
];
