//! OOM603: a checkpoint stays on the device while the model that took it is trained.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_text_size::Ranged;

use super::checkpoint::{Landing, checkpoints_on_device};
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM603",
    name: "checkpoint-kept",
    group: Group::Loading,
    cause: Cause::CheckpointLoad,
    severity: Severity::Warning,
    doc: include_str!("checkpoint_kept.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for checkpoint in checkpoints_on_device(project) {
        let site = checkpoint.site;
        let Some(file) = project.index.file(site.function.file) else { continue };
        let Some(kept) = checkpoint.kept else { continue };
        let load = site.call.call;
        let taken = short(file.slice(&*checkpoint.taker.func));
        let lands = match checkpoint.landing {
            Landing::OnDevice => "tensors land on the device",
            Landing::AsSaved => "tensors go back to the device that saved them",
        };
        let path = [
            step(project, site.id, load.range(), lands.to_owned()),
            step(
                project,
                site.id,
                checkpoint.taker.range(),
                format!("`{taken}` copies them into the model"),
            ),
            step(project, site.id, kept, "training goes on, its name still holds it".to_owned()),
        ];
        let finding = Report {
            function: site.id,
            range: checkpoint.decided,
            severity: Severity::Warning,
            held: Held::Parameters,
            message: format!(
                "`{}` keeps a second copy of the weights {} while the model is trained",
                short(file.slice(load)),
                if checkpoint.landing == Landing::OnDevice {
                    "on the device"
                } else {
                    "where they were saved from"
                }
            ),
            path: path.into_iter().flatten().collect(),
            fix: Some(checkpoint.load_to_host(file)),
        };
        report(project, &RULE, finding, findings);
    }
}
