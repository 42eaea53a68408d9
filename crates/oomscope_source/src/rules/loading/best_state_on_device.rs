//! OOM605: the best weights so far are kept as a second copy on the device.

use oomscope_model::{Cause, Finding, Held, PathStep, Severity};
use ruff_text_size::Ranged;

use super::copies::{copied_weights, host_in};
use crate::imports::{dotted, last_part};
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM605",
    name: "best-state-on-device",
    group: Group::Loading,
    cause: Cause::ReferencesHeld,
    severity: Severity::Warning,
    doc: include_str!("best_state_on_device.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for site in project.calls_named(&["deepcopy"]) {
        let call = site.call.call;
        let Some(copied) = copied_weights(project, &site) else { continue };
        let assignment = site
            .facts
            .assignments
            .iter()
            .find(|assignment| assignment.value.range().contains_range(call.range()));
        let Some(assignment) = assignment else { continue };
        let Some(name) = dotted(assignment.target) else { continue };
        let is_best = last_part(&name).to_ascii_lowercase().contains("best");
        // Before the loop it is a name for what the loop will find.
        let around = site.facts.loops_around(site.call.in_loop).next();
        let Some((_, over)) = around.filter(|_| is_best) else { continue };
        if host_in(site.function.body, assignment.range) {
            continue;
        }
        let Some(file) = project.index.file(site.function.file) else { continue };
        let over_what = format!("in the loop over `{}`", short(&over.what));
        let path: Vec<PathStep> = [
            step(project, site.id, over.range, over_what),
            step(project, site.id, assignment.range, format!("`{name}` keeps a second copy")),
        ]
        .into_iter()
        .flatten()
        .collect();
        let finding = Report {
            function: site.id,
            range: assignment.range,
            severity: Severity::Warning,
            held: Held::Parameters,
            message: format!(
                "`{name}` keeps a copy of `{}` on the device while training goes on",
                short(file.slice(copied))
            ),
            path,
            fix: None,
        };
        report(project, &RULE, finding, findings);
    }
}
