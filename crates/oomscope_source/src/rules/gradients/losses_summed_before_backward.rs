//! OOM205: the losses of all batches are added up, and one backward runs after the loop.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_text_size::Ranged;

use crate::facts::{Backward, Facts, Store, StoreKind};
use crate::index::{FileId, FunctionId};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::retention::attached_graphs;
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM205",
    name: "losses-summed-before-backward",
    group: Group::Gradients,
    cause: Cause::ActivationsTooLarge,
    severity: Severity::Note,
    doc: include_str!("losses_summed_before_backward.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if facts.backwards.is_empty() || function.is_unit_test {
            continue;
        }
        for store in facts.stores.iter().filter(|store| store.kind == StoreKind::Accumulate) {
            if let Some(backward) = backward_after(facts, store) {
                report_summed(project, id, facts, store, backward, findings);
            }
        }
    }
}

/// The backward of the sum, where it runs after a loop over batches whose forward is inside.
fn backward_after<'f, 'a>(facts: &'f Facts<'a>, store: &Store<'a>) -> Option<&'f Backward<'a>> {
    let number = store.in_loop?;
    let around = facts.loops.get(number)?;
    let what = around.what.to_ascii_lowercase();
    let over_batches =
        what.contains("loader") || what.contains("micro") || what.contains("batches");
    if !over_batches || around.has_backward || !store.outlives_loop {
        return None;
    }
    let graphs = attached_graphs(facts, store)?;
    let made_inside = graphs
        .iter()
        .any(|graph| facts.graphs.get(graph).is_some_and(|r| around.range.contains_range(*r)));
    let runs_network = facts
        .model_calls
        .iter()
        .any(|call| !call.criterion && facts.loop_within(call.in_loop, number));
    let container = store.container.filter(|container| *container < 63)?;
    facts.backwards.iter().find(|backward| {
        made_inside
            && runs_network
            && backward.call.range().start() > around.range.end()
            && backward.value.containers.contains(container)
    })
}

fn report_summed(
    project: &Project<'_>,
    id: FunctionId,
    facts: &Facts<'_>,
    store: &Store<'_>,
    backward: &Backward<'_>,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(around) = store.in_loop.and_then(|number| facts.loops.get(number)) else { return };
    let what = short(around.what);
    let path = [
        step(project, id, around.range, format!("every iteration over `{what}`")),
        step(project, id, store.range, format!("`{}` keeps its activations", store.target)),
        step(project, id, backward.call.range(), "frees them all, after the loop".to_owned()),
    ];
    let finding = Report {
        function: id,
        range: store.range,
        severity: Severity::Note,
        held: Held::Activations,
        message: format!(
            "`{}` holds the activations of all batches of `{what}` until one backward: run \
             backward on each loss instead",
            store.target
        ),
        path: path.into_iter().flatten().collect(),
        fix: None,
    };
    report(project, &RULE, finding, findings);
}
