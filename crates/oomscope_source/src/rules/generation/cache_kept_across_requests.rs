//! OOM863: an object keeps the key/value cache of one call for the next and never resets it.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::Ranged;

use crate::facts::StoreKind;
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};
use crate::search::keyword;

pub(crate) const RULE: Rule = Rule {
    id: "OOM863",
    name: "cache-kept-across-requests",
    group: Group::Generation,
    cause: Cause::KvCache,
    severity: Severity::Warning,
    doc: include_str!("cache_kept_across_requests.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if function.name == "__init__" || function.class.is_none() || function.is_unit_test {
            continue;
        }
        for store in facts.stores.iter().filter(|store| store.kind == StoreKind::Attribute) {
            let Some(assignment) = facts.assignments.iter().find(|a| a.range == store.range) else {
                continue;
            };
            let Expr::Attribute(value) = assignment.value else { continue };
            if value.attr.as_str() != "past_key_values"
                || !store.target.starts_with("self.")
                || project.rewritten.contains(&store.target_name)
                || project.emptied.contains(&store.target_name)
            {
                continue;
            }
            let Some(file) = project.index.file(function.file) else { continue };
            let again = facts.calls.iter().find(|call| {
                keyword(call.call, "past_key_values")
                    .is_some_and(|past| file.slice(past) == store.target)
            });
            let Some(again) = again else { continue };
            let text = short(file.slice(again.call));
            let path = [
                step(
                    project,
                    id,
                    again.call.range(),
                    format!("`{text}` extends what the object keeps"),
                ),
                step(
                    project,
                    id,
                    store.range,
                    format!("`{}` keeps it for the next call", store.target),
                ),
            ];
            let finding = Report {
                function: id,
                range: store.range,
                severity: Severity::Warning,
                held: Held::Tensors,
                message: format!(
                    "`{}` grows by the tokens of every call, and nothing resets it",
                    store.target
                ),
                path: path.into_iter().flatten().collect(),
                fix: None,
            };
            report(project, &RULE, finding, findings);
        }
    }
}
