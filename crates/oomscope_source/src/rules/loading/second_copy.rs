//! A checkpoint that lies on a device beside the model that takes it: said by two rules, which differ
//! in why it lands there.

use oomscope_model::{Finding, Held, Severity};
use ruff_text_size::Ranged;

use super::checkpoint::{Landing, checkpoints_on_device};
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::Rule;

/// Reports the loads that land so and are let go before training.
pub(super) fn report_second_copies(
    project: &Project<'_>,
    rule: &Rule,
    landing: Landing,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let (lands, device) = match landing {
        Landing::AsSaved => {
            ("tensors go back to the device that saved them", "the device that saved them")
        }
        Landing::OnDevice => ("tensors land on the device", "the device"),
    };
    for checkpoint in checkpoints_on_device(project) {
        let site = checkpoint.site;
        if checkpoint.landing != landing || checkpoint.kept.is_some() {
            continue;
        }
        let load = site.call.call;
        let taken = short(site.file.slice(&*checkpoint.taker.func));
        let copies = format!("`{taken}` copies them into the model");
        let path = [
            step(project, site.id, load.range(), lands.to_owned()),
            step(project, site.id, checkpoint.taker.range(), copies),
        ];
        let loaded = short(site.file.slice(load));
        let finding = Report {
            function: site.id,
            range: checkpoint.decided,
            severity: Severity::Warning,
            held: Held::Parameters,
            message: format!(
                "`{loaded}` puts a second copy of the weights on {device} while `{taken}` runs"
            ),
            path: path.into_iter().flatten().collect(),
            fix: Some(checkpoint.load_to_host(site.file)),
        };
        report(project, rule, finding, findings);
    }
}
