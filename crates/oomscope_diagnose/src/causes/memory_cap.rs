//! `memory-cap`: a fraction, MIG slice or quota is smaller than the card.

use oomscope_model::{Bytes, Cause, Framework};

use super::case::{Case, percent};
use super::{CauseRule, Remedy};
use crate::context::Context;

pub(super) const RULE: CauseRule =
    CauseRule { cause: Cause::MemoryCap, page: include_str!("memory_cap.md"), assess, remedy };

fn assess(context: &Context<'_>, case: &mut Case) {
    let Some(memory) = &context.memory else { return };
    let source = context
        .source_mentions("set_per_process_memory_fraction")
        .or_else(|| context.source_mentions("per_process_memory_fraction"));
    if let Some(cap) = memory.cap {
        match memory.capacity {
            Some(capacity) if cap.share_of(capacity) < 0.97 => {
                case.speaks_at(
                    84,
                    format!(
                        "the process may use {cap}, {} of the device's {capacity}",
                        percent(cap.share_of(capacity))
                    ),
                    Some(cap),
                    source.as_ref(),
                );
            }
            Some(_) => {
                case.speaks(15, format!("a cap of {cap} is in force, about the whole device"));
            }
            None => case.speaks(60, format!("a cap of {cap} is in force")),
        }
        case.explains(Some(cap));
    } else if has_room(context) {
        let free = memory.free.unwrap_or_default();
        case.speaks(
            42,
            format!(
                "the device had {free} free, more than was asked for: something caps this process"
            ),
        );
        if let Some(place) = &source {
            case.speaks_at(45, "the source sets a memory fraction", None, Some(place));
        } else {
            case.settle("`torch.cuda.get_per_process_memory_fraction()`, MIG mode in `nvidia-smi -L`, quotas of the platform");
        }
    }
}

/// Whether the device had clearly more free than was asked for: then capacity was not the limit.
pub(super) fn has_room(context: &Context<'_>) -> bool {
    let (Some(free), Some(requested)) = (context.free(), context.requested()) else { return false };
    // Segments are taken in steps of up to 20 MiB.
    free >= requested + requested + Bytes::from_mib(64)
}

fn remedy(context: &Context<'_>) -> Remedy {
    let at = context
        .source_mentions("memory_fraction")
        .map_or_else(String::new, |place| format!(" ({place})"));
    if context.memory.as_ref().and_then(|memory| memory.framework) == Some(Framework::Mps) {
        return Remedy {
            fix: "Raise the watermark if the host has memory to spare: `PYTORCH_MPS_HIGH_WATERMARK_RATIO` (1.7 by default; 0.0 lifts the limit and may stall the system); or fit the job into it, and close what else uses the unified memory.".to_owned(),
            verification: "`torch.mps.driver_allocated_memory()` stays below `torch.mps.recommended_max_memory()`, and the error no longer says \"max allowed\".".to_owned(),
            prevention: "Log `torch.mps.recommended_max_memory()` at start: a Mac shares its memory between everything that runs.".to_owned(),
        };
    }
    Remedy {
        fix: format!("Raise or remove the cap{at}: `torch.cuda.set_per_process_memory_fraction`, the MIG slice, the container's or platform's quota; or fit the job into it."),
        verification: "The error text no longer says \"allowed\", and `memory_reserved()` may pass the old cap.".to_owned(),
        prevention: "Log the cap beside the capacity at start, so that nobody plans with the whole card.".to_owned(),
    }
}
