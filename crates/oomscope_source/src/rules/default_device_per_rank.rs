//! OOM601.
use crate::index::FileId;
use crate::project::Project;
use crate::rules::Rule;
use oomscope_model::{Cause, Finding, Severity};
pub(crate) const RULE: Rule = Rule {
    id: "OOM601",
    name: "default-device-per-rank",
    cause: Cause::RanksOnOneDevice,
    severity: Severity::Warning,
    doc: "",
    check,
};
fn check(_: &Project<'_>, _: &mut Vec<(FileId, Finding)>) {}
