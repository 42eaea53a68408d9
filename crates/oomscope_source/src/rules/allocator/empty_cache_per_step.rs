//! OOM901: the allocator's cache is emptied in every step.

use oomscope_model::{Cause, Finding, FixSafety, Held, Severity};
use ruff_text_size::Ranged;

use super::each_step::step_around;
use crate::edit::{fix, remove_statement};
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM901",
    name: "empty-cache-per-step",
    group: Group::Allocator,
    cause: Cause::Fragmentation,
    severity: Severity::Warning,
    doc: include_str!("empty_cache_per_step.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for site in project.calls_named(&["empty_cache"]) {
        let is_torch = site.call.path.as_deref().is_some_and(|path| path.starts_with("torch."));
        if !is_torch || !site.call.is_statement {
            continue;
        }
        let Some(around) = step_around(project, &site) else { continue };
        let Some(file) = project.index.file(site.function.file) else { continue };
        let range = site.call.call.range();
        let path = [
            Some(around),
            step(
                project,
                site.id,
                range,
                "gives back what the next iteration allocates again".to_owned(),
            ),
        ];
        let edit = remove_statement(file, site.function.body, range);
        let finding = Report {
            function: site.id,
            range,
            severity: Severity::Warning,
            held: Held::Nothing,
            message: format!(
                "`{}` runs in every step: the next one waits for `cudaMalloc` again",
                short(file.slice(&*site.call.call.func))
            ),
            path: path.into_iter().flatten().collect(),
            fix: edit.map(|edit| fix(FixSafety::Unsafe, "remove it from the loop", vec![edit])),
        };
        report(project, &RULE, finding, findings);
    }
}
