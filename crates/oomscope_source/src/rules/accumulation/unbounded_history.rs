//! OOM405: a list on an object keeps device tensors, and nothing empties it.

use oomscope_model::{Cause, Finding, Severity};

use super::gathered::gathered;
use super::outputs_accumulated::report_gathered;
use crate::facts::Owner;
use crate::index::FileId;
use crate::project::Project;
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM405",
    name: "unbounded-history",
    group: Group::Accumulation,
    cause: Cause::OutputsAccumulated,
    severity: Severity::Error,
    doc: include_str!("unbounded_history.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        for gathered in gathered(project, id, function, facts) {
            let store = gathered.store;
            let is_emptied = project.emptied.contains(store.target_name);
            if store.owner == Owner::Object && !is_emptied {
                report_gathered(project, &RULE, id, gathered, Severity::Error, findings);
            }
        }
    }
}
