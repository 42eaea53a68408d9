//! PyTorch CUDA allocator snapshots: read from hostile bytes, rewound to any event.
//!
//! - One pass over the bytes, no value tree of the file, nothing executed: an opcode that would
//!   call something is refused by name.
//! - Damaged input is normal: what could be read comes with a list of problems.
//! - Memory is a small multiple of the input; nothing recurses.
//! - No I/O: the caller maps or decompresses the file.
//!
//! ```
//! use oomscope_snapshot::{At, fixture, read, state_at};
//! use oomscope_model::{Bytes, DeviceId};
//!
//! let snapshot = read(&fixture::one_live_block()).expect("the fixture is whole");
//! let state = state_at(&snapshot, DeviceId(0), At::End);
//! assert_eq!(state.counters.reserved, Bytes::from_mib(2));
//! assert_eq!(state.counters.allocated, Bytes(1024));
//! ```

mod assemble;
mod containers;
mod error;
pub mod fixture;
mod format;
mod history;
mod html;
mod json;
mod layout;
mod machine;
mod opcodes;
mod pickle;
mod records;
mod recovery;
mod rounding;
mod snapshot;
mod stack_runs;
mod stacks;
mod state;
mod timeline;
mod value;
mod word;

pub use error::{ReadError, ReadProblem};
pub use format::{Format, read, recognise};
pub use history::{History, Life, history};
pub use layout::SegmentRange;
pub use snapshot::{Snapshot, Trace, UnknownWord, oom_events};
pub use stacks::Stacks;
pub use state::{At, LiveBlock, State, state_at};
pub use timeline::{Timeline, counters};
