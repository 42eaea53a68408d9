//! OOM511: a module is handed to its own child, which keeps it.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::Ranged;

use crate::facts::StoreKind;
use crate::imports::dotted;
use crate::index::{ClassId, FileId};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};
use crate::search::called_name;

pub(crate) const RULE: Rule = Rule {
    id: "OOM511",
    name: "model-keeps-parent",
    group: Group::References,
    cause: Cause::ReferencesHeld,
    severity: Severity::Note,
    doc: include_str!("model_keeps_parent.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        let (Some(class), "__init__") = (function.class, function.name) else { continue };
        if !project.index.is_module_class(class) || function.is_unit_test {
            continue;
        }
        for assignment in &facts.assignments {
            let (Expr::Attribute(_), Expr::Call(made)) = (assignment.target, assignment.value)
            else {
                continue;
            };
            let given =
                made.arguments.args.iter().position(
                    |argument| matches!(argument, Expr::Name(n) if n.id.as_str() == "self"),
                );
            let Some(number) = given else { continue };
            let child = project.index.class_named(function.file, called_name(made));
            let Some((keeper, kept)) = child.and_then(|child| keeps(project, child, number)) else {
                continue;
            };
            let Some(file) = project.index.file(function.file) else { continue };
            let target = short(file.slice(assignment.target));
            let path = [
                step(project, id, assignment.range, format!("`{target}` is given its parent")),
                step(project, keeper, kept.0, format!("`{}` keeps it", kept.1)),
            ];
            let finding = Report {
                function: id,
                range: made.range(),
                severity: Severity::Note,
                held: Held::Parameters,
                message: format!(
                    "`{target}` refers back to the module that holds it: both wait for the garbage \
                     collector"
                ),
                path: path.into_iter().flatten().collect(),
                fix: None,
            };
            report(project, &RULE, finding, findings);
        }
    }
}

/// Where a class's `__init__` keeps its argument of a number under an attribute.
fn keeps(
    project: &Project<'_>,
    class: ClassId,
    number: usize,
) -> Option<(crate::index::FunctionId, (ruff_text_size::TextRange, String))> {
    let init = project.index.method(class, "__init__")?;
    let parameter = project.index.function(init)?.numbered_parameters().nth(number + 1)?;
    let name = parameter.name.as_str();
    let facts = project.facts.get(init.0 as usize)?;
    let store = facts.stores.iter().find(|store| {
        store.kind == StoreKind::Attribute
            && store.target.starts_with("self.")
            && facts.assignments.iter().any(|assignment| {
                assignment.range == store.range
                    && dotted(assignment.value).is_some_and(|path| path.as_str() == name)
            })
    })?;
    Some((init, (store.range, store.target.to_owned())))
}
