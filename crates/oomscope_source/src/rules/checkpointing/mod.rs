//! Rules on activation checkpointing.

use crate::rules::Rule;

mod checkpoint_in_one_segment;
mod checkpoint_reentrancy_unset;
mod checkpoint_without_grad;

pub(super) static RULES: &[Rule] = &[
    checkpoint_reentrancy_unset::RULE,
    checkpoint_without_grad::RULE,
    checkpoint_in_one_segment::RULE,
];
