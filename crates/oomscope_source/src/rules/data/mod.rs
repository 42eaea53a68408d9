//! Rules on data loading and pinned memory.

use crate::rules::Rule;

pub(super) static RULES: &[Rule] = &[];
