//! OOM109: a recurrent state is handed from batch to batch, and every batch's graph with it.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::Ranged;

use crate::facts::{Carried, Facts};
use crate::imports::dotted;
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};
use crate::search::reads_name;

pub(crate) const RULE: Rule = Rule {
    id: "OOM109",
    name: "hidden-state-carried",
    group: Group::GraphRetention,
    cause: Cause::GraphRetained,
    severity: Severity::Error,
    doc: include_str!("hidden_state_carried.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if facts.carried.is_empty() || function.is_unit_test {
            continue;
        }
        for carried in &facts.carried {
            let Some(around) = facts.loops.get(carried.in_loop) else { continue };
            // Without `retain_graph`, the second backward would raise: it is cut somewhere.
            let retaining = facts.backwards.iter().find(|backward| {
                backward.retain_graph && backward.in_loop == Some(carried.in_loop)
            });
            let Some(retaining) = retaining else { continue };
            if is_cut(facts, carried) {
                continue;
            }
            let name = carried.name;
            let at = retaining.call.range();
            let path = [
                step(project, id, carried.range, format!("`{name}` comes from its last value")),
                step(
                    project,
                    id,
                    around.range,
                    format!("every iteration over `{}`", short(around.what)),
                ),
                step(project, id, at, "`retain_graph=True` keeps all of it".to_owned()),
            ];
            let finding = Report {
                function: id,
                range: carried.range,
                severity: Severity::Error,
                held: Held::Activations,
                message: format!(
                    "`{name}` is carried from batch to batch and never detached: with \
                     `retain_graph=True` the graphs of all batches stay"
                ),
                path: path.into_iter().flatten().collect(),
                fix: None,
            };
            report(project, &RULE, finding, findings);
        }
    }
}

/// Whether the loop gives the state another value or detaches it in place.
fn is_cut(facts: &Facts<'_>, carried: &Carried<'_>) -> bool {
    let Some(around) = facts.loops.get(carried.in_loop) else { return true };
    let inside = |range: ruff_text_size::TextRange| {
        around.range.contains_range(range) && range != carried.range
    };
    let rebound = facts.assignments.iter().any(|assignment| {
        inside(assignment.range)
            && assignment.value.range() != carried.range
            && targets(assignment.target, carried.name)
    });
    rebound
        || facts.calls.iter().any(|call| {
            let in_place = call.name == "detach_";
            // `detach_all(state)`; a plain `s.detach()` does nothing.
            let handed = call.is_statement
                && call.name != "detach"
                && call.arguments.iter().any(|(expr, _)| reads_name(expr, carried.name));
            inside(call.call.range()) && (in_place || handed)
        })
}

fn targets(target: &Expr, name: &str) -> bool {
    match target {
        Expr::Tuple(tuple) => tuple.elts.iter().any(|element| targets(element, name)),
        Expr::Subscript(subscript) => targets(&subscript.value, name),
        Expr::Attribute(attribute) if attribute.attr.as_str() == "data" => {
            targets(&attribute.value, name)
        }
        other => dotted(other).is_some_and(|path| path == name),
    }
}
