//! OOM108: a stored lambda or `partial` holds a tensor with its graph.

use oomscope_model::{Cause, Finding, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::Ranged;

use crate::facts::StoreKind;
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, short};
use crate::retention::{is_attached, retained};
use crate::rules::{Group, Rule};
use crate::search::called_name;

pub(crate) const RULE: Rule = Rule {
    id: "OOM108",
    name: "graph-in-closure",
    group: Group::GraphRetention,
    cause: Cause::GraphRetained,
    severity: Severity::Error,
    doc: include_str!("graph_in_closure.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        for store in &facts.stores {
            if !matches!(store.kind, StoreKind::Append | StoreKind::Subscript) {
                continue;
            }
            let mut held = store
                .pieces
                .iter()
                .filter(|piece| holds_values(piece.expr) && is_attached(facts, &piece.value));
            let Some(piece) = held.next() else { continue };
            let Some(kept) = retained(project, id, function, facts, store) else { continue };
            let Some(file) = project.index.file(function.file) else { continue };
            let finding = Report {
                function: id,
                range: piece.expr.range(),
                severity: kept.severity,
                held: kept.held,
                message: format!(
                    "`{}` keeps `{}`, and that a tensor with its graph: hand a number or a \
                     detached tensor to it",
                    store.target,
                    short(file.slice(piece.expr))
                ),
                path: kept.path,
                fix: None,
            };
            report(project, &RULE, finding, findings);
        }
    }
}

/// A lambda, or `functools.partial`.
pub(super) fn holds_values(expr: &Expr) -> bool {
    match expr {
        Expr::Lambda(_) => true,
        Expr::Call(call) => called_name(call) == "partial",
        _ => false,
    }
}
