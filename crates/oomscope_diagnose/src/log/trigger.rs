//! The words that make a line worth a closer look. One automaton over the whole text: everything
//! else in this folder runs only where it matches.

use std::sync::LazyLock;

use regex::Regex;

use super::ascii;

static TRIGGERS: LazyLock<Regex> = LazyLock::new(|| {
    let words = [
        r"traceback \(most recent call last\)",
        r"ray::[^ ]+ \(pid=",
        r"out{W}of{W}memory",
        r"out_of_memory",
        r"outofmemory",
        r"out of resource",
        r"outofresources",
        r"OOM[ !:_-]",
        r"OOMKilled",
        r"tried{W}to{W}allocate",
        r"already{W}allocated",
        r"allowed memory",
        r"ALLOC_FAILED",
        r"resource.?exhausted",
        r"cache{W}blocks",
        r"less{W}than{W}desired{W}GPU",
        r"Free{W}memory{W}on{W}device",
        r"KV{W}cache{W}is{W}needed",
        r"stored{W}in{W}(?:the{W})?KV{W}cache",
        r"profiled value -",
        r"not{W}enough{W}memory",
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
        r"posix_memalign|CPUAllocator",
        r"of the memory on node",
        r"of device memory",
        r"of pinned memory",
        r"STATUS_NOT_INITIALIZED",
        r"process_(?:gpu_)?memory_fraction",
        r"已杀死|已砍掉|強制終了|죽었음|Убито|Getötet|Processus arrêté|Terminado \(killed\)|Matado",
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
        r"exit ?code\W?\s*(?:=|:|is|was)?\s*(?:-9|137)",
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
    // A blank may have become a line break, with the mark of a quotation after it.
    ascii::compile(&format!("(?i){}", words.join("|")).replace("{W}", r"[\s>#]+"))
});

/// Where trigger words begin and end, in order.
pub(crate) fn ranges(text: &str) -> impl Iterator<Item = std::ops::Range<usize>> {
    TRIGGERS.find_iter(text).map(|found| found.range())
}
