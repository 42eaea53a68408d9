//! OOM604: copies of a network, or of its weights, are gathered on the device while it is trained.

use oomscope_model::{Cause, Finding, Held, PathStep, Severity};
use ruff_text_size::Ranged;

use super::copies::{copied_weights, host_in};
use crate::facts::StoreKind;
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM604",
    name: "model-copy-kept",
    group: Group::Loading,
    cause: Cause::ReferencesHeld,
    severity: Severity::Warning,
    doc: include_str!("model_copy_kept.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for site in project.calls_named(&["deepcopy"]) {
        let call = site.call.call;
        let Some(copied) = copied_weights(project, &site) else { continue };
        let store = site.facts.stores.iter().find(|store| {
            matches!(store.kind, StoreKind::Append | StoreKind::Subscript)
                && store.value_range.contains_range(call.range())
                && store.in_loop.is_some()
                // What each iteration of an outer loop starts anew is bounded.
                && store
                    .container
                    .and_then(|number| site.facts.containers.get(number))
                    .is_none_or(|container| container.made_in.is_none())
        });
        let Some(store) = store else { continue };
        if project.bounded.contains(store.target_name)
            || project.emptied.contains(store.target_name)
            || host_in(site.function.body, store.range)
        {
            continue;
        }
        // Copies that are made before training are an ensemble; those of a run's states pile up.
        let trains = site
            .facts
            .loops_around(store.in_loop)
            .find(|(_, this)| this.has_backward || this.over_data && site.facts.runs_backward);
        let Some((_, over)) = trains else { continue };
        let Some(file) = project.index.file(site.function.file) else { continue };
        let path: Vec<PathStep> = [
            step(
                project,
                site.id,
                over.range,
                format!("every iteration over `{}`", short(over.what)),
            ),
            step(project, site.id, store.range, format!("`{}` keeps one more copy", store.target)),
        ]
        .into_iter()
        .flatten()
        .collect();
        let finding = Report {
            function: site.id,
            range: store.range,
            severity: Severity::Warning,
            held: Held::Parameters,
            message: format!(
                "`{}` gathers copies of `{}` on the device",
                store.target,
                short(file.slice(copied))
            ),
            path,
            fix: None,
        };
        report(project, &RULE, finding, findings);
    }
}
