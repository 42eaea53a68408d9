//! Rules on evaluation and grad mode.

use crate::rules::Rule;

mod eval_mode_missing;
mod eval_without_no_grad;
mod frozen_net_with_grad;
mod missing_train_after_eval;
mod returns_full_outputs;
mod rollout_with_grad;
mod volatile_no_effect;

pub(super) static RULES: &[Rule] = &[
    eval_without_no_grad::RULE,
    eval_mode_missing::RULE,
    volatile_no_effect::RULE,
    frozen_net_with_grad::RULE,
    rollout_with_grad::RULE,
    missing_train_after_eval::RULE,
    returns_full_outputs::RULE,
];
