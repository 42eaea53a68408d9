//! OOM301: evaluation calls the model while autograd records.

use oomscope_model::{Cause, Finding, Fix, FixSafety, GradMode, Held, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::TextRange;

use crate::callers::CallSite;
use crate::edit::{decorator, fix};
use crate::facts::{Facts, Mode, ModelCall};
use crate::imports::dotted;
use crate::index::{FileId, Function, FunctionId};
use crate::parse::Parsed;
use crate::project::{Project, feeds_backward};
use crate::report::{Report, report, short, step};
use crate::retention::attached_graphs;
use crate::rules::{Group, Rule};
use crate::torch_api;

pub(crate) const RULE: Rule = Rule {
    id: "OOM301",
    // Says what to do about it; the cause of the same findings is `eval-records-graph`.
    name: "eval-without-no-grad",
    group: Group::Evaluation,
    cause: Cause::EvalRecordsGraph,
    severity: Severity::Error,
    doc: include_str!("eval_without_no_grad.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if function.is_unit_test
            || facts.model_calls.is_empty() && !facts.calls_eval
            || project.is_of_another_framework(function)
            || project.runs_without_grad(id)
            || facts.wants_grad
            || is_part_of_a_module(project, function, facts)
        {
            continue;
        }
        let calls = facts.model_calls.iter().filter(|call| {
            !call.criterion
                && matches!(call.mode, Mode::Inherited | Mode::On)
                && call.in_except.is_none()
        });
        let whole = project.evaluates(id) && evidence_of_evaluation(function, facts);
        let found = if whole {
            // One in a loop matters more than one beside it.
            let calls: Vec<ModelCall> = calls.copied().collect();
            let looped = calls.iter().find(|call| call.in_loop.is_some());
            looped.or(calls.first()).copied().or_else(|| step_in_loop(project, facts))
        } else {
            calls.copied().find(|call| in_evaluation_loop(facts, call))
        };
        if let Some(call) = found {
            report_recorded(project, id, function, facts, &call, whole, findings);
        }
    }
}

/// A network's own methods are called by others, under whatever mode those choose, unless they
/// loop over the network themselves.
fn is_part_of_a_module(project: &Project<'_>, function: &Function<'_>, facts: &Facts<'_>) -> bool {
    let member = function.class.is_some_and(|class| project.index.is_module_class(class));
    let loops = facts.model_calls.iter().any(|call| !call.criterion && call.in_loop.is_some());
    let runs_itself = facts.calls.iter().any(|call| {
        call.in_loop.is_some()
            && matches!(&*call.call.func, Expr::Name(n) if n.id.as_str() == "self")
            || dotted(&call.call.func).is_some_and(|path| path == "self.forward")
    });
    let decodes = loops
        && (matches!(function.name, "generate" | "predict" | "evaluate")
            || function.name.starts_with("generate") && runs_itself);
    member && !decodes
        || function.name == "forward"
        || feeds_backward(function, facts) && !(facts.calls_eval && loops)
        || function.name == "__init__"
}

/// The call in a loop of a function that runs the network: `self._eval_step(batch)`.
fn step_in_loop(project: &Project<'_>, facts: &Facts<'_>) -> Option<ModelCall> {
    facts.calls.iter().filter(|call| facts.calls_eval && call.in_loop.is_some()).find_map(|call| {
        let callee = call.callee?;
        let inner = project.facts.get(callee.0 as usize)?;
        let records = matches!(call.mode, Mode::Inherited | Mode::On)
            && project.grad_mode(callee) != GradMode::Off
            && !inner.runs_backward
            && !inner.wants_grad;
        let runs = inner
            .model_calls
            .iter()
            .any(|model| !model.criterion && matches!(model.mode, Mode::Inherited | Mode::On));
        (records && runs).then(|| ModelCall {
            range: ruff_text_size::Ranged::range(call.call),
            in_loop: call.in_loop,
            mode: call.mode,
            criterion: false,
            in_except: None,
        })
    })
}

/// A name alone does not decide: `eval()` is called, or a loop goes over data.
fn evidence_of_evaluation(function: &Function<'_>, facts: &Facts<'_>) -> bool {
    let looped = facts.model_calls.iter().any(|call| {
        facts
            .loops_around(call.in_loop)
            .any(|(_, around)| around.over_data || function.name.starts_with("generate"))
    });
    let named = torch_api::names_an_evaluation(function.name);
    let evaluates_by_call = facts.calls_eval && (!facts.calls_train || named) && !builds(function);
    // Who returns what the model says hands the decision to the caller.
    let only_returns = facts.returned.0 != 0 && !looped && !facts.calls_eval;
    (evaluates_by_call || looped) && !only_returns
}

/// A network that is made and tried out once.
fn builds(function: &Function<'_>) -> bool {
    let first = function.name.trim_matches('_').split('_').next().unwrap_or_default();
    matches!(
        first,
        "get"
            | "build"
            | "make"
            | "create"
            | "load"
            | "init"
            | "setup"
            | "export"
            | "convert"
            | "configure"
            | "prepare"
    )
}

/// A loop over validation data in a function that also trains, or in a script.
fn in_evaluation_loop(facts: &Facts<'_>, call: &ModelCall) -> bool {
    let mut around = facts.loops_around(call.in_loop);
    let Some((_, inner)) = around.next() else { return false };
    let lower = inner.what.to_ascii_lowercase();
    let names_evaluation = lower.split(|c: char| !c.is_ascii_alphanumeric()).any(|w| {
        torch_api::names_an_evaluation(w) || matches!(w, "valloader" | "testloader" | "evalloader")
    });
    inner.over_data && !inner.has_backward && names_evaluation && facts.calls_eval
}

fn report_recorded(
    project: &Project<'_>,
    id: FunctionId,
    function: &Function<'_>,
    facts: &Facts<'_>,
    call: &ModelCall,
    whole: bool,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(file) = project.index.file(function.file) else { return };
    let accumulates = facts.stores.iter().any(|store| {
        store.in_loop.is_some() && store.outlives_loop && attached_graphs(facts, store).is_some()
    });
    let text = short(file.slice(&call.range));
    let mut path = Vec::new();
    let eval_call = facts.calls.iter().find(|c| c.name == "eval");
    if let Some(eval_call) = eval_call {
        let range = ruff_text_size::Ranged::range(eval_call.call);
        path.extend(step(project, id, range, "`eval()` does not switch autograd off".to_owned()));
    }
    if let Some((_, around)) = facts.loops_around(call.in_loop).next() {
        let what = format!("every iteration over `{}`", short(around.what));
        path.extend(step(project, id, around.range, what));
    }
    path.extend(step(
        project,
        id,
        call.range,
        format!("`{text}` saves activations for a backward that never comes"),
    ));
    // A base class that calls what its subclasses define decides for all of them.
    let (place, range) = match delegating_site(project, id, function) {
        Some(site) => (site.caller, TextRange::empty(site.at)),
        None => (id, call.range),
    };
    if place != id {
        path.extend(step(project, place, range, "every subclass is run from here".to_owned()));
    }
    // One forward at the end of a script saves activations for a moment.
    let passing = call.in_loop.is_none()
        && !torch_api::names_an_evaluation(function.name)
        && !project.repeated.contains_key(&id);
    let light = passing || project.is_benchmark(function);
    let name = if function.parent.is_some() { function.qualified.as_str() } else { "this script" };
    let finding = Report {
        function: place,
        range,
        severity: match accumulates {
            _ if light => Severity::Note,
            true => Severity::Error,
            false => Severity::Warning,
        },
        held: Held::Activations,
        message: format!("`{name}` evaluates, but `{text}` records a graph: no `no_grad` is on"),
        path,
        fix: if whole && place_is_in(project, place, function) {
            no_grad_decorator(file, project, function)
        } else {
            None
        },
    };
    report(project, &RULE, finding, findings);
}

/// The call in a base class that runs a method which only subclasses define.
fn delegating_site(
    project: &Project<'_>,
    id: FunctionId,
    function: &Function<'_>,
) -> Option<CallSite> {
    let class = function.class?;
    let sites = project.sites.get(&id)?;
    let delegates = |site: &CallSite| {
        let owner = project.index.function(site.caller).and_then(|caller| caller.class);
        owner.is_some_and(|owner| {
            owner != class
                && project.index.method(owner, function.name).is_none()
                && project.index.overriders(owner, function.name).contains(&id)
        })
    };
    sites.iter().all(delegates).then(|| sites.first().copied()).flatten()
}

fn place_is_in(project: &Project<'_>, place: FunctionId, function: &Function<'_>) -> bool {
    project.index.function(place).is_some_and(|caller| caller.file == function.file)
}

fn no_grad_decorator(file: &Parsed, project: &Project<'_>, function: &Function<'_>) -> Option<Fix> {
    let imports = &project.index.names(function.file)?.imports;
    let is_torch = imports.path_of("torch") == Some("torch") || !imports.stars.is_empty();
    function.parent?;
    if !is_torch {
        return None;
    }
    let edit = decorator(file, function, "@torch.no_grad()")?;
    Some(fix(FixSafety::Unsafe, "run it under `torch.no_grad()`", vec![edit]))
}
