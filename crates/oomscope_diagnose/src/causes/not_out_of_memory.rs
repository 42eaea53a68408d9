//! `not-out-of-memory`: the message blames memory, the cause is something else.

use oomscope_model::Cause;

use super::case::Case;
use super::{CauseRule, Remedy};
use crate::context::Context;

pub(super) const RULE: CauseRule = CauseRule {
    cause: Cause::NotOutOfMemory,
    page: include_str!("not_out_of_memory.md"),
    assess,
    remedy,
};

fn assess(context: &Context<'_>, case: &mut Case) {
    if context.memory.as_ref().is_some_and(|memory| !memory.is_memory_error) {
        case.speaks(30, "the text itself states another error");
    }
}

fn remedy(_: &Context<'_>) -> Remedy {
    Remedy {
        fix: "Read the first error above this one, and run once with `CUDA_LAUNCH_BLOCKING=1` (or on the CPU) to see the line that really fails: a label or index out of range, a kernel whose shared memory is too small, a missing engine.".to_owned(),
        verification: "With that error fixed, the same batch runs at the same memory.".to_owned(),
        prevention: "Check labels and indices against the number of classes where data enters.".to_owned(),
    }
}
