//! OOM201.
use crate::index::FileId;
use crate::project::Project;
use crate::rules::Rule;
use oomscope_model::{Cause, Finding, Severity};
pub(crate) const RULE: Rule = Rule {
    id: "OOM201",
    name: "missing-zero-grad",
    cause: Cause::GradientsNotCleared,
    severity: Severity::Warning,
    doc: "",
    check,
};
fn check(_: &Project<'_>, _: &mut Vec<(FileId, Finding)>) {}
