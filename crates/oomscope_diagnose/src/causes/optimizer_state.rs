//! `optimizer-state`: optimizer states are made at the first `step()`.

use oomscope_model::{Bytes, Cause, Phase, Role};

use super::case::{Case, blocks};
use super::{CauseRule, Remedy};
use crate::context::{Context, Failed};

pub(super) const RULE: CauseRule = CauseRule {
    cause: Cause::OptimizerState,
    page: include_str!("optimizer_state.md"),
    assess,
    remedy,
};

fn assess(context: &Context<'_>, case: &mut Case) {
    if !context.failed() {
        return;
    }
    let states = context.role_bytes(Role::OptimizerState);
    if context.phase == Phase::OptimizerStep {
        case.speaks(48, "it died inside the optimizer's step");
        case.places(&context.asked);
        let snapshot = context.snapshot.filter(|snapshot| snapshot.failed() && snapshot.events > 0);
        match snapshot.map(|snapshot| snapshot.optimizer_steps) {
            Some(0 | 1) => case.speaks(25, "it is the first step: the states are being made"),
            Some(steps) => case.denies(15, format!("{steps} steps had gone well")),
            None => {}
        }
        if makes_state(context) {
            case.speaks(20, "the failing call makes a state tensor");
        }
    } else if states > Bytes::ZERO
        && context.live().is_some_and(|live| states.share_of(live) >= 0.5)
    {
        case.speaks(40, "optimizer states are most of the live bytes");
    }
    if states > Bytes::ZERO && case.points() > 0 {
        case.explains(Some(states));
        for holder in context
            .snapshot
            .iter()
            .flat_map(|snapshot| &snapshot.holders)
            .filter(|holder| holder.role == Role::OptimizerState)
            .take(4)
        {
            case.speaks_at(
                0,
                format!("{} of states", blocks(holder.blocks)),
                Some(holder.bytes),
                holder.place.as_ref(),
            );
        }
    }
    if context.grows() {
        case.denies(55, "memory grows from step to step; the states do not");
    }
}

fn makes_state(context: &Context<'_>) -> bool {
    let frames = context
        .snapshot
        .and_then(|snapshot| snapshot.request.as_ref())
        .map(|request| request.stack.iter().collect::<Vec<_>>())
        .or_else(|| context.failure.map(|failure| failure.traceback.iter().collect()));
    frames.is_some_and(|frames| {
        frames.iter().any(|frame| {
            matches!(
                frame.function.as_str(),
                "_init_group" | "_init_state" | "init_state" | "_init" | "lazy_init"
            )
        })
    })
}

fn remedy(context: &Context<'_>) -> Remedy {
    let weights = context.role_bytes(Role::Parameters);
    let size = if weights > Bytes::ZERO {
        format!(
            " Adam's two fp32 moments need {} here; 8-bit ones a quarter of it.",
            weights.times(2)
        )
    } else {
        String::new()
    };
    Remedy {
        fix: format!("Use an optimizer with smaller states: an 8-bit AdamW (bitsandbytes, torchao), Adafactor, states in bf16, or shard them (ZeRO-1, FSDP). `foreach=False` or `fused=True` avoids the step's temporary copy of the parameters.{size}"),
        verification: "Run two whole steps: states exist from the first `step()` on, so the second step's peak is the run's peak.".to_owned(),
        prevention: "Budget weights + gradients + states before choosing the batch; the first forward and backward say nothing about the states.".to_owned(),
    }
}
