//! Rules on references, caches, hooks, exceptions and cycles.

use crate::rules::Rule;

mod hook_keeps_outputs;
mod tensor_cache;
mod tensors_in_exception;

pub(super) static RULES: &[Rule] =
    &[tensors_in_exception::RULE, hook_keeps_outputs::RULE, tensor_cache::RULE];
