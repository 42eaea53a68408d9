//! OOM601: a checkpoint is loaded onto the device that saved it, beside the model that takes it.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_text_size::Ranged;

use super::checkpoint::{Landing, checkpoints_on_device};
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM601",
    name: "load-without-map-location",
    group: Group::Loading,
    cause: Cause::CheckpointLoad,
    severity: Severity::Warning,
    doc: include_str!("load_without_map_location.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for checkpoint in checkpoints_on_device(project) {
        let site = checkpoint.site;
        let Some(file) = project.index.file(site.function.file) else { continue };
        if checkpoint.landing != Landing::AsSaved || checkpoint.kept.is_some() {
            continue;
        }
        let load = site.call.call;
        let taken = short(file.slice(&*checkpoint.taker.func));
        let lands = "tensors go back to the device that saved them".to_owned();
        let copies = format!("`{taken}` copies them into the model");
        let path = [
            step(project, site.id, load.range(), lands),
            step(project, site.id, checkpoint.taker.range(), copies),
        ];
        let finding = Report {
            function: site.id,
            range: checkpoint.decided,
            severity: Severity::Warning,
            held: Held::Parameters,
            message: format!(
                "`{}` puts a second copy of the weights on the device that saved them while \
                 `{taken}` runs",
                short(file.slice(load))
            ),
            path: path.into_iter().flatten().collect(),
            fix: Some(checkpoint.load_to_host(file)),
        };
        report(project, &RULE, finding, findings);
    }
}
