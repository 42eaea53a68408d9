//! Renders a [`Diagnosis`](oomscope_model::Diagnosis): as text for a terminal, as Markdown for an
//! issue, as JSON for programs. The types that the JSON is made of live here and nowhere else.
//!
//! Nothing here opens, prints or asks the environment: every function writes to the writer that
//! it is given. Text from outside (paths, messages) never reaches it with control characters.
//!
//! ```
//! use oomscope_model::{Diagnosis, Verdict};
//! # fn main() -> std::io::Result<()> {
//! # let diagnosis = Diagnosis { verdict: Verdict::Healthy, failure_seen: false, headline: "memory stays flat".into(),
//! #     inputs: vec![], state: Default::default(), culprit: Default::default(), causes: vec![],
//! #     cold_findings: vec![], fixes: vec![], options: vec![], verify: vec![],
//! #     report: Default::default(), escalation: vec![], excerpts: vec![], problems: vec![] };
//! let mut text = Vec::new();
//! oomscope_report::render_text(&diagnosis, &oomscope_report::TextStyle::default(), &mut text)?;
//! assert!(text.starts_with(b"healthy: memory stays flat\n"));
//! # Ok(())
//! # }
//! ```

pub mod check;
mod clean;
mod content;
pub mod estimate;
mod json;
mod layout;
mod markdown;
mod page;
mod root;
pub mod snapshot;
mod style;
mod text;
pub mod verify;
mod wire;

pub use json::{json_schema, render_json};
pub use markdown::render_markdown;
/// The JSON Schema of a line of a process's `records.jsonl`.
pub use oomscope_diagnose::record::json_schema as record_json_schema;
/// The JSON Schemas of a line of a run directory's `devices.jsonl`, and of its `run.json`.
pub use oomscope_diagnose::record::{
    devices_json_schema, run_json_schema as run_directory_json_schema,
};
pub use page::render_page;
pub use style::{Charset, Colour, Detail, TextStyle};
pub use text::render_text;
