//! OOM101: a tensor with its graph is added up across iterations.

use oomscope_model::{Cause, Finding, FixSafety, Severity};
use ruff_text_size::{TextRange, TextSize};

use crate::edit::{fix, suffix, suffixed};
use crate::facts::{Facts, Owner, Store, StoreKind};
use crate::imports::dotted;
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, short};
use crate::retention::{ending, retained};
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM101",
    name: "loss-accumulation",
    group: Group::GraphRetention,
    cause: Cause::GraphRetained,
    severity: Severity::Error,
    doc: include_str!("loss_accumulation.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        for store in &facts.stores {
            let grows = store.kind == StoreKind::Accumulate
                || store.kind == StoreKind::FixedKey && store.is_carried;
            if !grows || store.owner == Owner::Object {
                continue;
            }
            let Some(kept) = retained(project, id, function, facts, store) else { continue };
            let Some(file) = project.index.file(function.file) else { continue };
            let Some(piece) = store.pieces.first() else { continue };
            let ending = ending(project, facts, store, &store.value, ".detach()");
            let value = short(file.slice(&store.value_range));
            let how_long = match reset_on_the_way(facts, store) {
                Some(reset) => format!("graphs pile up until line {} resets it", file.line(reset)),
                None => "every iteration's graph stays alive".to_owned(),
            };
            let message =
                format!("`{}` adds up `{value}` with its graph: {how_long}", store.target);
            let edits = fix(
                FixSafety::Unsafe,
                format!("add `{}` instead", suffixed(piece.expr, &value, ending)),
                suffix(piece.expr, ending),
            );
            let finding = Report {
                function: id,
                range: store.range,
                severity: kept.severity,
                held: kept.held,
                message,
                path: kept.path,
                fix: Some(edits),
            };
            report(project, &RULE, finding, findings);
        }
    }
}

/// Where a constant is assigned to the accumulator inside a loop around the addition: at the end
/// of each accumulation of micro-batches, before a log line.
fn reset_on_the_way(facts: &Facts<'_>, store: &Store<'_>) -> Option<TextSize> {
    let inside = |range: TextRange| {
        facts.loops_around(store.in_loop).any(|(_, around)| around.range.contains_range(range))
    };
    let mut resets = facts.assignments.iter().filter(|assignment| {
        assignment.value.is_literal_expr()
            && inside(assignment.range)
            && dotted(assignment.target).as_deref() == Some(store.target)
    });
    resets.next().map(|assignment| assignment.range.start())
}
