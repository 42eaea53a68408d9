//! OOM202: `retain_graph=True` with no second backward through the graph.

use compact_str::CompactString;
use oomscope_model::{Cause, Finding, FixSafety, Held, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::{Ranged, TextRange};

use crate::edit::{fix, remove_argument};
use crate::facts::{Assignment, Backward, Call, Facts, StoreKind};
use crate::imports::dotted;
use crate::index::{FileId, FunctionId};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::retention::certain_graphs;
use crate::rules::{Group, Rule};
use crate::search::{called_name, each_expr};

pub(crate) const RULE: Rule = Rule {
    id: "OOM202",
    name: "retain-graph",
    group: Group::Gradients,
    cause: Cause::RetainedBackward,
    severity: Severity::Warning,
    doc: include_str!("retain_graph.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if function.is_unit_test {
            continue;
        }
        for backward in facts.backwards.iter().filter(|b| b.retain_graph && !b.create_graph) {
            let again = backward.in_loop.is_some() || project.repeated.contains_key(&id);
            if again && backward.direct && is_last_use(project, facts, backward) {
                report_retained(project, id, backward, findings);
            } else if let Some(shared) = shared_for_nothing(facts, backward) {
                report_shared(project, id, backward, &shared, findings);
            } else if let Some(made) = stale_part(facts, backward) {
                report_stale(project, id, backward, made, findings);
            }
        }
    }
}

/// Whether the graph was made in the same iteration and nothing after this goes through it.
fn is_last_use(project: &Project<'_>, facts: &Facts<'_>, backward: &Backward<'_>) -> bool {
    // With a gradient given it is a step of somebody's own backward.
    if !backward.call.arguments.args.is_empty() {
        return false;
    }
    if !backward.value.is_attached() || backward.value.may.is_empty() {
        return false;
    }
    let at = backward.call.range().start();
    let around = backward.in_loop.and_then(|number| facts.loops.get(number));
    let start = around.map_or(ruff_text_size::TextSize::default(), |l| l.range.start());
    let made_here = backward.value.may.iter().all(|number| {
        facts.graphs.get(number).is_some_and(|range| range.start() >= start && range.start() < at)
    });
    let used_later = facts
        .backwards
        .iter()
        .any(|other| other.call.range().start() > at && other.in_loop == backward.in_loop)
        || facts.calls.iter().any(|call| {
            call.call.range().start() > at
                && (call.name == "grad"
                    || call
                        .callee
                        .and_then(|id| project.summaries.get(&id))
                        .is_some_and(|s| s.runs_backward))
        });
    let carried = !backward.value.containers.is_empty();
    made_here && !used_later && !carried
}

/// Where a part of the graph was made, if that is before the loop in which the optimizer changes
/// the parameters that it was made with.
fn stale_part(facts: &Facts<'_>, backward: &Backward<'_>) -> Option<TextRange> {
    let around = backward.in_loop.and_then(|number| facts.loops.get(number))?;
    let steps = facts
        .calls
        .iter()
        .any(|call| call.name == "step" && call.in_loop == backward.in_loop && !call.fleeting);
    if !steps || !backward.direct || !backward.value.is_attached() {
        return None;
    }
    let graphs = certain_graphs(facts, backward.value.may);
    // Elements of a list have a graph each.
    let kept = facts.stores.iter().filter(|store| store.kind != StoreKind::Accumulate);
    let apart = kept.fold(facts.latents, |all, store| all.union(store.value.may));
    let mut before = graphs.iter().filter(|number| !apart.contains(*number));
    before.find_map(|number| {
        let made = facts.graphs.get(number)?;
        (made.end() <= around.range.start()).then_some(*made)
    })
}

/// A network that the next backward goes through again although no optimizer that steps after it
/// has that network's parameters.
struct Shared {
    made: TextRange,
    again: TextRange,
}

fn shared_for_nothing(facts: &Facts<'_>, backward: &Backward<'_>) -> Option<Shared> {
    let at = backward.call.range().start();
    let mut later = facts.backwards.iter().filter(|other| {
        other.call.range().start() > at && other.in_loop == backward.in_loop && other.direct
    });
    let (next, None) = (later.next()?, later.next()) else { return None };
    let after = |call: &&Call<'_>| call.call.range().start() > next.call.range().start();
    let steps =
        facts.calls.iter().filter(|call| call.name == "step" && call.in_loop == backward.in_loop);
    let stepped: Vec<CompactString> = steps.filter(after).filter_map(holder).collect();
    if stepped.is_empty() {
        return None;
    }
    let trained: Vec<(CompactString, Vec<CompactString>)> =
        facts.assignments.iter().filter_map(optimizer).collect();
    let own: Vec<&CompactString> = trained
        .iter()
        .filter(|(name, _)| stepped.contains(name))
        .flat_map(|(_, networks)| networks)
        .collect();
    let known = stepped.iter().all(|name| trained.iter().any(|(optimizer, _)| optimizer == name));
    if !known || own.is_empty() {
        return None;
    }
    let both = backward.value.may.intersection(next.value.may);
    let network = |graph: usize| {
        let made = facts.graphs.get(graph)?;
        let call = facts.calls.iter().find(|call| call.call.range() == *made)?;
        let name = dotted(&call.call.func)?;
        // What an optimizer has the parameters of is a network, whatever its name.
        let is_trained = trained.iter().any(|(_, networks)| networks.contains(&name));
        is_trained.then_some((*made, name))
    };
    let mut shared = both.iter().filter_map(network).peekable();
    let (made, _) = shared.peek()?.clone();
    shared.all(|(_, name)| !own.contains(&&name)).then(|| Shared { made, again: next.call.range() })
}

