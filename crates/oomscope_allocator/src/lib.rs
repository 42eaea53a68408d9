//! An exact model of PyTorch's CUDA caching allocator.
//!
//! [`follow`] runs the model beside a recorded trace, decision by decision: it either agrees at
//! every event, or says where it does not. What the program asked for comes out of it as a
//! [`Program`], which [`replay()`] runs again under other settings or on another device.
//!
//! - The rules are those of `c10/cuda/CUDACachingAllocator.cpp`; where releases differ, the model
//!   takes the [`Release`].
//! - Nothing panics on an impossible trace: it is counted, and skipped or made consistent again.
//! - Memory follows the blocks that live, not the length of the trace.

mod allocator;
mod arena;
mod async_pool;
mod block;
mod cap;
mod counters;
mod curve;
mod device;
mod faults;
mod follow;
mod free_list;
mod layout;
mod limits;
mod packing;
mod pool;
mod program;
mod record;
mod recorded;
mod release;
mod replay;
mod rounding;
mod settings;
mod trace;
mod tune;
mod world;

pub use allocator::{StartBlock, StartSegment};
pub use cap::follow_with_cap;
pub use counters::Counters;
pub use curve::{Curve, Point};
pub use faults::{Fault, FaultKind, Faults};
pub use follow::{Followed, Learned, Setup, follow};
pub use layout::{Layout, LayoutBlock, LayoutSegment};
pub use limits::Limits;
pub use packing::{Need, need};
pub use pool::PoolId;
pub use program::{Asked, Program};
pub use record::{Recording, record};
pub use recorded::{Action, Divergence};
pub use release::{Release, ReleaseError};
pub use replay::{Capacity, Failure, Outcome, Watch, replay};
pub use settings::{Backend, Settings, SettingsError};
pub use trace::Trace;
pub use tune::{Trial, Tuning, candidates, trials, tune};

#[cfg(test)]
mod tests;
