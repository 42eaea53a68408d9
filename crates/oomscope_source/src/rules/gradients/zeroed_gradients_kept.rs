//! OOM207: `zero_grad(set_to_none=False)` keeps gradients allocated between steps.

use oomscope_model::{Cause, Finding, FixSafety, Held, Severity};
use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::{Ranged, TextRange};

use crate::edit::{fix, remove_argument};
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, step};
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM207",
    name: "zeroed-gradients-kept",
    group: Group::Gradients,
    cause: Cause::GradientsNotCleared,
    severity: Severity::Note,
    doc: include_str!("zeroed_gradients_kept.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if !facts.clears_grads || function.is_unit_test {
            continue;
        }
        for call in facts.calls.iter().filter(|call| call.name == "zero_grad") {
            let Some(argument) = keeps(call.call) else { continue };
            let Some(file) = project.index.file(function.file) else { continue };
            let range = call.call.range();
            let what = "fills the gradients with zeros, one tensor a parameter".to_owned();
            let edit = remove_argument(file, argument);
            let finding = Report {
                function: id,
                range,
                severity: Severity::Note,
                held: Held::Parameters,
                message: "`set_to_none=False` keeps all gradients allocated while the next \
                          forward runs"
                    .to_owned(),
                path: step(project, id, range, what).into_iter().collect(),
                fix: Some(fix(FixSafety::Unsafe, "drop `set_to_none=False`", vec![edit])),
            };
            report(project, &RULE, finding, findings);
        }
    }
}

fn keeps(call: &ExprCall) -> Option<TextRange> {
    let is_false = |expr: &Expr| matches!(expr, Expr::BooleanLiteral(flag) if !flag.value);
    let keyword = call.arguments.keywords.iter().find(|keyword| {
        keyword.arg.as_ref().is_some_and(|arg| arg.as_str() == "set_to_none")
            && is_false(&keyword.value)
    });
    let first = call.arguments.args.first().filter(|first| is_false(first));
    keyword.map(Ranged::range).or_else(|| first.map(Ranged::range))
}
