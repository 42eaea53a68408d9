//! `gradients-not-cleared`: `.grad` of every parameter is kept or summed across steps.

use oomscope_model::{Bytes, Cause, Role, Severity};

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
    let found = context.findings_of(Cause::GradientsNotCleared).find(|joined| {
        joined.finding.severity != Severity::Note
            && (joined.is_warm() || context.snapshot.is_none())
    });
    if let Some(joined) = found {
        case.finding(25, joined);
    }
    if context.failed() && gradients > Bytes::ZERO {
        if share >= 0.3 && context.is_evaluating() {
            case.speaks(
                35,
                format!(
                    "{gradients} of gradients ({} of the live bytes) are kept through evaluation",
                    percent(share)
                ),
            );
            case.explains(Some(gradients));
        } else if share >= 0.2 && found.is_some() {
            case.speaks(
                28,
                format!(
                    "gradients hold {gradients}, {} of the live bytes, outside backward",
                    percent(share)
                ),
            );
            case.explains(Some(gradients));
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
