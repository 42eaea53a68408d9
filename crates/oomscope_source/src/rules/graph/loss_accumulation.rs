//! OOM101: a tensor with its graph is added up across iterations.

use oomscope_model::{Cause, Finding, FixSafety, Severity};

use crate::edit::{fix, suffix, suffixed};
use crate::facts::{Owner, StoreKind};
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, short};
use crate::retention::{ending, retained};
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM101",
    name: "loss-accumulation",
    group: Group::GraphRetention,
    cause: Cause::GraphRetained,
    severity: Severity::Error,
    doc: include_str!("loss_accumulation.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        for store in &facts.stores {
            let grows = store.kind == StoreKind::Accumulate
                || store.kind == StoreKind::FixedKey && store.is_carried;
            if !grows || store.owner == Owner::Object {
                continue;
            }
            let Some(kept) = retained(project, id, function, facts, store) else { continue };
            let Some(file) = project.index.file(function.file) else { continue };
            let Some(piece) = store.pieces.first() else { continue };
            let ending = ending(project, facts, store, &store.value, ".detach()");
            let value = short(file.slice(&store.value_range));
            let message = format!(
                "`{}` adds up `{value}` with its graph: every iteration's graph stays alive",
                store.target
            );
            let edits = fix(
                FixSafety::Unsafe,
                format!("add `{}` instead", suffixed(piece.expr, &value, ending)),
                suffix(piece.expr, ending),
            );
            let finding = Report {
                function: id,
                range: store.range,
                severity: kept.severity,
                held: kept.held,
                message,
                path: kept.path,
                fix: Some(edits),
            };
            report(project, &RULE, finding, findings);
        }
    }
}
