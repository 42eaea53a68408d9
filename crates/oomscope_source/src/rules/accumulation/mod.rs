//! Rules on device tensors gathered over a loop.

use crate::rules::Rule;

mod cached_item_moved_to_device;
mod cat_in_loop;
mod gathered;
mod global_tensor_list;
mod outputs_accumulated;
mod replay_buffer_on_device;
mod unbounded_history;

pub(super) static RULES: &[Rule] = &[
    outputs_accumulated::RULE,
    cat_in_loop::RULE,
    replay_buffer_on_device::RULE,
    cached_item_moved_to_device::RULE,
    unbounded_history::RULE,
    global_tensor_list::RULE,
];
