//! OOM201: an optimizer steps in a loop and nothing ever clears the gradients.

use oomscope_model::{Cause, Finding, FixSafety, Held, Severity};
use ruff_text_size::{Ranged, TextRange};

use crate::edit::{fix, line_before};
use crate::facts::{Call, Facts};
use crate::imports::dotted;
use crate::index::{FileId, FunctionId};
use crate::project::Project;
use crate::report::{Report, report, step};
use crate::rules::Rule;
use crate::search::called_name;
use crate::value::Kind;

pub(crate) const RULE: Rule = Rule {
    id: "OOM201",
    name: "missing-zero-grad",
    cause: Cause::GradientsNotCleared,
    severity: Severity::Warning,
    doc: include_str!("missing_zero_grad.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if !facts.runs_backward || project.is_unit_test(function) {
            continue;
        }
        let mut done: Vec<String> = Vec::new();
        for call in facts.calls.iter().filter(|call| steps_an_optimizer(call)) {
            let Some(optimizer) = receiver(call) else { continue };
            let again = match call.in_loop {
                Some(_) => facts.loops_around(call.in_loop).any(|(_, l)| l.has_backward),
                None => project.repeated.contains_key(&id),
            };
            let made_each_time = facts.assignments.iter().any(|assignment| {
                let around = call.in_loop.and_then(|number| facts.loops.get(number));
                dotted(assignment.target).is_some_and(|name| name == optimizer)
                    && around.is_none_or(|l| l.range.contains_range(assignment.range))
            });
            if made_each_time {
                continue;
            }
            if !again || done.contains(&optimizer) || is_cleared(project, id, &optimizer) {
                continue;
            }
            report_missing(project, id, facts, call, &optimizer, findings);
            done.push(optimizer);
        }
    }
}

fn steps_an_optimizer(call: &Call<'_>) -> bool {
    // Distributed autograd keeps gradients in a context of its own.
    let in_context = call.call.arguments.args.first().and_then(dotted);
    if called_name(call.call) != "step"
        || call.callee.is_some()
        || in_context.is_some_and(|name| name.contains("context"))
    {
        return false;
    }
    let is_optimizer =
        call.receiver.as_ref().is_some_and(|value| matches!(value.kind, Kind::Optimizer));
    is_optimizer || receiver(call).is_some_and(|name| looks_like_optimizer(&name))
}

fn looks_like_optimizer(name: &str) -> bool {
    let lower = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
    (lower.contains("optim") || lower.starts_with("opt") || lower.ends_with("opt"))
        && !lower.contains("sched")
}

fn receiver(call: &Call<'_>) -> Option<String> {
    match &*call.call.func {
        ruff_python_ast::Expr::Attribute(attribute) => dotted(&attribute.value),
        _ => None,
    }
}

/// Whether anything that runs with this function clears the gradients of this optimizer.
fn is_cleared(project: &Project<'_>, id: FunctionId, optimizer: &str) -> bool {
    let wanted = optimizer.rsplit('.').next().unwrap_or(optimizer);
    let mut related = related_functions(project, id);
    related.sort_unstable();
    related.dedup();
    let stepped: Vec<String> = related
        .iter()
        .filter_map(|id| project.facts.get(id.0 as usize))
        .flat_map(|facts| facts.calls.iter().filter(|c| steps_an_optimizer(c)).filter_map(receiver))
        .map(|name| name.rsplit('.').next().unwrap_or(&name).to_owned())
        .collect();
    for facts in related.iter().filter_map(|id| project.facts.get(id.0 as usize)) {
        let mut clears = false;
        for call in &facts.calls {
            let name = called_name(call.call);
            if name == "zero_grad" {
                clears = true;
                let cleared = receiver(call).unwrap_or_default();
                let cleared = cleared.rsplit('.').next().unwrap_or_default().to_owned();
                let another = cleared != wanted && stepped.contains(&cleared);
                if !another {
                    return true;
                }
            } else if name.contains("zero_grad") || name.contains("clear_grad") {
                return true;
            }
        }
        let by_hand = facts.clears_grads && !clears;
        let by_callee = by_hand && facts.calls.iter().all(|c| called_name(c.call) != "zero_grad");
        if by_callee {
            return true;
        }
    }
    false
}

/// The function, its class, what it calls, what calls it, what is defined in it.
fn related_functions(project: &Project<'_>, id: FunctionId) -> Vec<FunctionId> {
    let mut related = vec![id];
    let mut frontier = vec![id];
    for _ in 0..3 {
        let mut next = Vec::new();
        for id in &frontier {
            let sites = project.sites.get(id).into_iter().flatten();
            next.extend(sites.map(|site| site.caller));
            if related.len() > 2000 {
                return related;
            }
        }
        related.extend(&next);
        frontier = next;
    }
    for caller in related.clone() {
        if let Some(facts) = project.facts.get(caller.0 as usize) {
            related.extend(facts.calls.iter().filter_map(|call| call.callee));
        }
        let class = project.index.function(caller).and_then(|f| f.class);
        if let Some(class) = class.and_then(|class| project.index.class(class)) {
            related.extend(class.methods.values());
        }
    }
    let known: rustc_hash::FxHashSet<FunctionId> = related.iter().copied().collect();
    let inner = project.functions().filter(|(_, f, _)| {
        f.parent.is_some_and(|parent| known.contains(&parent))
            && project.index.function(id).is_some_and(|own| own.file == f.file)
            && f.parent.and_then(|p| project.index.function(p)).is_some_and(|p| p.parent.is_some())
    });
    related.extend(inner.map(|(id, ..)| id));
    related
}

fn report_missing(
    project: &Project<'_>,
    id: FunctionId,
    facts: &Facts<'_>,
    call: &Call<'_>,
    optimizer: &str,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(file) = project.index.file_of(id) else {
        return;
    };
    let stepped_at = call.call.range();
    let before = |range: &TextRange| range.start() < stepped_at.start();
    let backward = facts
        .backwards
        .iter()
        .rfind(|b| b.direct && before(&b.call.range()))
        .map_or(stepped_at, |b| b.call.range());
    let clearing = format!("{optimizer}.zero_grad(set_to_none=True)");
    let edit = line_before(file, backward.start(), &clearing);
    let path = [
        step(project, id, backward, "adds to the gradients".to_owned()),
        step(project, id, stepped_at, format!("`{optimizer}` uses them and leaves them")),
    ];
    let finding = Report {
        function: id,
        range: backward,
        severity: Severity::Warning,
        held: Held::Parameters,
        message: format!(
            "nothing clears the gradients of `{optimizer}`: they are summed over all steps \
             (one set of gradients stays, it does not grow)"
        ),
        path: path.into_iter().flatten().collect(),
        fix: edit.map(|edit| fix(FixSafety::Unsafe, format!("call `{clearing}`"), vec![edit])),
    };
    report(project, &RULE, finding, findings);
}
