//! OOM605: the best weights so far are kept as a second copy on the device.

use oomscope_model::{Cause, Finding, Held, PathStep, Severity};
use ruff_python_ast::Expr;

use super::copies::{copied_weights, host_in, is_state_of_network};
use crate::facts::{Assignment, Loop};
use crate::index::{FileId, FunctionId};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};
use crate::search::{called_name, contains};

pub(crate) const RULE: Rule = Rule {
    id: "OOM605",
    name: "best-state-on-device",
    group: Group::Loading,
    cause: Cause::ReferencesHeld,
    severity: Severity::Warning,
    doc: include_str!("best_state_on_device.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        for assignment in facts.assignments.iter().filter(|one| names_the_best(one.target)) {
            // Before the loop it is a name for what the loop will find.
            let around = facts.loops.iter().rfind(|l| l.range.contains_range(assignment.range));
            let in_method = function.class.is_some() && function.name != "__init__";
            let keeps = || assignment.target.is_attribute_expr() && in_method;
            if around.is_none() && !keeps()
                || function.is_unit_test
                || host_in(function.body, assignment.range)
            {
                continue;
            }
            let Some(copied) = copied_by(project, assignment.value) else { continue };
            report_copy(project, id, assignment, copied, around, findings);
        }
    }
}

fn names_the_best(target: &Expr) -> bool {
    let name = match target {
        Expr::Name(name) => name.id.as_str(),
        Expr::Attribute(attribute) => attribute.attr.as_str(),
        _ => return false,
    };
    name.as_bytes().windows(4).any(|part| part.eq_ignore_ascii_case(b"best"))
}

/// What `copy.deepcopy(model)`, or a dict of clones of its state, copies.
fn copied_by<'a>(project: &Project<'a>, value: &'a Expr) -> Option<&'a Expr> {
    match value {
        Expr::Call(call) => {
            let mut copies = project.calls_named(&["deepcopy"]);
            let site = copies.find(|site| std::ptr::eq(site.call.call, call))?;
            copied_weights(project, &site)
        }
        Expr::DictComp(dict) => {
            let source = &dict.generators.first()?.iter;
            let Expr::Call(items) = source else { return None };
            let Expr::Attribute(method) = &*items.func else { return None };
            let clones = contains(
                &dict.value,
                |inner| matches!(inner, Expr::Call(call) if called_name(call) == "clone"),
            );
            (clones && method.attr.as_str() == "items" && is_state_of_network(&method.value))
                .then_some(&*method.value)
        }
        _ => None,
    }
}

fn report_copy(
    project: &Project<'_>,
    id: FunctionId,
    assignment: &Assignment<'_>,
    copied: &Expr,
    around: Option<&Loop>,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(file) = project.index.file_of(id) else { return };
    let name = short(file.slice(assignment.target));
    let mut path: Vec<PathStep> = Vec::new();
    if let Some(over) = around {
        let what = format!("in the loop over `{}`", short(over.what));
        path.extend(step(project, id, over.range, what));
    }
    path.extend(step(project, id, assignment.range, format!("`{name}` keeps a second copy")));
    let finding = Report {
        function: id,
        range: assignment.range,
        severity: Severity::Warning,
        held: Held::Parameters,
        message: format!(
            "`{name}` keeps a copy of `{}` on the device while training goes on",
            short(file.slice(copied))
        ),
        path,
        fix: None,
    };
    report(project, &RULE, finding, findings);
}
