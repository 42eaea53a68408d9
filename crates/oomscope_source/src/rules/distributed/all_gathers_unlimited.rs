//! OOM929: FSDP may gather the parameters of many units ahead of their use.

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
    id: "OOM929",
    name: "all-gathers-unlimited",
    group: Group::Distributed,
    cause: Cause::ModelTooLarge,
    severity: Severity::Note,
    doc: include_str!("all_gathers_unlimited.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["FullyShardedDataParallel", "FSDP"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let mut keywords = site.call.call.arguments.keywords.iter();
    let unlimited = keywords.find(|keyword| {
        keyword.arg.as_deref() == Some("limit_all_gathers") && is_literal(&keyword.value, false)
    })?;
    if !site.call.path.as_deref().is_some_and(|path| path.starts_with("torch.distributed.fsdp")) {
        return None;
    }
    let message = "`limit_all_gathers=False`: the host may run ahead and gather many units at once"
        .to_owned();
    let why = "their parameters lie on the device before they are needed";
    let value: &Expr = &unlimited.value;
    let fix = Some(fix(
        FixSafety::Safe,
        "`limit_all_gathers=True`",
        vec![replace(value.range(), "True")],
    ));
    Some(Report { fix, ..site.found(project, (Severity::Note, Held::Parameters), message, why) })
}
