//! `activations-too-large`: one step's activations do not fit.

use oomscope_model::{Cause, Limit, Phase, Role, SnapshotEvidence};

use super::case::{Case, blocks, percent};
use super::eval_records_graph::RECORDING_PERCENT;
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
        // Fewer than the request lacked would not have helped, however large their share.
        let decides = context.deficit().is_none_or(|deficit| made >= deficit);
        if share >= 0.35 && decides {
            let untraced = snapshot.untraced_activations.share_of(made) > 0.5;
            let whose =
                if context.grows() || untraced { "activations" } else { "this step's activations" };
            case.speaks(
                if share >= 0.6 { 32 } else { 22 },
                format!("{} of the live bytes ({made}) are {whose}", percent(share)),
            );
            case.explains(Some(made));
            if untraced && context.growth().is_none() {
                case.denies(25, "most of them are older than the recording: it cannot tell one step's from many");
                case.settle(
                    "a recording of several steps: `_record_memory_history(max_entries=1_000_000)`",
                );
            }
        } else if snapshot.events > 0 {
            case.denies(
                15,
                format!("activations are only {made}, {} of the live bytes", percent(share)),
            );
        }
        let wrapped = snapshot.limits.contains(&Limit::RingWrapped);
        if context.is_flat() {
            case.speaks(8, "nothing outlives its step");
        } else if context.growth().is_none()
            && !wrapped
            && snapshot.backward_runs <= 1
            && snapshot.events > 0
        {
            case.speaks(16, "it died in the first step that the recording shows");
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
    if context.capacity().is_some_and(|capacity| context.others().share_of(capacity) >= 0.4) {
        case.denies(30, "other processes hold a large part of the device");
    }
    if context.grows() {
        case.denies(45, "memory grows from step to step: one step alone fits");
    }
    let records = |snapshot: &SnapshotEvidence| {
        snapshot.forward.is_some_and(|forward| forward.older_kept_percent >= RECORDING_PERCENT)
    };
    if context.is_evaluating() && context.snapshot.is_some_and(records) {
        case.denies(12, "an evaluation need not keep its activations at all");
    }
    if let (Some(stranded), Some(requested)) = (context.stranded(), context.requested())
        && context.is_packable()
    {
        case.denies(20, format!("{stranded} are reserved and unused; packed, the {requested} asked for would have fitted"));
    }
    case.places(&context.asked);
    if context.snapshot.is_none() {
        case.settle("a snapshot at the failure: activations of one step, or memory left over from earlier ones?");
    }
}

fn remedy(context: &Context<'_>) -> Remedy {
    let at = context.asked.first().map_or_else(String::new, |place| {
        format!(" (it died below {}:{})", place.file_name(), place.line)
    });
    let trains = context.trains() || context.snapshot.is_none() && !context.is_evaluating();
    let fix = if trains {
        let mut ways = vec![
            "halve the micro-batch and accumulate gradients over two",
            "checkpoint the repeated blocks (`torch.utils.checkpoint.checkpoint(block, x, use_reentrant=False)`)",
        ];
        if context.source_mentions("autocast").is_none() {
            ways.push("run under `torch.autocast(\"cuda\", dtype=torch.bfloat16)`");
        }
        format!("Make one step smaller{at}: {}.", ways.join(", or "))
    } else {
        format!("Make one batch smaller{at}: process fewer items at once, or in slices.")
    };
    Remedy {
        fix,
        verification: "`torch.cuda.max_memory_allocated()` after two whole steps (the optimizer's states exist only after the first) is below the device's capacity with head-room.".to_owned(),
        prevention: "Size the batch from a measured peak, not by trial; bound sequence length and resolution where data enters, since the largest batch sets the peak.".to_owned(),
    }
}
