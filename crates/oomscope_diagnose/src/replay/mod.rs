//! A snapshot as the allocator model reads it: the adapter between the two readers.

mod recorded;
mod setup;
mod trace;

pub use recorded::{Recorded, follow_recorded};
pub use trace::DeviceTrace;
