//! `gradients-not-cleared`: `.grad` of every parameter is kept or summed across steps.

use oomscope_model::{Bytes, Cause, Phase, Role, Severity};

use super::case::{Case, percent};
use super::{CauseRule, Remedy};
use crate::context::Context;

pub(super) const RULE: CauseRule = CauseRule {
    cause: Cause::GradientsNotCleared,
    page: include_str!("gradients_not_cleared.md"),
    assess,
    remedy,
};

fn assess(context: &Context<'_>, case: &mut Case) {
    let gradients = context.role_bytes(Role::Gradients);
    let share = gradients.share_of(context.live().unwrap_or_default());
    let found = context
        .warm_findings(Cause::GradientsNotCleared)
        .find(|joined| joined.finding.severity != Severity::Note);
    if let Some(joined) = found {
        case.finding(25, joined);
    }
    if context.failed() && gradients > Bytes::ZERO {
        let decides = context.deficit().is_some_and(|deficit| gradients >= deficit);
        let outside_backward = !matches!(context.phase, Phase::Backward | Phase::OptimizerStep);
        if outside_backward && share >= 0.2 && decides && (found.is_some() || share >= 0.25) {
            let when = if context.is_evaluating() {
                "through evaluation"
            } else {
                "while the next forward runs"
            };
            case.speaks(
                if context.is_evaluating() { 38 } else { 30 },
                format!(
                    "{gradients} of gradients ({} of the live bytes) are kept {when}",
                    percent(share)
                ),
            );
            case.speaks(24, "without them the request would have fitted");
            let states = context.role_bytes(Role::OptimizerState);
            if states > Bytes::ZERO && states.times(2) < gradients {
                case.speaks(12, format!("the optimizer's states are only {states}: most of these gradients are not its own to clear"));
            }
            case.explains(Some(gradients));
            case.places(&context.asked);
        } else if share < 0.1 && found.is_some() {
            case.denies(10, format!("gradients hold only {gradients}"));
        }
    }
    if found.is_some() && context.grows() {
        case.denies(20, "uncleared gradients add one set once; they do not grow from step to step");
    }
}

fn remedy(context: &Context<'_>) -> Remedy {
    let at = context
        .findings_of(Cause::GradientsNotCleared)
        .next()
        .map_or_else(String::new, |joined| format!(" at {}", joined.finding.place));
    Remedy {
        fix: format!("Call `optimizer.zero_grad(set_to_none=True)` once per step{at}, and before evaluation: it frees one whole set of gradients."),
        verification: "After clearing, `torch.cuda.memory_allocated()` falls by about the size of the parameters.".to_owned(),
        prevention: "Keep `zero_grad`, `backward`, `step` together in one function; clear every parameter that backward reaches, not just the optimizer's own.".to_owned(),
    }
}
