//! The vocabulary of oomscope: bytes, places, frames, evidence, causes, diagnoses.
//!
//! Plain data that every other crate speaks. No I/O, no dependency, no parsing of
//! anything larger than one line of text. Readers produce [`Evidence`], the diagnosis
//! turns it into a [`Diagnosis`], renderers print that.
//!
//! ```
//! use oomscope_model::Bytes;
//! assert_eq!(Bytes::from_mib(20).to_string(), "20.00 MiB");
//! assert_eq!(Bytes::from_gib(8).checked_sub(Bytes::from_gib(9)), None);
//! ```

mod bytes;
mod cause;
mod confidence;
mod diagnosis;
mod evidence;
mod finding;
mod frame;
mod memory_error;
mod place;
mod problem;
pub mod rounding;
mod snapshot;
mod trace;

pub use bytes::Bytes;
pub use cause::Cause;
pub use confidence::Confidence;
pub use diagnosis::{
    Assessment, CulpritStep, Diagnosis, Fact, Figure, FileChange, FourParts, Patch, SavingOption,
    StateStep, Verdict, VerifyStep,
};
pub use evidence::{
    DeviceProcess, Evidence, Failure, LiveDevice, LogEvidence, MemorySample, Signal, SignalKind,
    SourceEvidence,
};
pub use finding::{
    Edit, Finding, Fix, FixSafety, FunctionFact, GradMode, Held, PathStep, Severity, SourceFile,
};
pub use frame::{Frame, FrameOrigin, Phase};
pub use memory_error::{Framework, MemoryError, OtherProcess};
pub use place::Place;
pub use problem::Problem;
pub use snapshot::{
    ForwardPass, Growth, Holder, Limit, MemoryState, Moment, ReplayEvidence, ReplayTrial, Request,
    Role, SnapshotEvidence,
};
pub use trace::{
    AllocatorSettings, Block, BlockState, DeviceId, Event, EventIndex, EventKind, FrameId, Segment,
    SegmentPool, StackId,
};
