//! Rules on ranks, replicas and buckets.

use crate::rules::Rule;

mod all_gathers_unlimited;
mod data_parallel;
mod default_device_per_rank;
mod device_objects_gathered;
mod fsdp_in_one_unit;
mod full_state_on_device;
mod gradient_buckets_copied;
mod load_onto_rank_zero;
mod wrapped_in_loop;

pub(super) static RULES: &[Rule] = &[
    default_device_per_rank::RULE,
    load_onto_rank_zero::RULE,
    gradient_buckets_copied::RULE,
    data_parallel::RULE,
    fsdp_in_one_unit::RULE,
    full_state_on_device::RULE,
    wrapped_in_loop::RULE,
    device_objects_gathered::RULE,
    all_gathers_unlimited::RULE,
];
