//! Rules on checkpoints, copies and devices.

use crate::rules::Rule;

mod load_onto_device;

pub(super) static RULES: &[Rule] = &[load_onto_device::RULE];
