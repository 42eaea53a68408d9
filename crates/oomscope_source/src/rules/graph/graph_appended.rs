//! OOM102: a tensor with its graph is put into a list or dict that outlives the iteration.

use oomscope_model::{Cause, Finding, FixSafety, Severity};

use crate::edit::{fix, suffix};
use crate::facts::{Owner, StoreKind};
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, short};
use crate::retention::{ending, is_attached, retained};
use crate::rules::graph::graph_in_closure::holds_values;
use crate::rules::graph::metrics_dict_attached::kept_dict;
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM102",
    name: "graph-appended",
    group: Group::GraphRetention,
    cause: Cause::GraphRetained,
    severity: Severity::Error,
    doc: include_str!("graph_appended.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        for store in &facts.stores {
            if !matches!(store.kind, StoreKind::Append | StoreKind::Subscript)
                || matches!(store.owner, Owner::Global | Owner::Parameter)
                || store.is_carried && store.owner == Owner::Object
            {
                continue;
            }
            let Some(kept) = retained(project, id, function, facts, store) else { continue };
            let mut attached = store.pieces.iter().filter(|p| is_attached(facts, &p.value));
            if attached.all(|piece| holds_values(piece.expr))
                || kept_dict(project, id, facts, store).is_some()
            {
                // Rules of their own speak there.
                continue;
            }
            let Some(file) = project.index.file(function.file) else { continue };
            let mut edits = Vec::new();
            let mut names = Vec::new();
            for piece in store.pieces.iter().filter(|piece| is_attached(facts, &piece.value)) {
                let ending = ending(project, facts, store, &piece.value, ".detach().cpu()");
                names.push(short(file.slice(piece.expr)));
                edits.extend(suffix(piece.expr, ending));
            }
            let value = names.join("`, `");
            let finding = Report {
                function: id,
                range: store.range,
                severity: kept.severity,
                held: kept.held,
                message: format!("`{}` keeps `{value}` with its graph", store.target),
                path: kept.path,
                fix: Some(fix(FixSafety::Unsafe, format!("detach `{value}` first"), edits)),
            };
            report(project, &RULE, finding, findings);
        }
    }
}
