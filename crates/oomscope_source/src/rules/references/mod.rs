//! Rules on references that hold tensors: exceptions, hooks, caches, cycles.

use crate::rules::Rule;

mod anomaly_mode_left_on;
mod ctx_stores_tensor;
mod hook_keeps_outputs;
mod hook_never_removed;
mod hook_stores_activation;
mod lru_cache_holds_tensors;
mod memory_history_left_on;
mod method_cycle;
mod model_keeps_parent;
mod oom_retry_in_except;
mod profiler_left_on;
mod tensor_as_key;
mod tensor_cache;
mod tensors_in_exception;

pub(super) static RULES: &[Rule] = &[
    tensors_in_exception::RULE,
    hook_keeps_outputs::RULE,
    tensor_cache::RULE,
    oom_retry_in_except::RULE,
    tensor_as_key::RULE,
    hook_never_removed::RULE,
    hook_stores_activation::RULE,
    ctx_stores_tensor::RULE,
    method_cycle::RULE,
    model_keeps_parent::RULE,
    profiler_left_on::RULE,
    anomaly_mode_left_on::RULE,
    memory_history_left_on::RULE,
    lru_cache_holds_tensors::RULE,
];
