//! OOM401: outputs without a graph pile up on the device over a data set.

use oomscope_model::{Cause, Finding, FixSafety, Held, Severity};

use crate::edit::{fix, suffix};
use crate::facts::{Owner, StoreKind};
use crate::index::FileId;
use crate::project::{Project, feeds_backward};
use crate::report::{Report, report, short, step};
use crate::retention::{attached_graphs, repeated_steps};
use crate::rules::{Group, Rule};
use crate::value::{Graph, Kind};

pub(crate) const RULE: Rule = Rule {
    id: "OOM401",
    name: "outputs-accumulated",
    group: Group::Accumulation,
    cause: Cause::OutputsAccumulated,
    severity: Severity::Error,
    doc: include_str!("outputs_accumulated.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if feeds_backward(function, facts) || project.is_unit_test(function) {
            continue;
        }
        for store in &facts.stores {
            if !matches!(store.kind, StoreKind::Append | StoreKind::Subscript)
                || attached_graphs(facts, store).is_some()
            {
                continue;
            }
            let mut pieces = store.pieces.iter().filter(|piece| {
                let value = &piece.value;
                value.output
                    && value.graph == Graph::No
                    && !value.host
                    && !value.scalar
                    && !value.small
                    && !matches!(value.kind, Kind::Plain)
            });
            let Some(piece) = pieces.next() else { continue };
            let container = store.container.and_then(|number| facts.containers.get(number));
            if container.is_some_and(|c| c.consumed || c.cleared)
                || project.bounded.contains(&store.target_name)
            {
                continue;
            }
            // Parts of one batch that are joined and handed back are not a data set.
            let handed_back = container.is_some_and(|c| c.returned) && store.owner == Owner::Local;
            let over_loader = facts
                .loops_around(store.in_loop)
                .any(|(_, this)| this.endless || this.what.to_ascii_lowercase().contains("loader"));
            if handed_back && !over_loader && !project.evaluates(id) {
                continue;
            }
            let around = facts.loops_around(store.in_loop).find(|(number, this)| {
                (this.over_data || project.evaluates(id))
                    && (store.owner != Owner::Local
                        || container.is_none_or(|c| !facts.loop_within(c.made_in, *number)))
            });
            let loops = match around {
                Some((_, around)) => {
                    let what = format!("every iteration over `{}`", short(&around.what));
                    step(project, id, around.range, what).into_iter().collect()
                }
                None if store.owner == Owner::Object && store.in_loop.is_none() => {
                    match repeated_steps(project, id) {
                        Some(steps) => steps,
                        None => continue,
                    }
                }
                None => continue,
            };
            let Some(file) = project.index.file(function.file) else { continue };
            let value = short(file.slice(piece.expr));
            let mut path = loops;
            path.extend(step(
                project,
                id,
                store.range,
                format!("`{}` keeps `{value}` on the device", store.target),
            ));
            let finding = Report {
                function: id,
                range: store.range,
                severity: if store.owner == Owner::Object || around.is_some_and(|(_, a)| a.endless)
                {
                    Severity::Error
                } else {
                    Severity::Warning
                },
                held: Held::Tensors,
                message: format!(
                    "`{}` gathers `{value}` of every batch on the device",
                    store.target
                ),
                path,
                fix: Some(fix(
                    FixSafety::Unsafe,
                    format!("move `{value}` to the host first"),
                    suffix(piece.expr, ".cpu()"),
                )),
            };
            report(project, &RULE, finding, findings);
        }
    }
}
