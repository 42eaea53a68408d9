//! OOM104: a tensor with its graph is handed to a function that keeps it.

use oomscope_model::{Cause, Finding, Fix, FixSafety, Held, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::Ranged;

use crate::edit::{fix, replace, suffix, suffixed};
use crate::facts::{Call, Facts, Kept, StoreKind};
use crate::index::{FileId, Function, FunctionId};
use crate::project::{Project, feeds_backward};
use crate::report::{Report, report, short, step};
use crate::retention::{is_attached, repeated_steps};
use crate::rules::{Group, Rule};
use crate::value::{Kind, Value};

pub(crate) const RULE: Rule = Rule {
    id: "OOM104",
    name: "graph-in-meter",
    group: Group::GraphRetention,
    cause: Cause::GraphRetained,
    severity: Severity::Error,
    doc: include_str!("graph_in_meter.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if function.is_unit_test
            || function.name == "__init__"
            || feeds_backward(function, facts)
            || is_part_of_a_network(project, function, facts)
        {
            continue;
        }
        for call in facts.calls.iter().filter(|call| !call.fleeting) {
            check_call(project, id, facts, call, findings);
        }
    }
}

/// A network's own method that does not train: its caller chooses the grad mode.
fn is_part_of_a_network(project: &Project<'_>, function: &Function<'_>, facts: &Facts<'_>) -> bool {
    let member = function.class.is_some_and(|class| project.index.is_module_class(class));
    member && !facts.runs_backward && !facts.calls_eval
}

fn check_call(
    project: &Project<'_>,
    id: FunctionId,
    facts: &Facts<'_>,
    call: &Call<'_>,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(callee) = call.callee else { return };
    let Some(summary) = project.summaries.get(&callee) else { return };
    // What runs backward itself has freed what it notes down.
    if summary.keeps.is_empty()
        || summary.runs_backward
        || call.arguments.iter().all(|(_, value)| !is_attached(facts, value))
    {
        return;
    }
    let Some(target) = project.index.function(callee) else { return };
    if target.class.is_some_and(|class| project.index.is_module_class(class)) {
        // A network's own state is part of what its caller runs backward through.
        return;
    }
    let offset = usize::from(call.receiver.is_some() && target.class.is_some());
    let positional = call.call.arguments.args.len();
    for (number, (expr, value)) in call.arguments.iter().enumerate() {
        if !is_attached(facts, value) {
            continue;
        }
        let keyword = number
            .checked_sub(positional)
            .and_then(|at| call.call.arguments.keywords.get(at))
            .and_then(|keyword| keyword.arg.as_ref());
        let parameter = match keyword {
            None => Some(number + offset),
            Some(name) => {
                let mut names = target.numbered_parameters().map(|p| p.name.as_str());
                let rest = target.parameters.and_then(|p| p.kwarg.as_ref());
                let rest = rest.and_then(|_| target.numbered_parameters().count().checked_sub(1));
                names.position(|n| n == name.as_str()).or(rest)
            }
        };
        let kept = summary.keeps.iter().find(|kept| {
            Some(kept.parameter) == parameter
                && matches!(
                    kept.kind,
                    StoreKind::Accumulate | StoreKind::Append | StoreKind::Subscript
                )
                && !project.consumed_attributes.contains(&kept.target_name)
        });
        let Some(kept) = kept else { continue };
        let loops = match call.in_loop.and_then(|number| facts.loops.get(number)) {
            Some(around) => {
                let file = project.index.file_of(id);
                let what = file.map_or_else(String::new, |_| short(around.what));
                step(project, id, around.range, format!("every iteration over `{what}`"))
                    .into_iter()
                    .collect()
            }
            None => match repeated_steps(project, id) {
                Some(steps) => steps,
                None => continue,
            },
        };
        report_kept(project, id, facts, call, expr, value, kept, loops, findings);
    }
}

#[expect(clippy::too_many_arguments, reason = "one call site; a struct would only rename them")]
fn report_kept(
    project: &Project<'_>,
    id: FunctionId,
    facts: &Facts<'_>,
    call: &Call<'_>,
    expr: &Expr,
    value: &Value,
    kept: &Kept,
    loops: Vec<oomscope_model::PathStep>,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(file) = project.index.file_of(id) else {
        return;
    };
    let freed = facts.consumed_at_end.union(call.consumed).contains_all(value.may);
    let name = short(file.slice(expr));
    let callee = short(file.slice(&*call.call.func));
    let mut path = Vec::new();
    if let Some(range) = value.may.iter().find_map(|number| facts.graphs.get(number)) {
        let text = short(file.slice(range));
        path.extend(step(project, id, *range, format!("`{text}` records a graph")));
    }
    path.extend(loops);
    path.extend(step(project, id, call.call.range(), format!("`{name}` is handed to `{callee}`")));
    path.extend(step(project, kept.by, kept.range, format!("`{}` keeps it", kept.target)));
    let finding = Report {
        function: id,
        range: call.call.range(),
        severity: if freed { Severity::Warning } else { Severity::Error },
        held: if freed { Held::Nodes } else { Held::Activations },
        message: format!("`{callee}` keeps `{name}` with its graph in `{}`", kept.target),
        path,
        fix: detached(project, expr, value, kept, &name),
    };
    report(project, &RULE, finding, findings);
}

fn detached(
    project: &Project<'_>,
    expr: &Expr,
    value: &Value,
    kept: &Kept,
    name: &str,
) -> Option<Fix> {
    let (text, edits) = match value.kind {
        Kind::Dict => {
            let text = format!("{{k: v.detach() for k, v in {name}.items()}}");
            // The name is cut where it is long.
            let Expr::Name(_) = expr else { return None };
            (text.clone(), vec![replace(expr.range(), text)])
        }
        Kind::List | Kind::Tuple(_) => return None,
        _ => {
            let is_read = project.read_as_tensors.contains(&kept.target_name);
            let ending = if value.scalar && !is_read { ".item()" } else { ".detach()" };
            (suffixed(expr, name, ending), suffix(expr, ending))
        }
    };
    Some(fix(FixSafety::Unsafe, format!("hand over `{text}`"), edits))
}
