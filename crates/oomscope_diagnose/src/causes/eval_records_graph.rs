//! `eval-records-graph`: inference or validation runs with grad mode on.

use oomscope_model::{Bytes, Cause, GradMode, Phase, Severity};

use super::case::{Case, blocks, left_behind};
use super::{CauseRule, Remedy};
use crate::context::Context;

pub(super) const RULE: CauseRule = CauseRule {
    cause: Cause::EvalRecordsGraph,
    page: include_str!("eval_records_graph.md"),
    assess,
    remedy,
};

/// A recorded graph keeps about two fifths of what a pass made; without one hardly anything of
/// its older half is left.
pub(super) const RECORDING_PERCENT: u8 = 28;

fn assess(context: &Context<'_>, case: &mut Case) {
    let mode = context.grad_mode(context.asked.iter());
    if mode == GradMode::Off || context.growth_without_grad() {
        case.denies(60, "grad mode is off on the failing path");
        return;
    }
    if context.phase == Phase::Loading {
        return;
    }
    let snapshot = context.snapshot;
    let never_backward =
        snapshot.is_some_and(|snapshot| snapshot.events > 0 && snapshot.backward_runs == 0);
    let evaluating = context.is_evaluating();
    if evaluating {
        case.speaks(22, "the failing request was made while evaluating");
        if mode == GradMode::Recording {
            case.speaks(18, "no `no_grad` or `inference_mode` is on that path in the source");
        }
    }
    if let Some(forward) =
        snapshot.and_then(|snapshot| snapshot.forward).filter(|_| evaluating || never_backward)
    {
        let (kept, made, older) = (forward.kept, forward.made, forward.older_kept_percent);
        if older >= RECORDING_PERCENT {
            case.speaks(
                if evaluating { 40 } else { 15 },
                format!("of the older half of the forward pass {older} % is still held ({kept} of {made} in all): a graph is being recorded"),
            );
            case.explains(Some(kept));
        } else if older < 5 {
            case.denies(25, format!("of the older half of the forward pass {older} % is still held: no graph is recorded"));
        }
    }
    if let Some(growth) = context.growth().filter(|_| context.growth_is_graph()) {
        if growth.backward_ran {
            case.denies(15, "backward runs in the steps that leave something behind");
        } else if evaluating || never_backward {
            case.speaks(20, format!("{}, and no backward ever frees it", left_behind(growth)));
            case.explains(Some(growth.total));
        }
    }
    for joined in context.warm_findings(Cause::EvalRecordsGraph).take(2) {
        let points = match joined.finding.severity {
            Severity::Note => 2,
            _ if joined.on_failing_path => 30,
            _ if joined.growing > Bytes::ZERO && never_backward => 30,
            _ => 6,
        };
        case.finding(points, joined);
    }
    if case.points() > 0 {
        for holder in snapshot.iter().flat_map(|snapshot| &snapshot.holders).take(2) {
            case.speaks_at(
                0,
                format!("{} of {}", blocks(holder.blocks), holder.role.name()),
                Some(holder.bytes),
                holder.place.as_ref(),
            );
            case.places(&holder.callers);
        }
        case.places(&context.asked);
        if mode == GradMode::Unknown {
            case.settle("whether a caller switches grad mode off: `torch.is_grad_enabled()` printed at the failing line");
        }
    }
}

fn remedy(context: &Context<'_>) -> Remedy {
    let place = context
        .finding_to_fix(Cause::EvalRecordsGraph)
        .map(|joined| joined.finding.place.to_string())
        .or_else(|| {
            context
                .asked
                .iter()
                .find(|place| context.function_at(place).is_some_and(|fact| fact.evaluates))
                .map(ToString::to_string)
        });
    let at = place.map_or_else(String::new, |place| format!(" at {place}"));
    Remedy {
        fix: format!("Run the evaluation{at} under `@torch.inference_mode()` (or `with torch.no_grad():`); `model.eval()` alone does not stop recording."),
        verification: "Peak memory of an evaluation batch falls to weights plus one layer's activations, and stays flat from batch to batch.".to_owned(),
        prevention: "Decorate every evaluation, prediction and export function with `@torch.inference_mode()` where it is defined, so that no caller can forget.".to_owned(),
    }
}
