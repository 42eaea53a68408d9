//! The words that make a line worth a closer look. One automaton over the whole text: everything
//! else in this folder runs only where it matches.

use std::sync::LazyLock;

use regex::Regex;

use super::ascii;

static TRIGGERS: LazyLock<Regex> = LazyLock::new(|| {
    let words = [
        r"traceback \(most recent call last\)",
        r"ray::[^ ]+ \(pid=",
        r"out\s+of\s+memory",
        r"out_of_memory",
        r"outofmemory",
        r"out of resource",
        r"outofresources",
        r"OOM[ !:_-]",
        r"OOMKilled",
        r"tried\s+to\s+allocate",
        r"already\s+allocated",
        r"allowed memory",
        r"ALLOC_FAILED",
        r"resource.?exhausted",
        r"cache blocks",
        r"less than desired GPU",
        r"KV cache is needed",
        r"stored in (?:the )?KV cache",
        r"not enough memory",
        r"enough GPU RAM",
        r"memory capacity is unbalanced",
        r"dummy requests",
        r"failed to (?:allocate|CUDA)",
        r"(?:unable|can't|cannot) (?:to )?allocate",
        r"memory allocation of size",
        r"allocating [0-9.]+ [MG]iB on device",
        r"CUDA c?alloc",
        r"DataLoader worker",
        r"bad_alloc",
        r"MemoryError",
        r"find an engine to",
        r"valid cuDNN algorithm",
        r"INTERNAL ASSERT FAILED",
        r"device-side assert triggered",
        r"Assertion `",
        r"illegal memory access",
        r"cuda failure",
        r"CUDA_ERROR_OUT",
        r"cudaErrorMemoryAllocation",
        r"UR_RESULT_ERROR_OUT",
        r"oom[-_]kill",
        r"oom[-_]reaper",
        r"killed",
        r"SIGKILL",
        r"exit ?code\s*(?:=|:|is|was)?\s*(?:-9|137)",
        r"exit status 137",
        r"(?:status|code) (?:137|-9)",
        r"return code = -9",
        r"signal:? ?9",
        r"shared memory",
        r"No space left on device",
        r"Bus error",
        r"exited unexpectedly",
        r"terminated abruptly",
        r"memory limit",
        r"low on memory",
        r"memory pressure",
        r"system memory",
        r"insufficient memory",
        r"smaller than requested bytes",
        r"Attempting to reserve",
        r"Error in memory profiling",
        r"Dst tensor is not",
        r"total\s+capac",
        r"root cause \(first observed",
        r"Memory on the node",
        r"KV cache memory: -",
        r"create_graph=True will create",
        r"running scaled_dot_product|flash.?att(?:entio)?n.{0,30}not (?:installed|available)",
    ];
    ascii::compile(&format!("(?i){}", words.join("|")))
});

/// Byte offsets of trigger words, in order.
pub(crate) fn offsets(text: &str) -> impl Iterator<Item = usize> {
    TRIGGERS.find_iter(text).map(|found| found.start())
}