fn holder(call: &Call<'_>) -> Option<CompactString> {
    match &*call.call.func {
        Expr::Attribute(attribute) => dotted(&attribute.value),
        _ => None,
    }
}

/// `opt = Adam(list(a.parameters()) + list(b.parameters()))` as `opt` and `a`, `b`.
fn optimizer(assignment: &Assignment<'_>) -> Option<(CompactString, Vec<CompactString>)> {
    let Expr::Call(made) = assignment.value else { return None };
    let name = dotted(assignment.target)?;
    let mut networks = Vec::new();
    for argument in
        made.arguments.args.iter().chain(made.arguments.keywords.iter().map(|k| &k.value))
    {
        each_expr(argument, &mut |expr| {
            if let Expr::Call(call) = expr
                && called_name(call) == "parameters"
                && let Expr::Attribute(attribute) = &*call.func
            {
                networks.extend(dotted(&attribute.value));
            }
        });
    }
    (!networks.is_empty()).then_some((name, networks))
}

fn report_shared(
    project: &Project<'_>,
    id: FunctionId,
    backward: &Backward<'_>,
    shared: &Shared,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(file) = project.index.file_of(id) else { return };
    let range = backward.call.range();
    let text = short(file.slice(&shared.made));
    let path = [
        step(project, id, shared.made, format!("`{text}` records a graph")),
        step(project, id, range, "keeps it".to_owned()),
        step(
            project,
            id,
            shared.again,
            "goes through it again, and no step follows that uses it".to_owned(),
        ),
    ];
    let finding = Report {
        function: id,
        range,
        severity: Severity::Warning,
        held: Held::Activations,
        message: format!(
            "`retain_graph=True` keeps `{text}` for a second backward whose gradients there \
             nothing uses: detach its result before that forward"
        ),
        path: path.into_iter().flatten().collect(),
        fix: None,
    };
    report(project, &RULE, finding, findings);
}

fn report_stale(
    project: &Project<'_>,
    id: FunctionId,
    backward: &Backward<'_>,
    made: TextRange,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(file) = project.index.file_of(id) else { return };
    let range = backward.call.range();
    let text = short(file.slice(&made));
    let path = [
        step(project, id, made, format!("`{text}` records a graph, once")),
        step(project, id, range, "goes through it in every iteration".to_owned()),
    ];
    let finding = Report {
        function: id,
        range,
        severity: Severity::Warning,
        held: Held::Activations,
        message: format!(
            "`retain_graph=True` keeps the activations of `{text}` for the whole loop, and \
             after the first step they are stale: compute it anew in each iteration"
        ),
        path: path.into_iter().flatten().collect(),
        fix: None,
    };
    report(project, &RULE, finding, findings);
}

fn report_retained(
    project: &Project<'_>,
    id: FunctionId,
    backward: &Backward<'_>,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(file) = project.index.file_of(id) else {
        return;
    };
    let range = backward.call.range();
    let loss = match &*backward.call.func {
        Expr::Attribute(attribute) => short(file.slice(&*attribute.value)),
        _ => "the loss".to_owned(),
    };
    let argument = backward
        .call
        .arguments
        .keywords
        .iter()
        .find(|keyword| keyword.arg.as_ref().is_some_and(|arg| arg.as_str() == "retain_graph"));
    let path = step(project, id, range, format!("keeps the whole graph of `{loss}` alive"));
    let finding = Report {
        function: id,
        range,
        severity: Severity::Warning,
        held: Held::Activations,
        message: format!(
            "`retain_graph=True` keeps the activations of `{loss}`, and no later backward uses them"
        ),
        path: path.into_iter().collect(),
        fix: argument.map(|argument| {
            let edit = remove_argument(file, argument.range());
            fix(FixSafety::Unsafe, "drop `retain_graph=True`", vec![edit])
        }),
    };
    report(project, &RULE, finding, findings);
}
