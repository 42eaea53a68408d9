//! When the evidence does not decide: what to capture next, and where to go, in order.

use oomscope_model::{Limit, Verdict};

use crate::context::Context;

/// The path, first step first; empty when a cause is claimed or nothing failed.
pub(crate) fn path(context: &Context<'_>, verdict: Verdict) -> Vec<String> {
    if verdict != Verdict::Undecided {
        return Vec::new();
    }
    let mut path = Vec::new();
    match context.snapshot {
        None => {
            path.push("Record a snapshot at the failure: `torch.cuda.memory._record_memory_history(max_entries=1_000_000, stacks=\"python\")` before the model is built, and in `except torch.OutOfMemoryError`: `torch.cuda.memory._dump_snapshot(\"oom.pickle\"); raise`.".to_owned());
        }
        Some(snapshot) => {
            if snapshot.limits.contains(&Limit::NoTrace)
                || snapshot.limits.contains(&Limit::RecordingBeganLate)
            {
                path.push("Record from the start: call `torch.cuda.memory._record_memory_history()` before the model is built.".to_owned());
            }
            if snapshot.limits.contains(&Limit::RingWrapped) {
                path.push(
                    "Keep more events: `_record_memory_history(max_entries=1_000_000)`.".to_owned(),
                );
            }
            if snapshot.limits.contains(&Limit::NoStacks) {
                path.push(
                    "Record stacks: `_record_memory_history(stacks=\"python\", context=\"all\")`."
                        .to_owned(),
                );
            }
        }
    }
    if context.evidence.source.files.is_empty() {
        path.push(
            "Give the source as well: `oomscope diagnose oom.pickle train.log train.py`."
                .to_owned(),
        );
    }
    if context.memory.as_ref().is_none_or(|memory| memory.capacity.is_none()) {
        path.push("Give the whole error text: the sentence with capacity, free and allocated bytes decides between causes.".to_owned());
    }
    path.push("`nvidia-smi` on the host at the time of the failure: other processes, MIG mode, the real capacity.".to_owned());
    path.push("Still open? Take the snapshot, `python -m torch.utils.collect_env` and this report to the PyTorch forum or the library's issue tracker.".to_owned());
    path
}
