//! Rules on checkpoints, copies and devices.

use crate::rules::Rule;

mod best_state_on_device;
mod checkpoint;
mod checkpoint_kept;
mod copies;
mod load_onto_device;
mod load_without_map_location;
mod made_on_cpu_then_cuda;
mod model_copy_kept;
mod optimizer_before_to;
mod repeated_host_copy;
mod second_copy;

pub(super) static RULES: &[Rule] = &[
    load_without_map_location::RULE,
    load_onto_device::RULE,
    checkpoint_kept::RULE,
    model_copy_kept::RULE,
    best_state_on_device::RULE,
    made_on_cpu_then_cuda::RULE,
    repeated_host_copy::RULE,
    optimizer_before_to::RULE,
];
