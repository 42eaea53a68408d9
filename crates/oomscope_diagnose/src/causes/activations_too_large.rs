//! `activations-too-large`: one step's activations do not fit.

use oomscope_model::{Cause, Phase, Role};

use super::case::{Case, blocks, percent};
use super::{CauseRule, Remedy};
use crate::context::{Context, Failed};

pub(super) const RULE: CauseRule = CauseRule {
    cause: Cause::ActivationsTooLarge,
    page: include_str!("activations_too_large.md"),
    assess,
    remedy,
};

fn assess(context: &Context<'_>, case: &mut Case) {
    let in_step =
        matches!(context.phase, Phase::Forward | Phase::Loss | Phase::Backward | Phase::Evaluation);
    if !context.failed() {
        return;
    }
    if in_step {
        case.speaks(20, format!("it died in {}", context.phase.name()));
    }
    if let Some(snapshot) = context.snapshot.filter(|snapshot| snapshot.failed()) {
        let made =
            context.role_bytes(Role::Activations) + context.role_bytes(Role::BackwardTemporaries);
        let share = made.share_of(snapshot.state.allocated);
        if share >= 0.35 {
            case.speaks(
                if share >= 0.6 { 32 } else { 22 },
                format!(
                    "{} of the live bytes ({made}) are this step's activations",
                    percent(share)
                ),
            );
            case.explains(Some(made));
        } else if snapshot.events > 0 {
            case.denies(15, format!("activations are only {} of the live bytes", percent(share)));
        }
        if context.growth().is_none() && snapshot.events > 0 {
            case.speaks(8, "nothing outlives its step");
            if snapshot.backward_runs <= 1 {
                case.speaks(8, "it died in the first steps");
            }
        }
        for holder in
            snapshot.holders.iter().filter(|holder| holder.role == Role::Activations).take(3)
        {
            case.speaks_at(
                0,
                format!("{} saved in {}", blocks(holder.blocks), holder.phase.name()),
                Some(holder.bytes),
                holder.place.as_ref(),
            );
            case.places(&holder.callers);
        }
    }
    if context.grows() {
        case.denies(45, "memory grows from step to step: one step alone fits");
    }
    if context.is_evaluating()
        && context.snapshot.is_some_and(|snapshot| {
            snapshot.forward_kept.is_some_and(|(kept, made)| kept.share_of(made) >= 0.4)
        })
    {
        case.denies(12, "an evaluation need not keep its activations at all");
    }
    if let (Some(stranded), Some(free), Some(requested), Some(reserved)) =
        (context.stranded(), context.free(), context.requested(), context.reserved())
        && stranded + free >= requested
        && stranded.share_of(reserved) >= 0.15
    {
        case.denies(
            20,
            format!("{stranded} are reserved and unused, more than the {requested} asked for"),
        );
    }
    case.places(&context.asked);
    if context.snapshot.is_none() {
        case.settle("a snapshot at the failure: activations of one step, or memory left over from earlier ones?");
    }
}

fn remedy(context: &Context<'_>) -> Remedy {
    let at =
        context.asked.first().map_or_else(String::new, |place| format!(" (it died below {place})"));
    Remedy {
        fix: format!("Make one step smaller{at}: halve the micro-batch and accumulate gradients over two, or checkpoint the repeated blocks (`torch.utils.checkpoint.checkpoint(block, x, use_reentrant=False)`), or run under `torch.autocast(\"cuda\", dtype=torch.bfloat16)`."),
        verification: "`torch.cuda.max_memory_allocated()` after two whole steps (the optimizer's states exist only after the first) is below the device's capacity with head-room.".to_owned(),
        prevention: "Size the batch from a measured peak, not by trial; bound sequence length and resolution where data enters, since the largest batch sets the peak.".to_owned(),
    }
}
