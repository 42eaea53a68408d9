//! OOM801: backward runs inside the autocast block.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_text_size::Ranged;

use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM801",
    name: "backward-under-autocast",
    group: Group::Precision,
    cause: Cause::ActivationsTooLarge,
    severity: Severity::Note,
    doc: include_str!("backward_under_autocast.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if facts.autocasts.is_empty() || function.is_unit_test {
            continue;
        }
        for backward in facts.backwards.iter().filter(|backward| backward.direct) {
            let range = backward.call.range();
            let Some(block) = facts.autocasts.iter().find(|b| b.contains_range(range)) else {
                continue;
            };
            let Some(file) = project.index.file(function.file) else { continue };
            let text = short(file.slice(backward.call));
            let block = ruff_text_size::TextRange::empty(block.start());
            let path = [
                step(
                    project,
                    id,
                    block,
                    "keeps half-precision copies of weights until it ends".to_owned(),
                ),
                step(project, id, range, "fills the gradients while they are there".to_owned()),
            ];
            let finding = Report {
                function: id,
                range,
                severity: Severity::Note,
                held: Held::Parameters,
                message: format!("`{text}` runs inside the `autocast` block"),
                path: path.into_iter().flatten().collect(),
                fix: None,
            };
            report(project, &RULE, finding, findings);
        }
    }
}
