//! `host-memory`: host RAM or shared memory ran out, not the GPU's. Its evidence is in the words
//! of the log, which the reader turns into signals.

use oomscope_model::{Cause, SignalKind};

use super::case::Case;
use super::{CauseRule, Remedy};
use crate::context::Context;

pub(super) const RULE: CauseRule =
    CauseRule { cause: Cause::HostMemory, page: include_str!("host_memory.md"), assess, remedy };

fn assess(context: &Context<'_>, case: &mut Case) {
    let is_denied = context
        .signals()
        .any(|(_, signal)| signal.kind == SignalKind::Contradicts(Cause::HostMemory));
    if is_denied {
        case.denies(20, "whoever else kills a process with SIGKILL leaves the same exit code");
    }
    if context
        .memory
        .as_ref()
        .is_some_and(|memory| memory.free.is_some() && memory.allocated.is_some())
    {
        case.denies(30, "the failing request was for device memory");
    }
}

fn remedy(_: &Context<'_>) -> Remedy {
    Remedy {
        fix: "Use less host memory: fewer `DataLoader` workers and `prefetch_factor`, datasets memory-mapped instead of loaded, no Python lists of objects copied into each worker; give containers more (`--shm-size`, the pod's limit, Slurm `--mem`).".to_owned(),
        verification: "`free -m` (or the cgroup's `memory.current`) levels off while the job runs; `dmesg` shows no new kill.".to_owned(),
        prevention: "Log resident memory of the job and its workers next to device memory.".to_owned(),
    }
}
