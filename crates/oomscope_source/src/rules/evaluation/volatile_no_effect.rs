//! OOM303: `volatile=True`, which PyTorch has ignored since 0.4.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::{Expr, Keyword};
use ruff_text_size::{Ranged, TextRange};

use crate::facts::{Facts, Mode};
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, step};
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM303",
    name: "volatile-no-effect",
    group: Group::Evaluation,
    cause: Cause::EvalRecordsGraph,
    severity: Severity::Warning,
    doc: include_str!("volatile_no_effect.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if function.is_unit_test || project.modes.get(&id) == Some(&Mode::Off) {
            continue;
        }
        for range in ignored_switches(facts) {
            let what = "autograd records what is computed from here".to_owned();
            let finding = Report {
                function: id,
                range,
                severity: Severity::Warning,
                held: Held::Activations,
                message: "`volatile` has had no effect since PyTorch 0.4: the forward records a \
                          graph; run it under `torch.no_grad()`"
                    .to_owned(),
                path: step(project, id, range, what).into_iter().collect(),
                fix: None,
            };
            report(project, &RULE, finding, findings);
        }
    }
}

/// `Variable(x, volatile=True)` and `x.volatile = True` where autograd is not off anyway.
fn ignored_switches(facts: &Facts<'_>) -> Vec<TextRange> {
    let calls = facts.calls.iter().filter(|call| {
        call.name == "Variable"
            && call.mode != Mode::Off
            && call.call.arguments.keywords.iter().any(switches_off)
    });
    let mut found: Vec<TextRange> = calls.map(|call| call.call.range()).collect();
    let attributes = facts.assignments.iter().filter(|assignment| {
        matches!(assignment.target, Expr::Attribute(a) if a.attr.as_str() == "volatile")
            && matches!(assignment.value, Expr::BooleanLiteral(b) if b.value)
    });
    found.extend(attributes.map(|assignment| assignment.range));
    found.sort_unstable_by_key(Ranged::start);
    found
}

fn switches_off(keyword: &Keyword) -> bool {
    keyword.arg.as_ref().is_some_and(|arg| arg.as_str() == "volatile")
        && !matches!(&keyword.value, Expr::BooleanLiteral(b) if !b.value)
}
