//! OOM001: a comment allows what is not there. Found by [`crate::allow`] after the other rules.

use oomscope_model::{Cause, Finding, Severity};

use crate::index::FileId;
use crate::project::Project;
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM001",
    name: "unused-allow",
    group: Group::Tool,
    cause: Cause::Unknown,
    severity: Severity::Warning,
    doc: include_str!("unused_allow.md"),
    check,
};

fn check(_: &Project<'_>, _: &mut Vec<(FileId, Finding)>) {}
