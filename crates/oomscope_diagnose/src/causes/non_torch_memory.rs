//! `non-torch-memory`: context, NCCL, library workspaces or other libraries hold memory.

use oomscope_model::{Bytes, Cause};

use super::case::{Case, percent};
use super::{CauseRule, Remedy};
use crate::context::Context;

pub(super) const RULE: CauseRule = CauseRule {
    cause: Cause::NonTorchMemory,
    page: include_str!("non_torch_memory.md"),
    assess,
    remedy,
};

fn assess(context: &Context<'_>, case: &mut Case) {
    let Some(memory) = &context.memory else { return };
    if let (Some(used), Some(reserved)) = (memory.this_process, memory.reserved) {
        let outside =
            used.saturating_sub(reserved).saturating_sub(memory.private_pool.unwrap_or_default());
        let whole = memory.capacity.unwrap_or(used);
        let share = outside.share_of(whole);
        // A context with its modules takes up to 0.6 GiB, with an NCCL rank up to 2 GiB.
        if outside > Bytes::from_gib(2) && share >= 0.1 {
            let points = if share >= 0.4 {
                80
            } else if share >= 0.25 {
                64
            } else {
                36
            };
            case.speaks_at(points, format!("this process uses {outside} ({} of the device) that PyTorch's allocator did not reserve", percent(share)), Some(outside), None);
            case.explains(Some(outside));
        } else {
            case.denies(20, format!("outside PyTorch's allocator this process uses {outside}: a context's usual size"));
        }
    }
    if case.points() > 0 {
        case.settle("`torch.cuda.mem_get_info()` against `torch.cuda.memory_reserved()` before and after each library starts (NCCL, TensorRT, CuPy, a second framework)");
    }
}

fn remedy(_: &Context<'_>) -> Remedy {
    Remedy {
        fix: "Shrink what lives outside PyTorch: one process (context) a device, fewer NCCL communicators, `CUBLAS_WORKSPACE_CONFIG=:4096:8`, `CUDA_MODULE_LOADING=LAZY`, and tell other frameworks not to take the whole device (JAX: `XLA_PYTHON_CLIENT_PREALLOCATE=false`; TensorFlow: memory growth). Leave head-room: call `torch.cuda.empty_cache()` before a library that allocates by itself.".to_owned(),
        verification: "Device use minus `torch.cuda.memory_reserved()` is the context's size again.".to_owned(),
        prevention: "Give PyTorch a cap (`set_per_process_memory_fraction`) that leaves the other libraries their share.".to_owned(),
    }
}
