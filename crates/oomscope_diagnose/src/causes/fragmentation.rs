//! `fragmentation`: enough bytes are reserved and free, none contiguous.

use oomscope_model::{Cause, ReplayEvidence, ReplayTrial};

use super::case::{Case, percent};
use super::{CauseRule, Remedy};
use crate::context::Context;

pub(super) const RULE: CauseRule = CauseRule {
    cause: Cause::Fragmentation,
    page: include_str!("fragmentation.md"),
    assess,
    remedy,
};

fn assess(context: &Context<'_>, case: &mut Case) {
    let (Some(stranded), Some(requested)) = (context.stranded(), context.requested()) else {
        return;
    };
    let reserved =
        context.reserved().unwrap_or_else(|| stranded + context.allocated().unwrap_or_default());
    let free = context.free().unwrap_or_default();
    if stranded + free < requested {
        case.denies(60, format!("even perfectly packed, the {stranded} reserved but unallocated and {free} free do not hold {requested}"));
        return;
    }
    // Gaps and free memory together can hold it once pages move, but a text alone rarely means that.
    if stranded < requested && context.snapshot.is_none() {
        case.denies(
            30,
            format!("the gaps together ({stranded}) do not hold the {requested} asked for"),
        );
    }
    if free >= requested {
        case.denies(40, format!("the device had {free} free: gaps were not needed"));
    }
    let share = stranded.share_of(reserved);
    let points = match share {
        0.33.. => 78,
        0.22.. => 66,
        0.14.. => 56,
        0.07.. => 28,
        _ => 6,
    };
    case.speaks_at(
        points,
        format!(
            "{stranded} ({} of what is reserved) lay unused, and a request of {requested} failed",
            percent(share)
        ),
        Some(stranded),
        None,
    );
    case.explains(Some(stranded));
    if let Some(largest) = context.snapshot.and_then(|snapshot| snapshot.state.largest_free_block) {
        if largest < requested {
            case.speaks(6, format!("the largest free block was {largest}"));
        } else {
            case.denies(
                20,
                format!("a free block of {largest} existed, in another pool or stream"),
            );
        }
    }
    if holds_little(context) {
        case.speaks(
            15,
            "all that is held, and the request, would take less than 70 % of the device if packed",
        );
    } else if context.grows() {
        case.denies(26, "memory grows from step to step: packing would only put the failure off");
    }
    if context.is_flat() {
        case.speaks(5, "nothing outlives its step");
        let lacking = context.deficit().unwrap_or(requested);
        if stranded >= lacking.times(2) && share < 0.22 {
            case.speaks(
                28,
                format!(
                    "only {lacking} were lacking, and memory is flat: packed, the run would go on"
                ),
            );
        }
    }
    if context.snapshot.is_some_and(|snapshot| snapshot.settings.expandable_segments == Some(true))
    {
        case.denies(60, "expandable segments were already on");
    }
    replayed(context, case);
    case.places(&context.asked);
    if context.replay().and_then(to_use).is_none() {
        case.settle("the same run with PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True: if it passes, it was fragmentation");
    }
}

/// What the allocator model says: it replays the requests that led to the failure.
fn replayed(context: &Context<'_>, case: &mut Case) {
    let Some(replay) = context.replay() else { return };
    let Some(capacity) = replay.capacity else { return };
    if replay.live > capacity {
        return case.denies(
            60,
            format!(
                "replayed: {} are live at once, the process could hold {capacity}: no setting helps",
                replay.live
            ),
        );
    }
    let Some(best) = to_use(replay) else {
        return case.denies(15, "replayed under other allocator settings, the request still fails");
    };
    let share = best.peak_reserved.share_of(capacity);
    let fact = format!(
        "replayed with `{}`, the same requests hold at most {} of {capacity}, and this one is served",
        best.conf, best.peak_reserved
    );
    let points = match share {
        _ if context.grows() => 0,
        ..0.94 => 20,
        ..0.96 => 10,
        _ => 0,
    };
    case.speaks_at(points, fact, Some(replay.needed.saturating_sub(best.peak_reserved)), None);
}

/// Whether what is held and the request would leave room on the device if packed, while a good
/// part of what is reserved lies unused: then what is held is not why the request failed.
pub(super) fn holds_little(context: &Context<'_>) -> bool {
    let (Some(allocated), Some(requested), Some(capacity), Some(stranded), Some(reserved)) = (
        context.allocated(),
        context.requested(),
        context.capacity(),
        context.stranded(),
        context.reserved(),
    ) else {
        return false;
    };
    let share = stranded.share_of(reserved);
    (allocated + requested + context.others()).share_of(capacity) < 0.70
        && (share >= 0.33 || share >= 0.25 && !context.grows())
        && stranded >= requested
}

/// The settings to use among those that serve the request: expandable segments where they do, for
/// they serve other sizes as well; else the ones that hold the least.
fn to_use(replay: &ReplayEvidence) -> Option<&ReplayTrial> {
    let served = || replay.trials.iter().filter(|trial| trial.serves == Some(true));
    let expandable = served().find(|trial| trial.conf == EXPANDABLE);
    expandable.or_else(|| served().min_by_key(|trial| trial.peak_reserved))
}

const EXPANDABLE: &str = "expandable_segments:True";

fn remedy(context: &Context<'_>) -> Remedy {
    let conf = context.replay().and_then(to_use).map_or(EXPANDABLE, |trial| trial.conf.as_str());
    Remedy {
        fix: format!("Start the program with `PYTORCH_CUDA_ALLOC_CONF={conf}` (from PyTorch 2.10 on also `PYTORCH_ALLOC_CONF`). Where that is not to be had: pad lengths to a few fixed sizes, or set `max_split_size_mb` so that large cached blocks stay whole."),
        verification: "The same run passes the failing step, and `torch.cuda.memory_reserved()` stays close to the peak of `memory_allocated()`.".to_owned(),
        prevention: "Keep shapes to a few sizes (bucket lengths, fixed scales), run the largest shape first, and keep small long-lived tensors from being cut out of large cached blocks.".to_owned(),
    }
}
