//! Rules on the allocator and its cache.

use crate::rules::Rule;

mod each_step;
mod empty_cache_per_step;
mod gc_collect_per_step;

pub(super) static RULES: &[Rule] = &[empty_cache_per_step::RULE, gc_collect_per_step::RULE];
