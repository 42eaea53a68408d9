//! What one device held at one moment: an entry of `devices` in a record.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The allocator's counters of one device, and what the driver says of it. Bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceUse {
    /// Index among the visible devices.
    pub device: u32,
    /// `allocated_bytes.all.current`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocated: Option<u64>,
    /// `reserved_bytes.all.current`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved: Option<u64>,
    /// `active_bytes.all.current`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<u64>,
    /// Highest allocated since the last record of this kind of step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_allocated: Option<u64>,
    /// Highest reserved since the last record of this kind of step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_reserved: Option<u64>,
    /// `num_alloc_retries`: times that the cache was flushed to serve a request, since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u64>,
    /// `num_ooms`: times that memory ran out, since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ooms: Option<u64>,
    /// Free on the whole device, from the driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free: Option<u64>,
    /// Capacity of the whole device, from the driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Of a step: its phases, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PhaseUse>,
}

/// What one phase of a step left and needed. Bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseUse {
    /// `forward`, `backward` or `optimizer`.
    pub phase: String,
    /// Allocated at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocated: Option<u64>,
    /// Highest within it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<u64>,
}
