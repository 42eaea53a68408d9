//! PyTorch CUDA allocator snapshots: read from hostile bytes, rewound to any event.
//!
//! - One pass over the bytes, no value tree of the file, nothing executed: an opcode that would
//!   call something is refused by name.
//! - Damaged input is normal: what could be read comes with a list of problems.
//! - Memory is a small multiple of the input; nothing recurses.
//! - No I/O: the caller maps or decompresses the file, and opens what is written to.
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

mod analysis;
mod columns;
pub mod fixture;
mod history;
mod reader;
mod snapshot;
mod stacks;
pub mod views;
mod write;

pub use analysis::{CategoryRules, Recording, library_call, phase_of, summarise};
pub use history::{At, History, Life, LiveBlock, SegmentRange, State, Timeline};
pub use history::{counters, history, state_at};
pub use reader::{Format, ReadError, ReadProblem, read, read_with, recognise};
pub use snapshot::{Annotation, PinnedHost, Snapshot, Stage, Trace, UnknownWord, oom_events};
pub use stacks::{FxNode, Stacks};
pub use write::{Anonymise, Split, anonymise, cut, cut_by, split, write_native, write_pickle};
