//! Rules on precision and optimizers.

use crate::rules::Rule;

pub(super) static RULES: &[Rule] = &[];
