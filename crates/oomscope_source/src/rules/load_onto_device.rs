//! OOM501.
use crate::index::FileId;
use crate::project::Project;
use crate::rules::Rule;
use oomscope_model::{Cause, Finding, Severity};
pub(crate) const RULE: Rule = Rule {
    id: "OOM501",
    name: "load-onto-device",
    cause: Cause::CheckpointLoad,
    severity: Severity::Warning,
    doc: "",
    check,
};
fn check(_: &Project<'_>, _: &mut Vec<(FileId, Finding)>) {}
