//! OOM406: a list of the module keeps device tensors for the life of the process.

use oomscope_model::{Cause, Finding, Severity};

use super::gathered::gathered;
use super::outputs_accumulated::report_gathered;
use crate::facts::{Owner, StoreKind};
use crate::index::FileId;
use crate::project::Project;
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM406",
    name: "global-tensor-list",
    group: Group::Accumulation,
    cause: Cause::OutputsAccumulated,
    severity: Severity::Error,
    doc: include_str!("global_tensor_list.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        for gathered in gathered(project, id, function, facts) {
            let store = gathered.store;
            let is_emptied = project.emptied.contains(store.target_name);
            if store.owner == Owner::Global && store.kind == StoreKind::Append && !is_emptied {
                report_gathered(project, &RULE, id, gathered, Severity::Error, findings);
            }
        }
    }
}
