//! OOM927: a model is wrapped for distributed training in every iteration.

use oomscope_model::{Cause, Finding, Held, Severity};

use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM927",
    name: "wrapped-in-loop",
    group: Group::Distributed,
    cause: Cause::ReferencesHeld,
    severity: Severity::Warning,
    doc: include_str!("wrapped_in_loop.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(
        project,
        &RULE,
        &["DistributedDataParallel", "DDP", "DataParallel"],
        findings,
        look,
    );
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let path = site.call.path.as_deref()?;
    if !path.starts_with("torch.nn") || !site.repeats_the_same() {
        return None;
    }
    let message = format!(
        "`{}` in a loop: each wrapper makes gradient buckets and hooks of its own",
        site.short(site.call.call)
    );
    let why = "runs in each iteration with the same model";
    Some(site.found(project, (Severity::Warning, Held::Tensors), message, why))
}
