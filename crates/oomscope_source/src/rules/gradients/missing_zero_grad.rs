//! OOM201: an optimizer steps in a loop and nothing ever clears the gradients.

use compact_str::CompactString;
use oomscope_model::{Cause, Finding, FixSafety, Held, Severity};
use ruff_text_size::{Ranged, TextRange};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::edit::{fix, line_before};
use crate::facts::{Call, Facts};
use crate::imports::{dotted, last_part};
use crate::index::{FileId, FunctionId};
use crate::project::Project;
use crate::report::{Report, report, step};
use crate::rules::{Group, Rule};
use crate::value::Kind;

pub(crate) const RULE: Rule = Rule {
    id: "OOM201",
    name: "missing-zero-grad",
    group: Group::Gradients,
    cause: Cause::GradientsNotCleared,
    severity: Severity::Warning,
    doc: include_str!("missing_zero_grad.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if !facts.runs_backward || function.is_unit_test {
            continue;
        }
        if facts.calls.iter().any(keeps_gradients_apart) {
            continue;
        }
        let mut clearing: Option<Clearing> = None;
        let mut done: FxHashSet<CompactString> = FxHashSet::default();
        let made = assignments_by_name(facts);
        for call in facts.calls.iter().filter(|call| steps_an_optimizer(call)) {
            let Some(optimizer) = receiver(call) else { continue };
            let again = match call.in_loop {
                Some(_) => facts.loops_around(call.in_loop).any(|(_, l)| l.has_backward),
                None => project.repeated.contains_key(&id),
            };
            let around = call.in_loop.and_then(|number| facts.loops.get(number));
            let made_each_time = made.get(&optimizer).is_some_and(|ranges| {
                ranges.iter().any(|range| around.is_none_or(|l| l.range.contains_range(*range)))
            });
            if !again || made_each_time || done.contains(&optimizer) {
                continue;
            }
            let clearing = clearing.get_or_insert_with(|| clearing_around(project, id));
            if !clearing.clears(&optimizer) {
                report_missing(project, id, facts, call, &optimizer, findings);
                done.insert(optimizer);
            }
        }
    }
}

fn assignments_by_name(facts: &Facts<'_>) -> FxHashMap<CompactString, Vec<TextRange>> {
    let mut made: FxHashMap<CompactString, Vec<TextRange>> = FxHashMap::default();
    for assignment in &facts.assignments {
        if let Some(name) = dotted(assignment.target) {
            made.entry(name).or_default().push(assignment.range);
        }
    }
    made
}

/// Distributed autograd keeps gradients in a context of its own.
fn keeps_gradients_apart(call: &Call<'_>) -> bool {
    call.name == "context" && call.path.as_deref().is_some_and(|path| path.contains("autograd"))
}

fn steps_an_optimizer(call: &Call<'_>) -> bool {
    if call.name != "step" || call.callee.is_some() {
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

fn receiver(call: &Call<'_>) -> Option<CompactString> {
    match &*call.call.func {
        ruff_python_ast::Expr::Attribute(attribute) => dotted(&attribute.value),
        _ => None,
    }
}

/// What is cleared by anything that runs with a function. Optimizers go by their last name.
#[derive(Default)]
struct Clearing {
    stepped: FxHashSet<String>,
    cleared: FxHashSet<String>,
    /// Cleared by hand or by a helper: which gradients, nobody knows.
    clears_unknown: bool,
}

impl Clearing {
    /// Whether an optimizer is cleared: by its name, or by one that steps nowhere, such as the
    /// model's.
    fn clears(&self, optimizer: &str) -> bool {
        self.clears_unknown
            || self.cleared.contains(last_part(optimizer))
            || self.cleared.iter().any(|cleared| !self.stepped.contains(cleared))
    }
}

fn clearing_around(project: &Project<'_>, id: FunctionId) -> Clearing {
    let mut related = related_functions(project, id);
    related.sort_unstable();
    related.dedup();
    let mut clearing = Clearing::default();
    for facts in related.iter().filter_map(|id| project.facts.get(id.0 as usize)) {
        let mut calls_zero_grad = false;
        for call in &facts.calls {
            let name = call.name;
            let holder = || last_part(&receiver(call).unwrap_or_default()).to_owned();
            if name == "zero_grad" {
                calls_zero_grad = true;
                clearing.cleared.insert(holder());
            } else if name.contains("zero_grad") || name.contains("clear_grad") {
                clearing.clears_unknown = true;
            } else if steps_an_optimizer(call) {
                clearing.stepped.insert(holder());
            }
        }
        clearing.clears_unknown |= facts.clears_grads && !calls_zero_grad;
    }
    clearing
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
    let known: FxHashSet<FunctionId> = related.iter().copied().collect();
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
