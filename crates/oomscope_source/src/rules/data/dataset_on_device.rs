//! OOM622: a data set moves all its items to the GPU when it is made.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_text_size::Ranged;

use crate::imports::dotted;
use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::data::{is_dataset, moves_to_device};
use crate::rules::{Group, Rule};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM622",
    name: "dataset-on-device",
    group: Group::Data,
    cause: Cause::ReferencesHeld,
    severity: Severity::Note,
    doc: include_str!("dataset_on_device.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["cuda", "to"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let in_init = site.function.name == "__init__" && is_dataset(project, site.function);
    let range = site.call.call.range();
    let is_kept = site.facts.assignments.iter().any(|assignment| {
        assignment.value.range().contains_range(range)
            && dotted(assignment.target).is_some_and(|target| target.starts_with("self."))
    });
    if !in_init || !is_kept || !moves_to_device(site) {
        return None;
    }
    let message = format!(
        "`{}` keeps all items of the data set on the device for the whole run",
        site.short(site.call.call)
    );
    let why = "the data set holds it for as long as a loader uses it";
    Some(site.found(project, (Severity::Note, Held::Tensors), message, why))
}
