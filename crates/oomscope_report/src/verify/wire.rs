//! The JSON of `oomscope verify`. Sizes are bytes, times seconds; what is not known is left out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What `oomscope verify --format json` writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "oomscope verification")]
pub struct VerifyV1 {
    /// Version of this layout: 1.
    pub schema_version: u32,
    /// `stable`, `growing`, `failed` or `too_short`: the worst of all devices.
    pub verdict: String,
    /// Whether memory is stable and within the budget.
    pub passed: bool,
    /// The verdict in a sentence.
    pub headline: String,
    /// The command.
    pub command: Vec<String>,
    /// The run directory.
    pub run: String,
    /// The command's exit code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Highest allocated on any device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
    /// Every device of every process.
    pub devices: Vec<VerifiedDeviceV1>,
    /// The limit that the peak was held against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetV1>,
    /// The run that it was compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BaselineV1>,
    /// What could not be read.
    pub problems: Vec<String>,
}

/// One device of one process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerifiedDeviceV1 {
    /// The process's folder.
    pub process: String,
    /// Its rank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<u32>,
    /// The device's index.
    pub device: u32,
    /// `stable`, `growing`, `failed` or `too_short`.
    pub verdict: String,
    /// The number of the last step.
    pub steps: u64,
    /// How many steps at the start were left out.
    pub warmup_steps: u64,
    /// Highest allocated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
    /// Lowest allocated at the end of a step, after the warm-up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor_bytes: Option<u64>,
    /// The device's capacity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_bytes: Option<u64>,
    /// How memory grows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slope: Option<SlopeV1>,
    /// How reserved memory grows while allocated memory does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved_slope: Option<SlopeV1>,
    /// The step after which growth began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_point: Option<u64>,
    /// After how many steps a pattern repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period_steps: Option<u64>,
    /// The step at which the peak reaches the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fails_at_step: Option<u64>,
    /// How many more steps may settle it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_steps: Option<u64>,
    /// Median time of a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_seconds: Option<f64>,
    /// Why, most telling first.
    pub evidence: Vec<String>,
}

/// Bytes a step with the ends of the 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SlopeV1 {
    /// The median slope.
    pub bytes_per_step: f64,
    /// The least that fits.
    pub low: f64,
    /// The most that fits.
    pub high: f64,
}

/// A limit for the peak.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetV1 {
    /// Where it comes from.
    pub from: String,
    /// The most that the peak may be.
    pub limit_bytes: u64,
    /// Whether it is within.
    pub fits: bool,
}

/// Before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BaselineV1 {
    /// The baseline as given.
    pub name: String,
    /// Highest allocated, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<ChangeV1>,
    /// Allocated at the end of a step, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<ChangeV1>,
    /// Growth, bytes a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_step: Option<ChangeV1>,
    /// Time of a step, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_seconds: Option<ChangeV1>,
    /// The lines whose live bytes at the peak differ most.
    pub lines: Vec<LineChangeV1>,
}

/// One figure in both runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeV1 {
    /// In the baseline.
    pub before: f64,
    /// Now.
    pub after: f64,
    /// After minus before.
    pub difference: f64,
}

/// What one line holds at the peak.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LineChangeV1 {
    /// The line.
    pub line: String,
    /// In the baseline.
    pub before_bytes: u64,
    /// Now.
    pub after_bytes: u64,
}
