//! Step 5: what would save memory in this case, each with its bytes; nothing that cannot help.

use oomscope_model::{
    Bytes, Cause, ForwardPass, Phase, ReplayEvidence, ReplayTrial, Role, SavingOption, Verdict,
};

use crate::context::Context;

/// Options below this are not worth a line.
const LEAST: Bytes = Bytes(64 << 20);

/// Options that apply, most bytes first.
pub(crate) fn savings(context: &Context<'_>, verdict: Verdict) -> Vec<SavingOption> {
    if verdict == Verdict::Healthy {
        return Vec::new();
    }
    let mut options = Vec::new();
    // What saves a tenth of what was lacking, or less, cannot help.
    let least = LEAST.max(Bytes(context.deficit().unwrap_or_default().0 / 10));
    let mut offer = |title: &str, saves: Option<Bytes>, why: String, cost: &str| {
        if saves.is_none_or(|bytes| bytes >= least) {
            options.push(SavingOption {
                title: title.to_owned(),
                saves,
                why,
                cost: cost.to_owned(),
            });
        }
    };
    let claimed = match verdict {
        Verdict::Claimed(cause) => Some(cause),
        Verdict::Undecided | Verdict::Healthy => None,
    };
    let activations = context.role_bytes(Role::Activations);
    let states = context.role_bytes(Role::OptimizerState);
    let weights = context.role_bytes(Role::Parameters);
    let gradients = context.role_bytes(Role::Gradients);
    let trains = context.trains();
    // One step's activations: what grows is not one of them.
    let grown = context.growth().map_or(Bytes::ZERO, |growth| growth.total);
    let step = activations.saturating_sub(grown);

    if let Some(growth) = context.growth() {
        offer(
            "keep nothing of a step but numbers",
            Some(growth.total),
            "what survives from step to step".to_owned(),
            "nothing: it is the fix itself",
        );
    }
    if let Some(ForwardPass { kept, .. }) = context
        .snapshot
        .and_then(|snapshot| snapshot.forward)
        .filter(|_| claimed == Some(Cause::EvalRecordsGraph))
    {
        offer(
            "`torch.inference_mode()` in evaluation",
            Some(kept),
            "tensors saved for a backward that never comes".to_owned(),
            "nothing",
        );
    }
    if trains && step > Bytes::ZERO {
        offer(
            "halve the micro-batch, accumulate two",
            Some(Bytes(step.0 / 2)),
            format!("half of one step's {step} of activations"),
            "a few % of speed; the gradients are the same (batch norm sees smaller batches)",
        );
        offer(
            "checkpoint the repeated blocks",
            Some(Bytes(step.0 / 5 * 3)),
            format!("about 60 % of {step}: block inputs stay, the inside is recomputed"),
            "one more forward: some 30 % slower",
        );
        if context.source_mentions("autocast").is_none() {
            offer(
                "bf16 autocast",
                Some(Bytes(step.0 / 3)),
                format!("about a third of {step}, if they are fp32 today"),
                "a check that the loss still falls; it is usually faster",
            );
        }
    }
    if states > Bytes::ZERO {
        offer(
            "8-bit optimizer states",
            Some(Bytes(states.0 / 4 * 3)),
            format!("three quarters of the {states} of fp32 states"),
            "one dependency; fine-tuning mostly converges alike",
        );
    } else if context.phase == Phase::OptimizerStep && weights > Bytes::ZERO {
        offer(
            "8-bit optimizer states",
            Some(Bytes(weights.0 / 2 * 3)),
            format!("Adam would make {} of fp32 states for {weights} of weights", weights.times(2)),
            "one dependency; fine-tuning mostly converges alike",
        );
    }
    let in_foreach =
        context.snapshot.and_then(|snapshot| snapshot.request.as_ref()).is_some_and(|request| {
            request.stack.iter().any(|frame| frame.function.starts_with("_multi_tensor"))
        });
    if context.phase == Phase::OptimizerStep && in_foreach {
        offer(
            "`fused=True` (or `foreach=False`) in the optimizer",
            Some(weights),
            "the foreach step makes a temporary copy of the parameters' size".to_owned(),
            "nothing with `fused`; some speed with `foreach=False`",
        );
    }
    if context.is_evaluating() && gradients > Bytes::ZERO {
        offer(
            "clear gradients before evaluation",
            Some(gradients),
            "`optimizer.zero_grad(set_to_none=True)`: evaluation needs none".to_owned(),
            "nothing",
        );
    }
    let expandable = context
        .snapshot
        .is_some_and(|snapshot| snapshot.settings.expandable_segments == Some(true));
    if let Some(replay) = context.replay() {
        for trial in best_trials(replay) {
            // More than the device has was never held: what is saved of it helps nobody.
            let needed = replay.capacity.map_or(replay.needed, |most| most.min(replay.needed));
            let saves = needed.saturating_sub(trial.peak_reserved);
            let served = match trial.serves {
                Some(true) => "; the failing request is served",
                Some(false) => "; it still fails",
                None => "",
            };
            offer(
                &format!("`PYTORCH_CUDA_ALLOC_CONF={}`", trial.conf),
                Some(saves),
                format!(
                    "replayed: the same requests hold at most {} instead of {}{served}",
                    trial.peak_reserved, needed
                ),
                "nothing on Linux; set it before the first CUDA call",
            );
        }
    } else if let Some(stranded) = context.stranded().filter(|_| !expandable) {
        let usable = context
            .snapshot
            .and_then(|snapshot| snapshot.state.inactive_split)
            .map_or(stranded, |split| split.min(stranded));
        offer(
            "`PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True`",
            Some(usable),
            "at most: what is reserved in gaps today".to_owned(),
            "nothing on Linux; set it before the first CUDA call",
        );
    }
    if claimed == Some(Cause::OversizedAllocation)
        && let Some(requested) = context.requested()
    {
        offer(
            "do it in eight chunks",
            Some(Bytes(requested.0 / 8 * 7)),
            format!("seven eighths of the {requested} request"),
            "a loop; checkpoint each chunk to save in backward too",
        );
    }
    if claimed == Some(Cause::KvCache)
        && let Some(growth) = context.growth()
    {
        offer(
            "half-precision keys and values",
            Some(Bytes(growth.total.0 / 2)),
            format!("half of the {} that the cache holds, if it is fp32 today", growth.total),
            "nothing for most models",
        );
    }
    if claimed == Some(Cause::ModelTooLarge) && weights > Bytes::ZERO {
        offer(
            "weights in bf16",
            Some(Bytes(weights.0 / 2)),
            format!("half of {weights}, if they are fp32 today"),
            "nothing for inference; training wants fp32 master weights",
        );
        offer(
            "4-bit weights (nf4) with LoRA",
            Some(Bytes(weights.0 / 8 * 6)),
            format!("at least three quarters of {weights}"),
            "slower matmuls; the base weights are frozen",
        );
    }
    let (loaded, _) = context.loaded();
    if claimed == Some(Cause::CheckpointLoad) && loaded > Bytes::ZERO {
        offer(
            "`map_location=\"cpu\"` and `del` after loading",
            Some(loaded),
            "what `torch.load` put on the device beside the model".to_owned(),
            "host memory for the checkpoint, none with `mmap=True`",
        );
    }
    if let Some((cap, capacity)) =
        context.memory.as_ref().and_then(|memory| memory.cap.zip(memory.capacity))
        && claimed == Some(Cause::MemoryCap)
    {
        offer(
            "raise the cap to the whole device",
            capacity.checked_sub(cap),
            format!("{cap} of {capacity} may be used today"),
            "what the cap was there to protect",
        );
    }
    let others = context.others();
    if others > Bytes::ZERO
        && matches!(claimed, Some(Cause::OtherProcess | Cause::RanksOnOneDevice))
    {
        offer(
            "have the device to yourself",
            Some(others),
            "what the other processes hold".to_owned(),
            "nothing",
        );
    }
    options.sort_by_key(|option| std::cmp::Reverse(option.saves));
    options
}

/// The settings that save most, and where it is not among them, the best that serves the request.
fn best_trials(replay: &ReplayEvidence) -> impl Iterator<Item = &ReplayTrial> {
    let saves = |trial: &&ReplayTrial| trial.peak_reserved < replay.needed;
    let least = |trial: &&ReplayTrial| trial.peak_reserved;
    let first = replay.trials.iter().filter(saves).min_by_key(least);
    let serving = replay.trials.iter().filter(saves).filter(|trial| trial.serves == Some(true));
    let second = serving.min_by_key(least).filter(|second| first != Some(*second));
    first.into_iter().chain(second)
}
