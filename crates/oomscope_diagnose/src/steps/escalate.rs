//! When the evidence does not decide: what to capture next, and where to go, in order.

use oomscope_model::{Framework, Limit, Verdict};

use crate::context::Context;

/// The path, first step first; empty when a cause is claimed or nothing failed.
pub(crate) fn path(context: &Context<'_>, verdict: Verdict) -> Vec<String> {
    if verdict != Verdict::Undecided {
        return Vec::new();
    }
    let mut path = Vec::new();
    match context.snapshot {
        None if !has_snapshots(context) => {
            path.push("Give the whole log, from the start of the program to its end: what it says that it allocated before the failure decides between causes.".to_owned());
        }
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
    if context.evidence.source.files.is_empty() && has_snapshots(context) {
        path.push(
            "Give the source as well: `oomscope diagnose oom.pickle train.log train.py`."
                .to_owned(),
        );
    }
    if context.memory.as_ref().is_none_or(|memory| memory.capacity.is_none()) {
        path.push("Give the whole error text: the sentence with capacity, free and allocated bytes decides between causes.".to_owned());
    }
    path.push("`nvidia-smi` on the host at the time of the failure: other processes, MIG mode, the real capacity.".to_owned());
    path.push(if has_snapshots(context) {
        "Still open? Take the snapshot, `python -m torch.utils.collect_env` and this report to the PyTorch forum or the library's issue tracker.".to_owned()
    } else {
        "Still open? Take the whole log and this report to the library's issue tracker.".to_owned()
    });
    path
}

/// Whether the failure is one of PyTorch, or of what runs on it; so it is where nothing tells.
pub(crate) fn uses_torch(context: &Context<'_>) -> bool {
    use Framework::{
        Bitsandbytes, Cupy, Hip, Jax, LlamaCpp, Mps, Nccl, Onnxruntime, Os, Paddle, Ray, Rmm,
        Sglang, Slurm, Tf, Tgi, Theano, Torch, Triton, Vllm, Xpu,
    };
    match context.memory.as_ref().and_then(|memory| memory.framework) {
        None
        | Some(Torch | Hip | Xpu | Mps | Nccl | Vllm | Sglang | Tgi | Triton | Bitsandbytes) => {
            true
        }
        Some(
            Jax | Tf | Paddle | LlamaCpp | Cupy | Rmm | Onnxruntime | Theano | Ray | Slurm | Os,
        ) => false,
    }
}

/// Whether PyTorch can record a snapshot of the device: it does so for CUDA and HIP.
pub(crate) fn has_snapshots(context: &Context<'_>) -> bool {
    let framework = context.memory.as_ref().and_then(|memory| memory.framework);
    context.snapshot.is_some()
        || uses_torch(context) && !matches!(framework, Some(Framework::Xpu | Framework::Mps))
}
