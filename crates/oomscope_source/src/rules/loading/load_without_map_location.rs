//! OOM601: a checkpoint is loaded onto the device that saved it, beside the model that takes it.

use oomscope_model::{Cause, Finding, Severity};

use super::checkpoint::Landing;
use super::second_copy::report_second_copies;
use crate::index::FileId;
use crate::project::Project;
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM601",
    name: "load-without-map-location",
    group: Group::Loading,
    cause: Cause::CheckpointLoad,
    severity: Severity::Warning,
    doc: include_str!("load_without_map_location.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_second_copies(project, &RULE, Landing::AsSaved, findings);
}
