//! The JSON of `oomscope estimate`. Sizes are bytes; what is not known is left out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What `oomscope estimate --format json` writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "oomscope estimate")]
pub struct EstimateV1 {
    /// Version of this layout: 1.
    pub schema_version: u32,
    /// `fits`, `tight` or `does_not_fit`; absent without a device and a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// The answer in a sentence.
    pub headline: String,
    /// The model as it was named.
    pub model: String,
    /// `model_type` of its configuration.
    pub family: String,
    /// Sequences of a step.
    pub batch: u64,
    /// Tokens of each.
    pub sequence: u64,
    /// Parameters of the model, without adapters.
    pub parameters: u64,
    /// Parameters that are trained.
    pub trained_parameters: u64,
    /// What `torch.cuda.max_memory_allocated` will say.
    pub allocated_bytes: IntervalV1,
    /// What `torch.cuda.max_memory_reserved` will say.
    pub reserved_bytes: IntervalV1,
    /// What `nvidia-smi` will say of the process.
    pub process_bytes: IntervalV1,
    /// The highest that is allocated in the first step, before which there are no states.
    pub first_step_allocated_bytes: u64,
    /// The phases of a step, in order.
    pub phases: Vec<PhaseV1>,
    /// The phase of the peak.
    pub peak_phase: String,
    /// What memory is for.
    pub terms: Vec<TermV1>,
    /// The device's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The most that the process may hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_bytes: Option<u64>,
    /// What was asked to be sized: `batch`, `sequence`, `rank`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub solved: Option<String>,
    /// The largest value of it that fits; absent where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest: Option<u64>,
    /// What would make it fit, in the order in which to do it, each upon those before.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub advice: Vec<ChangeV1>,
    /// `4 · batch · sequence · hidden · layers · 3`: a rule of thumb for activations, no verdict.
    pub rule_of_thumb_bytes: u64,
}

/// A change that would make it fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeV1 {
    /// What to do.
    pub what: String,
    /// What it costs the training: `nothing`, `speed` or `quality`.
    pub cost: String,
    /// Expected time of a step, as a share of that before.
    pub slower: f64,
    /// Bytes that it saves here.
    pub saves_bytes: u64,
    /// What `nvidia-smi` will say of the process then.
    pub process_bytes: IntervalV1,
    /// `fits`, `tight` or `does_not_fit`.
    pub verdict: String,
}

/// Bounds of a figure, in bytes; the truth lies between them in nine of ten cases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IntervalV1 {
    /// Lower bound.
    pub low: u64,
    /// The likely value.
    pub likely: u64,
    /// Upper bound.
    pub high: u64,
}

/// A phase of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseV1 {
    /// `loaded`, `forward`, `backward`, `optimizer step`.
    pub name: String,
    /// The highest that is allocated in it.
    pub allocated_bytes: u64,
}

/// One thing that memory is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TermV1 {
    /// `weights`, `gradients`, `logits and loss`, …
    pub name: String,
    /// `constant`, `activations` (until backward) or `temporary`.
    pub kind: String,
    /// Bytes at its highest.
    pub bytes: u64,
    /// How it is computed.
    pub formula: String,
}
