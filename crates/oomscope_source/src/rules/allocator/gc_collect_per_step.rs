//! OOM902: Python's garbage collector is run in every step.

use oomscope_model::{Cause, Finding, FixSafety, Held, Severity};
use ruff_text_size::Ranged;

use super::each_step::step_around;
use crate::edit::{fix, remove_statement};
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, step};
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM902",
    name: "gc-collect-per-step",
    group: Group::Allocator,
    cause: Cause::ReferencesHeld,
    severity: Severity::Warning,
    doc: include_str!("gc_collect_per_step.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for site in project.calls_named(&["collect"]) {
        let call = site.call.call;
        if site.call.path.as_deref() != Some("gc.collect") || !site.call.is_statement {
            continue;
        }
        let Some(around) = step_around(project, &site) else { continue };
        let Some(file) = project.index.file(site.function.file) else { continue };
        let path = [
            Some(around),
            step(project, site.id, call.range(), "looks at every Python object".to_owned()),
        ];
        let edit = remove_statement(file, site.function.body, call.range());
        let finding = Report {
            function: site.id,
            range: call.range(),
            severity: Severity::Warning,
            held: Held::Nothing,
            message: "`gc.collect()` runs in every step: it frees only cycles, and each run looks \
                      at every object"
                .to_owned(),
            path: path.into_iter().flatten().collect(),
            fix: edit.map(|edit| fix(FixSafety::Unsafe, "remove it from the loop", vec![edit])),
        };
        report(project, &RULE, finding, findings);
    }
}
