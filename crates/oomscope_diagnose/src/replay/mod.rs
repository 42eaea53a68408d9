//! A snapshot as the allocator model reads it: the adapter between the two readers.

mod evidence;
mod recorded;
mod setup;
mod trace;
mod tune;
mod what_if;

pub use evidence::replay_evidence;
pub use recorded::{Recorded, follow_recorded};
pub use trace::DeviceTrace;
pub use tune::tune_recorded;
pub use what_if::{Change, Run, WhatIf, as_recorded, recorded_capacity, what_if};
