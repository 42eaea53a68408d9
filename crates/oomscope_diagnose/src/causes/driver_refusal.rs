//! `driver-refusal`: driver or platform refuses memory that it reports free.

use oomscope_model::{Bytes, Cause};

use super::case::Case;
use super::{CauseRule, Remedy};
use crate::context::Context;

pub(super) const RULE: CauseRule = CauseRule {
    cause: Cause::DriverRefusal,
    page: include_str!("driver_refusal.md"),
    assess,
    remedy,
};

fn assess(context: &Context<'_>, case: &mut Case) {
    let capped = context.memory.as_ref().is_some_and(|memory| memory.cap.is_some());
    if super::memory_cap::has_room(context) && !capped {
        let (free, requested) =
            (context.free().unwrap_or_default(), context.requested().unwrap_or_default());
        case.speaks(
            54,
            format!("{free} were free, {requested} were refused, and the text names no cap"),
        );
        if context.source_mentions("memory_fraction").is_some() {
            case.denies(40, "the source sets a memory fraction");
        }
        case.settle("a bare `torch.empty(n, device=\"cuda\")` of that size in a fresh process, and the driver's log (`dmesg`)");
    }
    if !capped && refused_when_empty(context) {
        let (capacity, requested) =
            (context.capacity().unwrap_or_default(), context.requested().unwrap_or_default());
        case.speaks(
            54,
            format!("nothing was allocated of {capacity}, and {requested} were refused"),
        );
        case.settle(
            "who else is on the device; and the largest single allocation that its driver allows",
        );
    }
}

/// Whether the first request of an empty process was refused, where the text does not say what
/// was free.
fn refused_when_empty(context: &Context<'_>) -> bool {
    let (Some(allocated), Some(requested), Some(capacity)) =
        (context.allocated(), context.requested(), context.capacity())
    else {
        return false;
    };
    let is_empty = allocated == Bytes::ZERO && context.reserved() == Some(Bytes::ZERO);
    is_empty && context.free().is_none() && requested.share_of(capacity) < 0.25
}

fn remedy(_: &Context<'_>) -> Remedy {
    Remedy {
        fix: "Look below PyTorch: driver and CUDA versions that match, WSL or container limits on pinned and device memory, virtual address limits (`ulimit -v`), an integrated device's shared memory, a process that raced for the same bytes. Reset the device or restart the host if its figures make no sense.".to_owned(),
        verification: "`python -c 'import torch; torch.empty(int(4e9), dtype=torch.uint8, device=\"cuda\")'` succeeds in a fresh process when that much is free.".to_owned(),
        prevention: "Pin driver and runtime versions together; test the platform with one plain allocation before the job.".to_owned(),
    }
}
