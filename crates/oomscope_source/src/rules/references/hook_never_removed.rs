//! OOM507: a hook is registered again and again, and its handle is dropped.

use oomscope_model::{Cause, Finding, Held, PathStep, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::Ranged;

use crate::facts::{Owner, StoreKind};
use crate::imports::dotted;
use crate::index::{FileId, FunctionId};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};
use crate::search::called_name;
use crate::sites::Site;
use crate::value::Kind;

pub(crate) const RULE: Rule = Rule {
    id: "OOM507",
    name: "hook-never-removed",
    group: Group::References,
    cause: Cause::ReferencesHeld,
    severity: Severity::Error,
    doc: include_str!("hook_never_removed.md"),
    check,
};

/// Ways to register a hook on a module. Hooks on tensors die with the tensor.
const REGISTERS: [&str; 5] = [
    "register_backward_hook",
    "register_forward_hook",
    "register_forward_pre_hook",
    "register_full_backward_hook",
    "register_full_backward_pre_hook",
];

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for site in project.calls_named(&REGISTERS) {
        let function = site.function;
        if !site.call.is_statement
            || function.parent.is_none()
            || matches!(function.name, "__init__" | "__new__" | "main")
            || site.call.fleeting
        {
            continue;
        }
        let Some((why, severity)) = repeats(project, &site) else { continue };
        let Some(file) = project.index.file(function.file) else { continue };
        let call = site.call.call;
        let holder = match &*call.func {
            Expr::Attribute(attribute) => short(file.slice(&*attribute.value)),
            _ => continue,
        };
        let mut path: Vec<PathStep> = why.into_iter().collect();
        path.extend(step(project, site.id, call.range(), "the handle is dropped".to_owned()));
        let finding = Report {
            function: site.id,
            range: call.range(),
            severity,
            held: Held::Activations,
            message: format!(
                "`{}` adds one more hook to `{holder}` at every call, and none can be removed",
                called_name(call)
            ),
            path,
            fix: None,
        };
        report(project, &RULE, finding, findings);
    }
}

/// Why one module gets the hook more than once.
fn repeats(project: &Project<'_>, site: &Site<'_, '_>) -> Option<(Option<PathStep>, Severity)> {
    let Expr::Attribute(attribute) = &*site.call.call.func else { return None };
    let holder = dotted(&attribute.value)?;
    let is_own = holder.starts_with("self.");
    let in_module = site.function.class.is_some_and(|c| project.index.is_module_class(c));
    if site.function.name == "forward" && in_module && is_own {
        let range = site.function.range;
        return Some((
            step(project, site.id, range, "`forward` runs in every step".to_owned()),
            Severity::Error,
        ));
    }
    if let Some(steps) = called_over_data(project, site.id)
        && (is_own || is_parameter(site, &holder))
    {
        return Some((Some(steps), Severity::Error));
    }
    // Every object of this class adds its own method to a module that it was lent.
    if is_own || !is_parameter(site, &holder) {
        return None;
    }
    let (_, hook) = site.call.arguments.first()?;
    let Kind::Function(hook) = hook.kind else { return None };
    let is_method = project.index.function(hook).is_some_and(|f| f.class.is_some());
    let facts = project.facts.get(hook.0 as usize)?;
    let keeps = facts.stores.iter().find(|store| {
        store.kind == StoreKind::Append
            && store.owner == Owner::Object
            && store.pieces.iter().any(|p| !p.value.params.is_empty() && !p.value.host)
    })?;
    let what = format!("each object's hook appends to its own `{}`", keeps.target);
    is_method.then(|| (step(project, hook, keeps.range, what), Severity::Warning))
}

fn is_parameter(site: &Site<'_, '_>, holder: &str) -> bool {
    let root = holder.split('.').next().unwrap_or(holder);
    root != "self" && site.function.numbered_parameters().any(|p| p.name.as_str() == root)
}

/// The call of a function in a loop over data, steps or epochs. A loop over layers hooks each once.
fn called_over_data(project: &Project<'_>, id: FunctionId) -> Option<PathStep> {
    project.sites.get(&id)?.iter().filter(|site| site.in_loop && site.caller != id).find_map(
        |site| {
            let facts = project.facts.get(site.caller.0 as usize)?;
            let call = facts.calls.iter().find(|c| c.call.range().start() == site.at)?;
            let (_, over) = facts.loops_around(call.in_loop).find(|(_, this)| {
                let what = this.what.to_ascii_lowercase();
                this.has_backward
                    || this.over_data && !what.contains("named_") && !what.contains("modules")
            })?;
            let what = format!("called in every iteration over `{}`", short(over.what));
            step(project, site.caller, call.call.range(), what)
        },
    )
}
