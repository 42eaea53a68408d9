//! `graph-retained`: a tensor kept across steps still carries its autograd graph.

use oomscope_model::{Bytes, Cause, Held, Severity};

use super::case::{Case, blocks, left_behind, percent};
use super::{CauseRule, Remedy};
use crate::context::Context;
use crate::log::Trend;

pub(super) const RULE: CauseRule = CauseRule {
    cause: Cause::GraphRetained,
    page: include_str!("graph_retained.md"),
    assess,
    remedy,
};

fn assess(context: &Context<'_>, case: &mut Case) {
    if let Some(growth) = context.growth() {
        let share = growth.total.share_of(context.live().unwrap_or_default());
        if context.growth_is_graph() {
            let points = if growth.backward_ran { 60 } else { 40 };
            case.speaks(
                points,
                format!(
                    "{}, made by {} different operations: a graph with its saved tensors, not one kept value",
                    left_behind(growth),
                    growth.stacks_per_period
                ),
            );
            if share >= 0.6 {
                case.speaks(12, format!("{} of the live bytes outlive their step", percent(share)));
            }
            case.explains(Some(growth.total));
            if context.is_evaluating() && !growth.backward_ran {
                case.denies(
                    30,
                    "no backward is ever due here: an evaluation need not record the graph at all",
                );
            }
        } else if growth.lines.is_empty() {
            case.speaks(
                30,
                format!(
                    "live memory rises by {} over the trace and never falls back",
                    growth.total
                ),
            );
        } else {
            case.denies(15, "what each step leaves behind is single outputs, not a graph");
        }
    } else if let Some(snapshot) =
        context.snapshot.filter(|snapshot| snapshot.backward_runs >= 4 && snapshot.growth.is_none())
    {
        case.denies(
            40,
            format!(
                "memory is flat over {} backward runs: nothing outlives its step",
                snapshot.backward_runs
            ),
        );
    }
    if let Some((first, last)) = context.printed_growth() {
        let points = if context.growth().is_some() { 3 } else { 42 };
        case.speaks(
            points,
            format!(
                "the program's own figures rise from {} to {} (log lines {} to {})",
                first.bytes, last.bytes, first.line, last.line
            ),
        );
        if context.growth().is_none() {
            case.settle("a snapshot recorded over at least three steps: it shows which lines' blocks outlive their step");
        }
    }
    if let Some(Trend::Flat { at, samples }) = context.printed() {
        case.denies(
            30,
            format!("printed memory stays flat at {} over {samples} figures", at.bytes),
        );
    }
    for joined in context.warm_findings(Cause::GraphRetained).take(3) {
        let points = match (joined.finding.severity, joined.finding.held) {
            (_, Held::Nodes | Held::Nothing) | (Severity::Note, _) => 2,
            (severity, _) if joined.growing > Bytes::ZERO => {
                if severity == Severity::Error {
                    35
                } else {
                    18
                }
            }
            _ => 8,
        };
        case.finding(points, joined);
    }
    if case.points() > 0
        && let Some(growth) = context.growth()
    {
        for line in growth.lines.iter().take(2) {
            case.speaks_at(
                0,
                format!("{} survive from step to step", blocks(line.blocks)),
                Some(line.bytes),
                line.place.as_ref(),
            );
            case.places(&line.callers);
        }
    }
}

fn remedy(context: &Context<'_>) -> Remedy {
    let store = context.finding_to_fix(Cause::GraphRetained);
    let fix = match store {
        Some(joined) => format!("At {}, keep the number, not the tensor: `.item()` for a scalar, `.detach()` for anything else.", joined.finding.place),
        None => "Find what keeps a tensor from step to step (a list, a running sum, an attribute, a dict) and store `.item()` or `.detach()` of it.".to_owned(),
    };
    let per_step = context
        .growth()
        .and_then(|growth| growth.per_period)
        .map_or_else(String::new, |bytes| format!(" instead of +{bytes} a step"));
    Remedy {
        fix,
        verification: format!("Print `torch.cuda.memory_allocated()` after each step: from the second step on it stays flat{per_step}."),
        prevention: "Log through floats: call `.item()` where a metric leaves the training step, and keep tensors out of meters and histories.".to_owned(),
    }
}
