//! OOM804: an optimizer is told to update all parameters at once.

use oomscope_model::{Cause, Finding, FixSafety, Held, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::Ranged;

use crate::edit::{fix, replace};
use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::search::is_literal;
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM804",
    name: "foreach-optimizer",
    group: Group::Precision,
    cause: Cause::OptimizerState,
    severity: Severity::Note,
    doc: include_str!("foreach_optimizer.md"),
    check,
};

const OPTIMIZERS: &[&str] = &[
    "ASGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SGD",
    "clip_grad_norm_",
];

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, OPTIMIZERS, findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let call = site.call.call;
    if !site.call.path.as_deref().is_some_and(|path| path.starts_with("torch.")) {
        return None;
    }
    let mut keywords = call.arguments.keywords.iter();
    let all_at_once = keywords.find(|keyword| {
        keyword.arg.as_deref() == Some("foreach") && is_literal(&keyword.value, true)
    })?;
    let value: &Expr = &all_at_once.value;
    let message = format!(
        "`{}` with `foreach=True` makes temporaries of the size of all parameters in each step",
        site.short(&*call.func)
    );
    let why = "every operation of the step runs over all parameters before the next one";
    let edits = vec![replace(value.range(), "False")];
    let fix = Some(fix(FixSafety::Safe, "`foreach=False`: slower, one parameter at a time", edits));
    Some(Report { fix, ..site.found(project, (Severity::Note, Held::Tensors), message, why) })
}
