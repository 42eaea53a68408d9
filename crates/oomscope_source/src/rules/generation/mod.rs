//! Rules on generation and serving.

use crate::rules::Rule;

pub(super) static RULES: &[Rule] = &[];
