//! Rules on intermediates that are larger than they need to be.

use crate::rules::Rule;

mod full_logits_upcast;

pub(super) static RULES: &[Rule] = &[full_logits_upcast::RULE];
