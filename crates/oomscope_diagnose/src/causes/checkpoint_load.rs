//! `checkpoint-load`: loading a checkpoint put a second copy on the device.

use oomscope_model::{Bytes, Cause, Severity};

use super::case::Case;
use super::{CauseRule, Remedy};
use crate::context::Context;

pub(super) const RULE: CauseRule = CauseRule {
    cause: Cause::CheckpointLoad,
    page: include_str!("checkpoint_load.md"),
    assess,
    remedy,
};

fn assess(context: &Context<'_>, case: &mut Case) {
    let loads = |file: &str, function: &str| {
        file.ends_with("torch/serialization.py")
            || matches!(
                function,
                "load_state_dict"
                    | "load_checkpoint"
                    | "_load_from_state_dict"
                    | "load_model"
                    | "resume"
                    | "resume_from_checkpoint"
                    | "_load_optimizer_and_scheduler"
                    | "_rebuild_tensor_v2"
            )
    };
    let requesting =
        context.snapshot.and_then(|snapshot| snapshot.request.as_ref()).is_some_and(|request| {
            request.stack.iter().any(|frame| loads(&frame.file.replace('\\', "/"), &frame.function))
        });
    let raised = context.failure.is_some_and(|failure| {
        failure.traceback.iter().any(|frame| loads(&frame.file.replace('\\', "/"), &frame.function))
    });
    if context.failed() && (requesting || raised) {
        case.speaks(58, "it died while a checkpoint was being read onto the device");
        case.places(&context.asked);
        let own = context.reserved().or(context.allocated());
        if let (Some(own), Some(capacity)) = (own, context.capacity())
            && own.share_of(capacity) < 0.1
        {
            case.denies(
                40,
                format!(
                    "this process held only {own} of {capacity}: no second copy fills the device"
                ),
            );
        }
    }
    let (loaded, place) = context.loaded();
    if loaded > Bytes::ZERO {
        let share = context.live().map_or(0.0, |live| loaded.share_of(live));
        let points = match share {
            0.5.. => 70,
            0.3.. => 55,
            0.1.. => 25,
            _ => 4,
        };
        case.speaks_at(
            points,
            "tensors read by `torch.load` are still on the device",
            Some(loaded),
            place,
        );
        case.explains(Some(loaded));
    }
    for joined in context.warm_findings(Cause::CheckpointLoad).take(1) {
        let hot = case.points() > 0;
        case.finding(
            if hot {
                25
            } else if joined.finding.severity == Severity::Note {
                2
            } else {
                6
            },
            joined,
        );
    }
}

fn remedy(context: &Context<'_>) -> Remedy {
    let at = context
        .findings_of(Cause::CheckpointLoad)
        .next()
        .map_or_else(String::new, |joined| format!(" at {}", joined.finding.place));
    Remedy {
        fix: format!("Read the checkpoint to the host{at}: `torch.load(path, map_location=\"cpu\", mmap=True, weights_only=True)`, then `model.load_state_dict(state, assign=True)`, and `del state`."),
        verification: "`torch.cuda.memory_allocated()` before and after loading differs by at most the model's own size.".to_owned(),
        prevention: "Never let `torch.load` choose the device: saved CUDA tensors go back to the device that they were saved from.".to_owned(),
    }
}
