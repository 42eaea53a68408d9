//! Rules on evaluation and grad mode.

use crate::rules::Rule;

mod eval_mode_missing;
mod eval_without_no_grad;

pub(super) static RULES: &[Rule] = &[eval_without_no_grad::RULE, eval_mode_missing::RULE];
