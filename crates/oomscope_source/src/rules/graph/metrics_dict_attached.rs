//! OOM106: a function returns metrics that carry their graph, and a caller keeps them.

use oomscope_model::{Cause, Finding, FixSafety, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::{Ranged, TextRange};

use crate::edit::{fix, suffix};
use crate::facts::{Facts, Owner, Store, StoreKind};
use crate::index::{FileId, FunctionId};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::retention::{is_attached, retained};
use crate::rules::{Group, Rule};
use crate::search::called_name;
use crate::value::{Graph, Kind, Value};

pub(crate) const RULE: Rule = Rule {
    id: "OOM106",
    name: "metrics-dict-attached",
    group: Group::GraphRetention,
    cause: Cause::GraphRetained,
    severity: Severity::Error,
    doc: include_str!("metrics_dict_attached.md"),
    check,
};

/// Calls and names between the store and the dict.
const LONGEST_TRACE: usize = 8;

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        for store in &facts.stores {
            let Some(source) = kept_dict(project, id, facts, store) else { continue };
            let Some(kept) = retained(project, id, function, facts, store) else { continue };
            let (Some(maker), Some(file)) =
                (project.index.function(source.function), project.index.file_of(source.function))
            else {
                continue;
            };
            let Some((first, _)) = source.parts.first() else { continue };
            let name = short(file.slice(*first));
            let made = format!("`{}` returns it in a dict", maker.qualified);
            let mut path: Vec<_> =
                step(project, source.function, source.range, made).into_iter().collect();
            path.extend(kept.path);
            let edits = source.parts.iter().flat_map(|(expr, _)| suffix(expr, ".detach()"));
            let finding = Report {
                function: source.function,
                range: first.range(),
                severity: kept.severity,
                held: kept.held,
                message: format!(
                    "`{}` returns `{name}` with its graph among its metrics, and `{}` keeps them",
                    maker.qualified, store.target
                ),
                path,
                fix: Some(fix(FixSafety::Unsafe, "detach the metrics", edits.collect())),
            };
            report(project, &RULE, finding, findings);
        }
    }
}

/// A dict made in another function.
pub(super) struct Source<'f, 'a> {
    function: FunctionId,
    range: TextRange,
    /// The values in it that carry a graph.
    parts: Vec<(&'a Expr, &'f Value)>,
}

/// Where a stored dict of metrics was made, if in another function.
pub(super) fn kept_dict<'f, 'a>(
    project: &'f Project<'a>,
    id: FunctionId,
    facts: &'f Facts<'a>,
    store: &'f Store<'a>,
) -> Option<Source<'f, 'a>> {
    let keeps = store.kind == StoreKind::Append && store.owner != Owner::Parameter;
    let [piece] = store.pieces.as_slice() else { return None };
    if !keeps || !is_attached(facts, &piece.value) {
        return None;
    }
    let (function, dict) = origin(project, id, piece.expr, None, LONGEST_TRACE)?;
    if function == id {
        return None;
    }
    let mut parts = Vec::new();
    collect(project.facts.get(function.0 as usize)?, dict, 0, &mut parts);
    (!parts.is_empty()).then_some(Source { function, range: dict.range(), parts })
}

/// Follows names, calls and their return values to a dict.
fn origin<'f, 'a>(
    project: &'f Project<'a>,
    id: FunctionId,
    expr: &'a Expr,
    element: Option<usize>,
    left: usize,
) -> Option<(FunctionId, &'a Expr)> {
    let left = left.checked_sub(1)?;
    let facts = project.facts.get(id.0 as usize)?;
    match expr {
        Expr::Dict(_) => Some((id, expr)),
        Expr::Tuple(tuple) => origin(project, id, tuple.elts.get(element?)?, None, left),
        Expr::Name(name) => {
            let (value, element) =
                facts.assignments.iter().rev().find_map(|assignment| match assignment.target {
                    Expr::Name(target) if target.id == name.id => Some((assignment.value, None)),
                    Expr::Tuple(targets) => targets
                        .elts
                        .iter()
                        .position(|t| matches!(t, Expr::Name(n) if n.id == name.id))
                        .map(|at| (assignment.value, Some(at))),
                    _ => None,
                })?;
            origin(project, id, value, element, left)
        }
        Expr::Call(call) if called_name(call) == "dict" => Some((id, expr)),
        Expr::Call(call) => {
            let known = facts.calls.iter().find(|known| std::ptr::eq(known.call, call))?;
            let Some(callee) = known.callee else {
                // `flatten(stats)` of a library hands on what it gets.
                let [(only, value)] = known.arguments.as_slice() else { return None };
                return matches!(value.kind, Kind::Dict)
                    .then(|| origin(project, id, only, None, left))
                    .flatten();
            };
            let returns = &project.facts.get(callee.0 as usize)?.returns;
            returns.iter().find_map(|r| origin(project, callee, r.expr, element, left))
        }
        _ => None,
    }
}

/// The attached values of a dict, those of dicts in it included.
fn collect<'f, 'a>(
    facts: &'f Facts<'a>,
    dict: &Expr,
    depth: usize,
    parts: &mut Vec<(&'a Expr, &'f Value)>,
) {
    let literal = facts.dicts.iter().find(|known| known.range == dict.range());
    let call = || facts.calls.iter().find(|known| known.call.range() == dict.range());
    let items = match literal {
        Some(literal) => &literal.items,
        None => match call() {
            Some(call) => &call.arguments,
            None => return,
        },
    };
    for (expr, value) in items {
        if value.graph == Graph::No || parts.len() > 64 {
            continue;
        }
        let is_dict = matches!(expr, Expr::Dict(_))
            || matches!(expr, Expr::Call(call) if called_name(call) == "dict");
        if is_dict && depth < 8 {
            collect(facts, expr, depth + 1, parts);
        } else if is_attached(facts, value) || !value.params.is_empty() {
            parts.push((expr, value));
        }
    }
}
