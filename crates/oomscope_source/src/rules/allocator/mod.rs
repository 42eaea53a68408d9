//! Rules on the allocator and its cache.

use crate::rules::Rule;

mod alloc_conf;
mod each_step;
mod empty_cache_per_step;
mod gc_collect_per_step;
mod stale_alloc_conf;
mod unknown_alloc_conf;

pub(super) static RULES: &[Rule] = &[
    empty_cache_per_step::RULE,
    gc_collect_per_step::RULE,
    stale_alloc_conf::RULE,
    unknown_alloc_conf::RULE,
];
