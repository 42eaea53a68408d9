//! OOM924: `DataParallel` gathers all outputs on the first GPU.

use oomscope_model::{Cause, Finding, Held, Severity};

use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM924",
    name: "data-parallel",
    group: Group::Distributed,
    cause: Cause::ActivationsTooLarge,
    severity: Severity::Note,
    doc: include_str!("data_parallel.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["DataParallel"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let path = site.call.path.as_deref()?;
    if !path.starts_with("torch.nn") || !path.ends_with(".DataParallel") {
        return None;
    }
    let message = format!(
        "`{}`: the first GPU holds the whole batch, all outputs and all gradients",
        site.short(site.call.call)
    );
    let why = "every forward copies the model to each device and gathers the outputs on one";
    Some(site.found(project, (Severity::Note, Held::Activations), message, why))
}
