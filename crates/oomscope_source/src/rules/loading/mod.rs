//! Rules on checkpoints, copies and devices.

use crate::rules::Rule;

mod checkpoint;
mod checkpoint_kept;
mod load_onto_device;
mod load_without_map_location;

pub(super) static RULES: &[Rule] = &[
    load_without_map_location::RULE,
    load_onto_device::RULE,
    checkpoint_kept::RULE,
];
