//! OOM203: `backward(create_graph=True)` puts graphs into `.grad`.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::Ranged;

use crate::imports::dotted;
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM203",
    name: "create-graph",
    group: Group::Gradients,
    cause: Cause::RetainedBackward,
    severity: Severity::Error,
    doc: include_str!("create_graph.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if function.is_unit_test {
            continue;
        }
        for backward in facts.backwards.iter().filter(|b| b.create_graph) {
            let again = backward.in_loop.is_some() || project.repeated.contains_key(&id);
            let at = backward.call.range();
            let clears_all = facts.calls.iter().any(|call| {
                call.name == "zero_grad"
                    && call.call.range().start() > at.start()
                    && matches!(&*call.call.func, Expr::Attribute(a)
                        if dotted(&a.value).is_some_and(|r| !r.to_ascii_lowercase().contains("opt")))
            });
            let by_hand = facts.assignments.iter().any(|assignment| {
                matches!(assignment.target, Expr::Attribute(a) if a.attr.as_str() == "grad")
                    && matches!(assignment.value, Expr::NoneLiteral(_))
                    && assignment.range.start() > at.start()
            });
            if !again || clears_all || by_hand {
                continue;
            }
            let Some(file) = project.index.file(function.file) else { continue };
            let loss = match &*backward.call.func {
                Expr::Attribute(attribute) => short(file.slice(&*attribute.value)),
                _ => "the loss".to_owned(),
            };
            let what = "every parameter's `.grad` now carries this step's graph".to_owned();
            let finding = Report {
                function: id,
                range: at,
                severity: Severity::Error,
                held: Held::Activations,
                message: format!(
                    "`{loss}` puts gradients that carry their graph into `.grad`, and not every `.grad` \
                     is cleared after use: take them with `torch.autograd.grad(…, create_graph=True)`"
                ),
                path: step(project, id, at, what).into_iter().collect(),
                fix: None,
            };
            report(project, &RULE, finding, findings);
        }
    }
}
