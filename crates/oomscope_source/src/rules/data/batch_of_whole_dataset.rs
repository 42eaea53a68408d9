//! OOM623: one batch holds the whole data set.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::Expr;

use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::search::{argument, called_name};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM623",
    name: "batch-of-whole-dataset",
    group: Group::Data,
    cause: Cause::ActivationsTooLarge,
    severity: Severity::Note,
    doc: include_str!("batch_of_whole_dataset.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["DataLoader"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let call = site.call.call;
    let dataset = argument(call, 0, "dataset")?;
    let Expr::Call(size) = argument(call, 1, "batch_size")? else { return None };
    let of = size.arguments.args.first()?;
    if called_name(size) != "len" || site.file.slice(of) != site.file.slice(dataset) {
        return None;
    }
    let message =
        format!("one batch holds all of `{}`: activations grow with the data", site.short(dataset));
    let why = "the batch size is the length of the data set";
    Some(site.found(project, (Severity::Note, Held::Activations), message, why))
}
