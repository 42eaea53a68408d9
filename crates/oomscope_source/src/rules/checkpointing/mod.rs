//! Rules on activation checkpointing.

use crate::rules::Rule;

pub(super) static RULES: &[Rule] = &[];
