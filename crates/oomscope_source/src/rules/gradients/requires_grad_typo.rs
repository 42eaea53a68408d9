//! OOM208: `requires_grad` is set where nothing reads it: misspelt, or on a module.

use oomscope_model::{Cause, Finding, FixSafety, Held, Severity};
use ruff_python_ast::{Expr, ExprAttribute};
use ruff_text_size::{Ranged, TextRange};

use crate::edit::{fix, replace};
use crate::index::{FileId, FunctionId};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM208",
    name: "requires-grad-typo",
    group: Group::Gradients,
    cause: Cause::ActivationsTooLarge,
    severity: Severity::Warning,
    doc: include_str!("requires_grad_typo.md"),
    check,
};

/// Misspellings, and the method's name used as an attribute.
const MISSPELT: &[&str] = &[
    "require_grad",
    "require_grads",
    "requires_grads",
    "required_grad",
    "requried_grad",
    "requries_grad",
    "reqiures_grad",
    "requires_gradient",
    "requires_gradients",
    "require_gradient",
    "requires_grad_",
    "requires_Grad",
    "need_grad",
    "needs_grad",
];

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, _, facts) in project.functions() {
        for assignment in &facts.assignments {
            if let Expr::Attribute(target) = assignment.target
                && MISSPELT.contains(&target.attr.as_str())
                && matches!(assignment.value, Expr::BooleanLiteral(_))
                && !is_own_flag(target)
            {
                report_misspelt(project, id, target, assignment.range, findings);
            }
        }
        for range in &facts.inert_freezes {
            report_on_module(project, id, *range, findings);
        }
    }
}

/// `self.needs_grad = True`: a flag of the program's own, unless the object is a parameter.
fn is_own_flag(target: &ExprAttribute) -> bool {
    let of_self = matches!(&*target.value, Expr::Name(name) if name.id.as_str() == "self");
    of_self || matches!(target.attr.as_str(), "need_grad" | "needs_grad")
}

fn report_misspelt(
    project: &Project<'_>,
    id: FunctionId,
    target: &ExprAttribute,
    range: TextRange,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(file) = project.index.file_of(id) else { return };
    let holder = short(file.slice(&*target.value));
    let what = format!("sets `{}`, which PyTorch does not read", target.attr.as_str());
    let edit = replace(target.attr.range(), "requires_grad");
    let finding = Report {
        function: id,
        range,
        severity: Severity::Warning,
        held: Held::Parameters,
        message: format!(
            "`{holder}.{}` is a new attribute: the name is `requires_grad`",
            target.attr.as_str()
        ),
        path: step(project, id, range, what).into_iter().collect(),
        fix: Some(fix(FixSafety::Unsafe, "write `requires_grad`", vec![edit])),
    };
    report(project, &RULE, finding, findings);
}

fn report_on_module(
    project: &Project<'_>,
    id: FunctionId,
    range: TextRange,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(file) = project.index.file_of(id) else { return };
    let text = file.slice(&range);
    let Some((holder, value)) = text.split_once(".requires_grad") else { return };
    let value = value.trim_start().trim_start_matches('=').trim();
    let holder = holder.trim();
    let replacement = format!("{holder}.requires_grad_({value})");
    let what = "sets an attribute of the module; its parameters keep theirs".to_owned();
    let plain = !text.contains('#') && !holder.contains('=');
    let finding = Report {
        function: id,
        range,
        severity: Severity::Warning,
        held: Held::Parameters,
        message: format!(
            "`{}` is a module: `requires_grad` on it reaches no parameter",
            short(holder)
        ),
        path: step(project, id, range, what).into_iter().collect(),
        fix: plain.then(|| {
            let title = format!("call `{}`", short(&replacement));
            fix(FixSafety::Unsafe, title, vec![replace(range, replacement.clone())])
        }),
    };
    report(project, &RULE, finding, findings);
}
