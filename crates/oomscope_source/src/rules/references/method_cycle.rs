//! OOM510: an object made in every iteration keeps its own bound method beside device tensors: only
//! the garbage collector frees it.

use oomscope_model::{Cause, Finding, Held, PathStep, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::TextRange;

use crate::facts::{Facts, StoreKind};
use crate::index::{ClassId, FileId, FunctionId};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};
use crate::search::contains;

pub(crate) const RULE: Rule = Rule {
    id: "OOM510",
    name: "method-cycle",
    group: Group::References,
    cause: Cause::ReferencesHeld,
    severity: Severity::Warning,
    doc: include_str!("method_cycle.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        let (Some(class), "__init__") = (function.class, function.name) else { continue };
        if function.is_unit_test || project.index.is_module_class(class) {
            continue;
        }
        let Some((range, target)) = cycle(project, class, facts) else { continue };
        let Some(tensor) = kept_tensor(facts) else { continue };
        let Some(made) = made_in_a_loop(project, class, function.file) else { continue };
        let Some(file) = project.index.file(function.file) else { continue };
        let mut path = made;
        let held = format!("`{}` is held with it", short(file.slice(&tensor)));
        path.extend(step(project, id, tensor, held));
        path.extend(step(project, id, range, format!("`{target}` refers back to the object")));
        let finding = Report {
            function: id,
            range,
            severity: Severity::Warning,
            held: Held::Tensors,
            message: format!(
                "`{target}` makes a cycle through `self`: its tensors wait for the garbage collector"
            ),
            path,
            fix: None,
        };
        report(project, &RULE, finding, findings);
    }
}

/// `self.fn = self.method`, or a lambda that reads `self`.
fn cycle(project: &Project<'_>, class: ClassId, facts: &Facts<'_>) -> Option<(TextRange, String)> {
    let is_self = |expr: &Expr| matches!(expr, Expr::Name(n) if n.id.as_str() == "self");
    facts.assignments.iter().find_map(|assignment| {
        let Expr::Attribute(target) = assignment.target else { return None };
        let refers = match assignment.value {
            Expr::Attribute(value) => {
                is_self(&value.value)
                    && project.index.method(class, value.attr.as_str()).is_some()
                    && !is_property(project, class, value.attr.as_str())
            }
            Expr::Lambda(lambda) => contains(&lambda.body, is_self),
            _ => false,
        };
        (is_self(&target.value) && refers)
            .then(|| (assignment.range, format!("self.{}", target.attr)))
    })
}

fn is_property(project: &Project<'_>, class: ClassId, name: &str) -> bool {
    let method = project.index.method(class, name);
    method
        .and_then(|method| project.index.function(method))
        .is_some_and(|f| !f.decorators.is_empty())
}

/// A tensor of the device that the same `__init__` keeps.
fn kept_tensor(facts: &Facts<'_>) -> Option<TextRange> {
    let store = facts.stores.iter().find(|store| {
        store.kind == StoreKind::Attribute
            && store.target.starts_with("self.")
            && (store.value.device || store.value.output)
            && !store.value.host
            && !store.value.scalar
    })?;
    Some(store.range)
}

/// Where objects of the class are made again and again.
fn made_in_a_loop(project: &Project<'_>, class: ClassId, file: FileId) -> Option<Vec<PathStep>> {
    let made = |id: FunctionId, facts: &Facts<'_>| {
        let call = facts.calls.iter().find(|call| {
            let name = call.name;
            name.starts_with(|c: char| c.is_ascii_uppercase())
                && project.index.class_named(file, name) == Some(class)
                && facts.loops_around(call.in_loop).any(|(_, l)| l.over_data || l.has_backward)
        })?;
        let range = ruff_text_size::Ranged::range(call.call);
        let made = step(project, id, range, "made in every iteration".to_owned());
        Some(made.into_iter().collect())
    };
    let mut here = project.functions_of(file);
    here.find_map(|(id, _, facts)| made(id, facts))
}
