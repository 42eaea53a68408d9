//! `run.json`: the command as launched, and how it ended.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a run directory says of itself.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunInfo {
    /// Version of the layout; 1 is the one described here.
    pub schema_version: u32,
    /// The folder's name: its start in UTC and four hexadecimal digits.
    pub id: String,
    /// `run` or `verify`; `pytest` from the plugin.
    pub verb: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The folder in which it was started.
    pub cwd: String,
    /// When, in seconds since the epoch.
    pub started: f64,
    /// When it ended; left out while it runs, and when the recorder itself was killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<f64>,
    /// Its exit code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The commit that was checked out, where the folder is a git checkout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_revision: Option<String>,
    /// The version of oomscope.
    pub version: String,
}
