//! OOM504: a cache that lives as long as the process keeps a model's outputs.

use oomscope_model::{Cause, Finding, Held, Severity};

use crate::facts::{Owner, StoreKind};
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, step};
use crate::retention::attached_graphs;
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM504",
    name: "tensor-cache",
    group: Group::References,
    cause: Cause::ReferencesHeld,
    severity: Severity::Warning,
    doc: include_str!("tensor_cache.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if function.is_unit_test {
            continue;
        }
        for store in &facts.stores {
            let value = &store.value;
            if store.kind != StoreKind::Subscript
                || store.owner != Owner::Global
                || attached_graphs(facts, store).is_some()
                || !value.output
                || value.host
                || value.scalar
                || value.small
                || project.emptied.contains(store.target_name)
            {
                continue;
            }
            let what = format!("`{}` is never emptied", store.target);
            let finding = Report {
                function: id,
                range: store.range,
                severity: Severity::Warning,
                held: Held::Tensors,
                message: format!("`{}` caches tensors for the life of the process", store.target),
                path: step(project, id, store.range, what).into_iter().collect(),
                fix: None,
            };
            report(project, &RULE, finding, findings);
        }
    }
}
