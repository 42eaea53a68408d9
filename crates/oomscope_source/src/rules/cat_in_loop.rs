//! OOM402.
use crate::index::FileId;
use crate::project::Project;
use crate::rules::Rule;
use oomscope_model::{Cause, Finding, Severity};
pub(crate) const RULE: Rule = Rule {
    id: "OOM402",
    name: "cat-in-loop",
    cause: Cause::KvCache,
    severity: Severity::Warning,
    doc: "",
    check,
};
fn check(_: &Project<'_>, _: &mut Vec<(FileId, Finding)>) {}
