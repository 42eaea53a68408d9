//! OOM103: a tensor with its graph grows in an attribute or a module-level container.

use oomscope_model::{Cause, Finding, FixSafety, Severity};

use crate::edit::{fix, suffix};
use crate::facts::{Owner, StoreKind};
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, short};
use crate::retention::{is_attached, retained};
use crate::rules::Rule;

pub(crate) const RULE: Rule = Rule {
    id: "OOM103",
    name: "graph-stored-on-object",
    cause: Cause::GraphRetained,
    severity: Severity::Error,
    doc: include_str!("graph_stored_on_object.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        for store in &facts.stores {
            let on_object = store.kind == StoreKind::Accumulate && store.owner == Owner::Object;
            let global = matches!(store.kind, StoreKind::Append | StoreKind::Subscript)
                && matches!(store.owner, Owner::Global | Owner::Parameter);
            if !on_object && !global {
                continue;
            }
            let Some(kept) = retained(project, id, function, facts, store) else { continue };
            let Some(file) = project.index.file(function.file) else { continue };
            let Some(piece) = store.pieces.iter().find(|piece| is_attached(facts, &piece.value))
            else {
                continue;
            };
            let ending = if piece.value.scalar { ".item()" } else { ".detach()" };
            let value = short(file.slice(piece.expr));
            let finding = Report {
                function: id,
                range: store.range,
                severity: kept.severity,
                held: kept.held,
                message: format!(
                    "`{}` outlives the step and keeps `{value}` with its graph",
                    store.target
                ),
                path: kept.path,
                fix: Some(fix(
                    FixSafety::Unsafe,
                    format!("keep `{value}{ending}` instead"),
                    suffix(piece.expr, ending),
                )),
            };
            report(project, &RULE, finding, findings);
        }
    }
}
