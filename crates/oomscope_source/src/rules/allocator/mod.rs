//! Rules on the allocator and its cache.

use crate::rules::Rule;

pub(super) static RULES: &[Rule] = &[];
