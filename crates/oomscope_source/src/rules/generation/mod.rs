//! Rules on generation and serving.

use crate::rules::Rule;

mod cache_in_training;
mod cache_kept_across_requests;
mod decoding_without_cache;
mod unused_model_outputs;

pub(super) static RULES: &[Rule] = &[
    decoding_without_cache::RULE,
    unused_model_outputs::RULE,
    cache_kept_across_requests::RULE,
    cache_in_training::RULE,
];
