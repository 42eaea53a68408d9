//! All that is known about one failed run, whatever it was read from.

use crate::{
    Bytes, Cause, Frame, MemoryError, OtherProcess, Phase, Problem, SnapshotEvidence, SourceFile,
};

/// One failure that a log shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// 1-based line of the error itself.
    pub line: usize,
    /// The rank that died, where the log says.
    pub rank: Option<u32>,
    /// The exception's type or the tool's own word.
    pub exception: String,
    /// The message, unwrapped, prefixes removed.
    pub message: String,
    /// The figures, when it is about memory.
    pub memory: Option<MemoryError>,
    /// The traceback, outermost frame first.
    pub traceback: Vec<Frame>,
    /// What the program was doing.
    pub phase: Phase,
    /// Whether the program went on after it.
    pub caught: bool,
    /// Whether it only follows from another rank's death.
    pub follows_another: bool,
}

/// A phrase in a log that speaks for a cause by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignalKind {
    /// Decides: a fair expert would need nothing else.
    Decisive(Cause),
    /// Speaks for it, other evidence may outweigh it.
    Supports(Cause),
    /// Speaks against it.
    Contradicts(Cause),
}

/// A phrase in a log that speaks for or against a cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// For what it speaks.
    pub kind: SignalKind,
    /// 1-based line.
    pub line: usize,
    /// What it says, in our words, with its figures.
    pub what: String,
}

/// A memory figure that the program itself printed while running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemorySample {
    /// 1-based line.
    pub line: usize,
    /// The step, batch or token printed beside it.
    pub step: Option<u64>,
    /// Allocated (or, failing that, reserved) bytes.
    pub bytes: Bytes,
}

/// What one error text or log says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogEvidence {
    /// The input, as the user named it.
    pub input: String,
    /// Failures in the order in which they happened.
    pub failures: Vec<Failure>,
    /// Phrases that speak for causes.
    pub signals: Vec<Signal>,
    /// Memory figures over time, one series.
    pub samples: Vec<MemorySample>,
}

/// Source, parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceEvidence {
    /// The files.
    pub files: Vec<SourceFile>,
}

/// A process that NVML lists on a device.
pub type DeviceProcess = OtherProcess;

/// A device as the driver reports it at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveDevice {
    /// Ordinal.
    pub index: u32,
    /// Product name.
    pub name: String,
    /// The driver's identity of it, without the `GPU-` before it.
    pub uuid: Option<String>,
    /// Total capacity.
    pub capacity: Bytes,
    /// Free then.
    pub free: Bytes,
    /// Who uses it.
    pub processes: Vec<DeviceProcess>,
}

/// All that is known about one failed run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Logs and error texts.
    pub logs: Vec<LogEvidence>,
    /// Snapshots, one entry a device that was used.
    pub snapshots: Vec<SnapshotEvidence>,
    /// Source.
    pub source: SourceEvidence,
    /// Devices as they are now, with `--live`.
    pub live: Vec<LiveDevice>,
    /// The device that failed as the driver saw it about then, with all others than the process
    /// that failed; from a recording.
    pub device_at_failure: Option<LiveDevice>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// What was read, in words, in the order given.
    pub inputs: Vec<String>,
}
