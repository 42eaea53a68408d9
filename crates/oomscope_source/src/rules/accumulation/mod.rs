//! Rules on device tensors gathered over a loop.

use crate::rules::Rule;

mod cat_in_loop;
mod outputs_accumulated;

pub(super) static RULES: &[Rule] = &[outputs_accumulated::RULE, cat_in_loop::RULE];
