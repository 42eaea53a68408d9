//! OOM402: a tensor grows by `torch.cat` in a loop, or a key/value cache does by each token.

use oomscope_model::{Cause, Finding, Held, Severity};

use super::gathered::goes_over_data;
use crate::facts::{Owner, StoreKind};
use crate::index::FileId;
use crate::project::{Project, feeds_backward};
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM402",
    name: "cat-in-loop",
    group: Group::Accumulation,
    cause: Cause::OutputsAccumulated,
    severity: Severity::Warning,
    doc: include_str!("cat_in_loop.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if function.is_unit_test {
            continue;
        }
        for store in facts.stores.iter().filter(|store| store.kind == StoreKind::Cat) {
            let Some(file) = project.index.file(function.file) else { continue };
            let added = file.slice(&store.value_range);
            let lower = added.to_ascii_lowercase();
            let is_cache = ["past", "cache", "prev_k", "prev_v"].iter().any(|w| lower.contains(w));
            let container = store.container.and_then(|number| facts.containers.get(number));
            if container.is_some_and(|c| c.consumed) {
                continue;
            }
            let (cause, severity, message, range) = if is_cache && store.owner != Owner::Object {
                let message = format!(
                    "the key/value cache `{}` grows by each token, and `cat` needs old and new at once",
                    short(added)
                );
                (Cause::KvCache, Severity::Note, message, store.range)
            } else {
                let around = facts.loops_around(store.in_loop).find(|(number, this)| {
                    goes_over_data(file, this)
                        && container.is_none_or(|c| !facts.loop_within(c.made_in, *number))
                });
                let small = store.value.small
                    || ["id", "token", "next", "label", "mask", "idx"]
                        .iter()
                        .any(|word| lower.contains(word));
                let device = store.value.output && !store.value.host;
                if around.is_none() || small || !device || feeds_backward(function, facts) {
                    continue;
                }
                let message = format!(
                    "`{}` is copied and grows by `{}` in every iteration",
                    store.target,
                    short(added)
                );
                (Cause::OutputsAccumulated, Severity::Warning, message, store.range)
            };
            let rule = Rule { cause, ..RULE };
            let what = format!("`{}` becomes larger", store.target);
            let finding = Report {
                function: id,
                range,
                severity,
                held: Held::Tensors,
                message,
                path: step(project, id, range, what).into_iter().collect(),
                fix: None,
            };
            report(project, &rule, finding, findings);
        }
    }
}
