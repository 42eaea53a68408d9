//! `model-too-large`: the weights cannot fit this device at all.

use oomscope_model::{Cause, Phase, Role};

use super::case::{Case, percent};
use super::{CauseRule, Remedy};
use crate::context::{Context, Failed};

pub(super) const RULE: CauseRule = CauseRule {
    cause: Cause::ModelTooLarge,
    page: include_str!("model_too_large.md"),
    assess,
    remedy,
};

fn assess(context: &Context<'_>, case: &mut Case) {
    if !context.failed() {
        return;
    }
    let own =
        context.allocated().zip(context.capacity()).map(|(own, capacity)| own.share_of(capacity));
    if context.phase == Phase::Loading {
        case.speaks(38, "it died while the model was built, read or moved to the device");
        case.places(&context.asked);
        if own.is_none() && moves_module(context) {
            case.speaks(16, "the failing call moves a module's weights to the device");
        }
        match own {
            Some(share) if share >= 0.7 => case.speaks(
                28,
                format!("this process had already filled {} of the device", percent(share)),
            ),
            Some(share) if share < 0.4 => {
                case.denies(20, format!("this process held only {} of the device", percent(share)));
            }
            _ => {}
        }
    }
    if let Some(snapshot) = context.snapshot.filter(|snapshot| snapshot.failed()) {
        let weights = context.role_bytes(Role::Parameters);
        let share = weights.share_of(snapshot.state.allocated);
        let of_device = context.capacity().map_or(0.0, |capacity| weights.share_of(capacity));
        if share >= 0.8 && (of_device >= 0.6 || context.phase == Phase::Loading) {
            case.speaks(
                30,
                format!("{} of the live bytes ({weights}) are weights", percent(share)),
            );
            case.explains(Some(weights));
        } else if snapshot.events > 0 {
            case.denies(20, format!("weights are {weights}, {} of the live bytes", percent(share)));
        }
    }
    if context.grows() {
        case.denies(40, "memory grows after the model was loaded");
    }
}

/// Whether the innermost frames are `Module.to` or its kin.
fn moves_module(context: &Context<'_>) -> bool {
    context.failure.is_some_and(|failure| {
        failure.traceback.iter().rev().take(2).any(|frame| {
            matches!(frame.function.as_str(), "convert" | "_apply" | "<lambda>")
                && frame.file.replace('\\', "/").ends_with("torch/nn/modules/module.py")
        })
    })
}

fn remedy(context: &Context<'_>) -> Remedy {
    if !crate::steps::escalate::uses_torch(context) {
        return Remedy {
            fix: "Put fewer bytes on the device: a smaller quantisation of the weights, fewer layers on the device (llama.cpp: `-ngl`), the rest on the host or on a second device (`--tensor-split`).".to_owned(),
            verification: "The loader's sum of buffers is below the device's free memory, with room for the cache and one batch.".to_owned(),
            prevention: "Add up the file's size, the cache for the longest context and the compute buffer before choosing a device.".to_owned(),
        };
    }
    Remedy {
        fix: "Load fewer bytes: `torch_dtype=torch.bfloat16`, 8- or 4-bit weights for inference or LoRA, or shard over devices (`device_map=\"auto\"`, FSDP/ZeRO-3). Build on the meta device so that no second copy exists while loading.".to_owned(),
        verification: "After loading, `torch.cuda.memory_allocated()` is about parameters × bytes per parameter and leaves room for gradients, states and one step.".to_owned(),
        prevention: "Compute weights + gradients + states before renting: fp32 AdamW needs 16 bytes a parameter, pure bf16 8, LoRA on 4-bit weights under 1 plus the adapters.".to_owned(),
    }
}
