//! `references-held`: Python still refers to tensors that are no longer needed.

use oomscope_model::{Bytes, Cause, Severity};

use super::case::Case;
use super::{CauseRule, Remedy};
use crate::context::Context;

pub(super) const RULE: CauseRule = CauseRule {
    cause: Cause::ReferencesHeld,
    page: include_str!("references_held.md"),
    assess,
    remedy,
};

fn assess(context: &Context<'_>, case: &mut Case) {
    for joined in context.warm_findings(Cause::ReferencesHeld).take(2) {
        let points = match joined.finding.severity {
            Severity::Note => 3,
            _ if joined.growing > Bytes::ZERO => 68,
            _ => 8,
        };
        case.finding(points, joined);
    }
    if let Some(growth) = context.growth() {
        let found = case.points();
        let sporadic = growth.per_period.is_some()
            && growth.periods >= 8
            && growth.growing_periods * 10 < growth.periods * 7;
        if sporadic {
            case.speaks(
                if found > 0 { 10 } else { 25 },
                format!(
                    "only {} of {} steps leave something behind: an exceptional path keeps it",
                    growth.growing_periods, growth.periods
                ),
            );
        }
        if context.growth_is_single_outputs() {
            let kept = growth.call_kept_percent.unwrap_or_default();
            case.speaks(
                34,
                format!("of what those calls made only {kept} % is kept, in {} places: a hook or a list of layer outputs, not a graph", growth.stacks_per_period),
            );
        } else if growth.backward_ran
            && !context.growth_is_graph()
            && !growth.blocks_get_larger
            && !context.is_evaluating()
        {
            case.speaks(32, "a training step leaves it behind, after its backward");
        }
        case.speaks(
            if found > 0 { 12 } else { 20 },
            format!("{} outlive the step that made them", growth.total),
        );
        case.explains(Some(growth.total));
        for line in growth.lines.iter().take(2) {
            case.place(line.place.as_ref());
            case.places(&line.callers);
        }
        if found == 0 {
            case.settle("`gc.get_referrers(tensor)` of a survivor, or `gc.collect()`: memory that falls after it was held by a reference cycle");
        }
    }
}

fn remedy(context: &Context<'_>) -> Remedy {
    let fix = match context.finding_to_fix(Cause::ReferencesHeld) {
        Some(joined) => format!("At {}, drop the reference: {}.", joined.finding.place, joined.finding.fix.as_ref().map_or("keep text or numbers instead of the object", |fix| fix.title.as_str())),
        None => "Drop what refers to the survivors: `del` it, keep a number or a CPU copy instead, and leave `except` blocks before retrying (a live exception holds its frames and their tensors).".to_owned(),
    };
    Remedy {
        fix,
        verification: "`torch.cuda.memory_allocated()` after each step returns to the same figure, also after steps that took the exceptional path.".to_owned(),
        prevention: "Keep caches, logs and error records free of tensors, exceptions and frames: store text, numbers or CPU copies.".to_owned(),
    }
}
