//! `outputs-accumulated`: detached outputs are gathered on the device over a loop.

use oomscope_model::{Bytes, Cause, Severity};

use super::case::{Case, blocks, left_behind, rate};
use super::{CauseRule, Remedy};
use crate::context::Context;

pub(super) const RULE: CauseRule = CauseRule {
    cause: Cause::OutputsAccumulated,
    page: include_str!("outputs_accumulated.md"),
    assess,
    remedy,
};

fn assess(context: &Context<'_>, case: &mut Case) {
    if let Some(growth) = context.growth() {
        if context.growth_is_graph() {
            case.speaks(10, format!("{} outlive their step", growth.total));
            case.denies(15, format!("{} different operations leave something behind in each step: more than outputs", growth.stacks_per_period));
        } else if growth.blocks_get_larger {
            case.speaks(
                45,
                format!("each step replaces a block by a larger one{}", rate(growth, "step")),
            );
            case.explains(Some(growth.total));
        } else if !growth.lines.is_empty() {
            case.speaks(
                50,
                format!(
                    "{}, made by {}: a kept output, not a graph",
                    left_behind(growth),
                    operations(growth.stacks_per_period)
                ),
            );
            if growth.backward_ran {
                case.denies(
                    8,
                    "backward runs in those steps: a training loop has no outputs to gather",
                );
            } else {
                case.speaks(15, "no backward runs in those steps");
            }
            if context.growth_without_grad() {
                case.speaks(12, "grad mode is off there: what is kept is the tensor alone");
            }
            case.explains(Some(growth.total));
        }
        if case.points() > 0 {
            for line in growth.lines.iter().take(2) {
                case.speaks_at(
                    0,
                    format!("{} kept", blocks(line.blocks)),
                    Some(line.bytes),
                    line.place.as_ref(),
                );
                case.places(&line.callers);
            }
        }
    } else if context.is_evaluating() && context.printed_growth().is_some() {
        case.speaks(40, "memory rises from batch to batch while evaluating");
    }
    for joined in context.warm_findings(Cause::OutputsAccumulated).take(2) {
        let points = match joined.finding.severity {
            Severity::Note => 3,
            _ if joined.growing > Bytes::ZERO => 28,
            _ => 6,
        };
        case.finding(points, joined);
    }
    if context.growth_is_single_outputs() {
        case.speaks(8, "several outputs of each step are kept");
    }
    if context.growth_is_cache() {
        case.denies(35, "what grows is the generation's own cache");
    }
    if super::fragmentation::holds_little(context) {
        case.denies(
            40,
            "all that is kept, and the request, would fit: it is the gaps between that fail",
        );
    }
}

/// `one operation`, `2 operations`.
fn operations(count: u32) -> String {
    if count == 1 { "one operation".to_owned() } else { format!("{count} operations") }
}

fn remedy(context: &Context<'_>) -> Remedy {
    let at = context
        .finding_to_fix(Cause::OutputsAccumulated)
        .map(|joined| joined.finding.place.clone())
        .or_else(|| {
            context.growth().and_then(|growth| growth.lines.first()?.callers.first().cloned())
        });
    let at = at.map_or_else(String::new, |place| format!(" at {place}"));
    Remedy {
        fix: format!("Move each step's result off the device before keeping it{at}: `.cpu()` (or reduce it to the numbers that you need)."),
        verification: "`torch.cuda.memory_allocated()` stays flat over the loop; the gathered results show in host memory.".to_owned(),
        prevention: "Gather on the host: reduce to metrics per batch, stream to disk, or set `eval_accumulation_steps` in trainers that gather for you.".to_owned(),
    }
}
