//! Rules on ranks, replicas and buckets.

use crate::rules::Rule;

mod default_device_per_rank;

pub(super) static RULES: &[Rule] = &[default_device_per_rank::RULE];
