//! OOM509: a custom autograd function keeps its output on `ctx`, whose node the output refers to.

use oomscope_model::{Cause, Finding, FixSafety, Held, Severity};
use ruff_python_ast::{Expr, Stmt};
use ruff_text_size::{Ranged, TextSize};

use crate::edit::{fix, suffix};
use crate::facts::Facts;
use crate::imports::dotted;
use crate::index::{FileId, Function};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};
use crate::search::each_stmt;
use crate::value::Kind;

pub(crate) const RULE: Rule = Rule {
    id: "OOM509",
    name: "ctx-stores-tensor",
    group: Group::References,
    cause: Cause::ReferencesHeld,
    severity: Severity::Warning,
    doc: include_str!("ctx_stores_tensor.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if !matches!(function.name, "forward" | "setup_context")
            || !is_autograd_function(project, function)
        {
            continue;
        }
        let Some(ctx) = function.numbered_parameters().next() else { continue };
        let Some(file) = project.index.file(function.file) else { continue };
        for assignment in &facts.assignments {
            let Expr::Attribute(kept) = assignment.target else { continue };
            let (Expr::Name(holder), Expr::Name(value)) = (&*kept.value, assignment.value) else {
                continue;
            };
            let name = value.id.as_str();
            if holder.id != ctx.name.id
                || is_rebound(facts, name, assignment.range.end())
                || is_plain(facts, assignment.target)
            {
                continue;
            }
            let Some(returned) = returned(function, name) else { continue };
            let kept = short(file.slice(assignment.target));
            let path = [
                step(project, id, assignment.range, format!("the node keeps `{name}`")),
                step(project, id, returned, format!("`{name}` refers to the node by `grad_fn`")),
            ];
            let finding = Report {
                function: id,
                range: assignment.range,
                severity: Severity::Warning,
                held: Held::Activations,
                message: format!(
                    "`{kept}` keeps the output `{name}`: a cycle that nothing frees unless backward \
                     runs and drops it"
                ),
                path: path.into_iter().flatten().collect(),
                fix: Some(fix(
                    FixSafety::Unsafe,
                    format!("keep `{name}.detach()`"),
                    suffix(assignment.value, ".detach()"),
                )),
            };
            report(project, &RULE, finding, findings);
        }
    }
}

fn is_autograd_function(project: &Project<'_>, function: &Function<'_>) -> bool {
    let class = function.class.and_then(|class| project.index.class(class));
    class.is_some_and(|class| {
        class
            .bases
            .iter()
            .any(|base| matches!(base.rsplit('.').next(), Some("Function" | "InplaceFunction")))
    })
}

/// Where a function hands out the very object of a name: in a `return`, or as the outputs that
/// `setup_context` is given.
fn returned(function: &Function<'_>, name: &str) -> Option<ruff_text_size::TextRange> {
    if function.name == "setup_context" {
        let output = function.numbered_parameters().nth(2)?;
        return (output.name.as_str() == name).then(|| output.range());
    }
    let is_name = |expr: &Expr| matches!(expr, Expr::Name(n) if n.id.as_str() == name);
    let mut found = None;
    each_stmt(function.body, &mut |stmt| {
        let Stmt::Return(stmt) = stmt else { return };
        let hands_out = match stmt.value.as_deref() {
            Some(Expr::Tuple(tuple)) => tuple.elts.iter().any(is_name),
            Some(one) => is_name(one),
            None => false,
        };
        if hands_out {
            found.get_or_insert(stmt.range());
        }
    });
    found
}

fn is_rebound(facts: &Facts<'_>, name: &str, after: TextSize) -> bool {
    facts
        .assignments
        .iter()
        .any(|other| other.range.start() > after && dotted(other.target).as_deref() == Some(name))
}

/// Numbers and flags are not recorded as kept at all; lists of them are.
fn is_plain(facts: &Facts<'_>, target: &Expr) -> bool {
    let store = facts.stores.iter().find(|store| store.range.contains_range(target.range()));
    store.is_none_or(|store| matches!(store.value.kind, Kind::Plain | Kind::Module))
}
