//! One line of `records.jsonl`: the kinds of record, as `docs/run-directory.md` lays them down.
//!
//! Times are seconds since the epoch, durations are seconds, sizes are bytes. What the agent did
//! not know is `None`. Unknown keys and kinds are ignored, so that a newer agent can be read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::device::DeviceUse;

/// A line of `records.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// The first line.
    Start(Start),
    /// `torch` has been imported.
    Torch(Torch),
    /// A visible device, once the process has used any.
    Device(Device),
    /// The allocator's history was switched.
    History(History),
    /// A training step ended.
    Step(Step),
    /// What the memory was, about once a second.
    Sample(Sample),
    /// The allocator is about to raise.
    Oom(Oom),
    /// A snapshot was written.
    Snapshot(Snapshot),
    /// An exception was not caught.
    Exception(Exception),
    /// Source that is in no file.
    Source(Source),
    /// The agent could not do something.
    Problem(AgentProblem),
    /// A normal end, or the last step that was asked for.
    End(End),
    /// A kind that this version does not know.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

/// The first line: which process this is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Start {
    /// When, in seconds since the epoch.
    pub t: f64,
    /// Version of the layout; 1 is the one described here.
    pub schema_version: u32,
    /// The process.
    pub pid: u64,
    /// Its parent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ppid: Option<u64>,
    /// `RANK`, in a distributed run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<u32>,
    /// `LOCAL_RANK`, in a distributed run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_rank: Option<u32>,
    /// `WORLD_SIZE`, in a distributed run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub world_size: Option<u32>,
    /// `sys.argv`, or the command line of the interpreter.
    #[serde(default)]
    pub argv: Vec<String>,
    /// The interpreter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executable: Option<String>,
    /// Working directory at the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The interpreter's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python: Option<String>,
}

/// `torch` has been imported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Torch {
    /// When, in seconds since the epoch.
    pub t: f64,
    /// `torch.__version__`.
    pub version: String,
    /// `torch.version.cuda`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cuda: Option<String>,
    /// `torch.version.hip`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hip: Option<String>,
    /// `PYTORCH_ALLOC_CONF` or its older names, as set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alloc_conf: Option<String>,
}

/// A visible device, as `torch.cuda.get_device_properties` describes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Device {
    /// When, in seconds since the epoch.
    pub t: f64,
    /// Index among the visible devices.
    pub device: u32,
    /// Product name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Capacity, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Compute capability, such as `9.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capability: Option<String>,
    /// The driver's identity of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Version of the driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
}

/// The allocator's history was switched by `_record_memory_history`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// When, in seconds since the epoch.
    pub t: f64,
    /// What is recorded from now on: `all`, `state` or `none`.
    pub enabled: String,
    /// Which stacks: `python` or `all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stacks: Option<String>,
    /// Length of the ring, events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_entries: Option<u64>,
    /// Who switched it: `oomscope` or `program`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What ended a step, best first: the order is that in which a reader prefers them.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum StepSource {
    /// The program or `--step-marker` said so.
    Marker,
    /// The first optimizer stepped again.
    Optimizer,
    /// `backward` was called.
    Backward,
    /// A source that this version does not know.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

/// A training step ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// When, in seconds since the epoch.
    pub t: f64,
    /// Which, from 1, counted for each source apart.
    pub step: u64,
    /// What ended it.
    pub source: StepSource,
    /// Seconds since the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// How many steps this record stands for; 1 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<u64>,
    /// Resident host memory, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss: Option<u64>,
    /// The devices at its end.
    #[serde(default)]
    pub devices: Vec<DeviceUse>,
}

/// What the memory was at some moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// When, in seconds since the epoch.
    pub t: f64,
    /// Resident host memory, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss: Option<u64>,
    /// The devices.
    #[serde(default)]
    pub devices: Vec<DeviceUse>,
}

/// The allocator is about to raise `torch.OutOfMemoryError`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Oom {
    /// When, in seconds since the epoch.
    pub t: f64,
    /// Which, from 1.
    pub n: u64,
    /// Index among the visible devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<u32>,
    /// Bytes asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested: Option<u64>,
    /// Capacity, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Free on the device, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free: Option<u64>,
    /// The last step that had ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// The snapshot taken at it, relative to the process's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Whether the program went on: no uncaught exception about memory follows. Found by the
    /// reader, not written by the agent.
    #[serde(skip)]
    pub caught: bool,
}

/// A snapshot was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// When, in seconds since the epoch.
    pub t: f64,
    /// The file, relative to the process's folder; `None` when the path led out of it.
    pub snapshot: Option<String>,
    /// Why: `oom`, `request` or `exit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The last step that had ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// How long it took to write, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Its size, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// An exception was not caught.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exception {
    /// When, in seconds since the epoch.
    pub t: f64,
    /// Its type, as a traceback prints it.
    pub r#type: String,
    /// Its message.
    #[serde(default)]
    pub message: String,
    /// The traceback, as the interpreter prints it.
    #[serde(default)]
    pub traceback: String,
    /// Whether it is about device memory.
    #[serde(default)]
    pub is_oom: bool,
}

/// Source that is in no file: a cell of a notebook. Written at a failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// When, in seconds since the epoch.
    pub t: f64,
    /// What stacks and tracebacks call it.
    pub file: String,
    /// All of it.
    pub text: String,
}

/// The agent could not do something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentProblem {
    /// When, in seconds since the epoch.
    pub t: f64,
    /// What, in words.
    pub what: String,
}

/// A normal end, or the last step that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct End {
    /// When, in seconds since the epoch.
    pub t: f64,
    /// Why: `exit`, `exception` or `steps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The last step that had ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// The devices.
    #[serde(default)]
    pub devices: Vec<DeviceUse>,
}
