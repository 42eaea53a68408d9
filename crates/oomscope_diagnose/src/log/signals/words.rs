//! Phrases that speak for a cause by themselves.

use std::sync::LazyLock;

use oomscope_model::Cause;
use oomscope_model::Signal;
use oomscope_model::SignalKind::{self, Contradicts, Decisive, Supports};
use regex::{Regex, RegexSet};

use crate::log::{ascii, figures, host, torch};

struct Phrase {
    pattern: &'static str,
    kind: SignalKind,
    /// `{1}`, `{2}` stand for the pattern's groups.
    what: &'static str,
}

const fn phrase(pattern: &'static str, kind: SignalKind, what: &'static str) -> Phrase {
    Phrase { pattern, kind, what }
}

const PHRASES: &[Phrase] = &[
    phrase(
        r"(?i)No available memory for the cache blocks",
        Decisive(Cause::ServingBudget),
        "vLLM found no memory left for its key/value cache within its own budget",
    ),
    phrase(
        r"(?i)Free memory on device.{0,40}\(([0-9.]+)/([0-9.]+) GiB\) on startup is less than desired GPU memory utilization \(([0-9.]+), ([0-9.]+) GiB\)",
        Decisive(Cause::ServingBudget),
        "vLLM wants {4} GiB (utilization {3}) but only {1} of {2} GiB are free at its start",
    ),
    phrase(
        r"(?i)on startup is less than desired GPU memory utilization",
        Supports(Cause::ServingBudget),
        "less memory is free at the server's start than its budget asks for",
    ),
    phrase(
        r"(?i)max seq len \((\d+)\).{0,12}?\(?([0-9.]+) GiB KV cache is needed, which is larger than the available KV cache memory \(([0-9.]+) GiB",
        Decisive(Cause::ServingBudget),
        "one request of the maximal length {1} needs {2} GiB of key/value cache, {3} GiB are available",
    ),
    phrase(
        r"(?i)KV cache is needed, which is larger than the available|larger than the maximum number of tokens that can be stored in (?:the )?KV cache",
        Decisive(Cause::ServingBudget),
        "one request of the maximal length does not fit the key/value cache that the budget leaves",
    ),
    phrase(
        r"(?i)Available KV cache memory: -",
        Decisive(Cause::ServingBudget),
        "the memory left for the key/value cache is negative",
    ),
    phrase(
        r"(?i)warming up sampler with (\d+) dummy requests",
        Decisive(Cause::ServingBudget),
        "the server ran out while warming up with {1} dummy requests",
    ),
    phrase(
        r"(?i)Error in memory profiling",
        Supports(Cause::OtherProcess),
        "free memory changed while vLLM profiled: another process allocates or frees on the device",
    ),
    phrase(
        r"(?i)increase --mem-fraction-static",
        Decisive(Cause::ServingBudget),
        "SGLang's static memory fraction leaves no room for its cache",
    ),
    phrase(
        r"(?i)larger than the profiled value -(\d+)",
        Decisive(Cause::ServingBudget),
        "SGLang's memory plan leaves room for -{1} tokens: the weights already exceed it",
    ),
    phrase(
        r"(?i)memory capacity is unbalanced",
        Decisive(Cause::OtherProcess),
        "SGLang finds one of its GPUs occupied by another process",
    ),
    phrase(
        r"(?i)Not enough memory to handle (\d+) \w+ tokens",
        Decisive(Cause::ServingBudget),
        "the server cannot hold the {1} tokens that its limits allow",
    ),
    phrase(
        r"(?i)Capture cuda graph failed",
        Decisive(Cause::ServingBudget),
        "the server ran out while capturing CUDA graphs: its static fraction leaves too little for them",
    ),
    phrase(
        r"(?i)Capture cuda graph failed|during (?:CUDA )?graph capture",
        Supports(Cause::PrivatePools),
        "memory ran out during CUDA-graph capture, whose pools are private",
    ),
    phrase(
        r"(?i)modules are dispatched on the CPU or the disk|enough GPU RAM to fit the quantized model",
        Decisive(Cause::ModelTooLarge),
        "the loader found that the model does not fit the device and would have to offload it",
    ),
    phrase(
        r"(?i)(?:unable to|failed to) allocate (?:CUDA|ROCm|Vulkan|Metal|SYCL)\w* buffer|error loading model",
        Supports(Cause::ModelTooLarge),
        "the loader could not get a buffer for the weights",
    ),
    phrase(
        r"(?i)alloc_tensor_range: failed to allocate|error loading model: unable to allocate|load_tensors: .{0,40}(?:unable|failed) to allocate",
        Decisive(Cause::ModelTooLarge),
        "llama.cpp could not get the buffer for the model's weights",
    ),
    phrase(
        r"(?i)per_process_(?:gpu_)?memory_fraction\b",
        Supports(Cause::MemoryCap),
        "the text names a memory fraction that is set for this process",
    ),
    phrase(
        r"(?i)RMM failure.{0,160}Maximum pool size exceeded|\brmm\b.{0,120}maximum pool size exceeded",
        Supports(Cause::MemoryCap),
        "RMM's pool has reached the size that it was given",
    ),
    phrase(
        r"(?i)failed to allocate buffer for kv cache",
        Decisive(Cause::KvCache),
        "llama.cpp could not get the buffer for its key/value cache",
    ),
    phrase(
        r"(?i)out of resources?\s*:?\s*(shared memory|threads|registers|tensor memory),?\s*Required:\s*(\d+),?\s*Hardware limit:\s*(\d+)",
        Decisive(Cause::NotOutOfMemory),
        "a Triton kernel asks for {2} of on-chip {1}, the hardware has {3}: not device memory",
    ),
    phrase(
        r"(?i)OutOfResources",
        Supports(Cause::NotOutOfMemory),
        "a Triton kernel exceeds an on-chip resource, not device memory",
    ),
    phrase(
        r"(?i)unable to find an engine to execute|no valid execution plans",
        Decisive(Cause::NotOutOfMemory),
        "cuDNN has no engine for this computation (layout, type or version), which says nothing about memory",
    ),
    phrase(
        r"(?i)Unable to find a valid cuDNN algorithm",
        Supports(Cause::ActivationsTooLarge),
        "cuDNN found no algorithm whose workspace fits: often too little free memory",
    ),
    phrase(
        r"(?i)\b(CUBLAS|CUDNN|CUSOLVER|CUSPARSE)_STATUS_ALLOC_FAILED|(CUFFT)_ALLOC_FAILED",
        Supports(Cause::NonTorchMemory),
        "a library outside PyTorch's allocator ({1}) could not get its workspace",
    ),
    phrase(
        r"(?i)CUBLAS_STATUS_ALLOC_FAILED when calling .?cublasCreate",
        Supports(Cause::NotOutOfMemory),
        "creating a cuBLAS handle fails in these words also after an earlier device error, such as an index out of range",
    ),
    phrase(
        r"(?i)Failed to CUDA (?:calloc|malloc)\w* (?:async )?(?:\d+ / )?(\d+) bytes",
        Decisive(Cause::NonTorchMemory),
        "NCCL itself could not get {1} bytes from the device",
    ),
    phrase(
        r"(?i)Cuda failure[^a-z]{0,8}out of memory",
        Decisive(Cause::NonTorchMemory),
        "NCCL's own allocation failed: memory outside PyTorch's allocator",
    ),
    phrase(
        r"(?i)OOMKilled\W{1,6}(?:false|no)\b",
        Contradicts(Cause::HostMemory),
        "the container's state says that it was not killed for memory",
    ),
    phrase(
        r"(?i)Error while creating shared memory segment",
        Decisive(Cause::HostMemory),
        "NCCL could not create its shared-memory segment: /dev/shm is too small",
    ),
    phrase(
        r"(?i)device-side assert triggered|Assertion `[^`]*(?:Index|index|idx|< ?n_classes|numClasses|SelectDim)[^`]*` failed|indexSelect\w*Index",
        Decisive(Cause::NotOutOfMemory),
        "a kernel assertion failed (an index or label out of range); errors after it blame the wrong thing",
    ),
    phrase(
        r"(?i)illegal memory access",
        Supports(Cause::NotOutOfMemory),
        "an illegal memory access: errors after it blame the wrong thing",
    ),
    phrase(
        r"(?i)NVML_SUCCESS\s*==\s*r\w*\s+INTERNAL ASSERT",
        Supports(Cause::DriverRefusal),
        "PyTorch ran out of memory and could not ask the driver (NVML) about it, as under MIG or WSL",
    ),
    phrase(
        r"17179869184\.00 GiB memory in use",
        Supports(Cause::DriverRefusal),
        "the driver cannot tell this process's use (printed as 2^64 bytes), as on WSL and integrated GPUs",
    ),
    phrase(
        r"(?i)jit_concatenate|executable_name=.?jit_(?:stack|concat)",
        Supports(Cause::OutputsAccumulated),
        "the failing program concatenates results that were gathered on the device",
    ),
    phrase(
        r"(?i)If the cause is memory fragmentation|total fragmentation:\s+[1-9]",
        Supports(Cause::Fragmentation),
        "the allocator itself names fragmentation as a possible cause",
    ),
    phrase(
        r"(?i)create_graph=True will create a reference cycle",
        Decisive(Cause::RetainedBackward),
        "PyTorch warns that backward(create_graph=True) keeps the graph alive through .grad",
    ),
    phrase(
        r"(?i)other allocations: ([0-9.]+ [MG]i?B), max allowed: ([0-9.]+ [MG]i?B)",
        Supports(Cause::MemoryCap),
        "the MPS watermark of {2} is reached; {1} of it lie outside PyTorch's tensors",
    ),
    phrase(
        r"(?i)caused by (?:a|another) process|occupied by other processes",
        Supports(Cause::OtherProcess),
        "the text names another process on the device",
    ),
    phrase(
        r"(?i)expandable_segments is enabled",
        Contradicts(Cause::Fragmentation),
        "expandable segments are on, which removes most fragmentation",
    ),
    phrase(
        r"\b(CUBLAS|CUDNN|CUSOLVER|CUSPARSE)_STATUS_NOT_INITIALIZED",
        Supports(Cause::NotOutOfMemory),
        "{1} could not make its handle: a mismatch of versions or an earlier device error, as often as too little memory",
    ),
    phrase(
        r"(?i)out of memory at line \d+ in file",
        Supports(Cause::NonTorchMemory),
        "bitsandbytes allocated outside PyTorch's allocator and was refused",
    ),
];

/// One automaton tells which phrases occur; only their groups are searched for again.
static ANY: LazyLock<RegexSet> = LazyLock::new(|| {
    RegexSet::new(PHRASES.iter().map(|phrase| ascii::restrict(phrase.pattern)))
        .expect("the patterns are valid")
});

static COMPILED: LazyLock<Vec<Regex>> =
    LazyLock::new(|| PHRASES.iter().map(|phrase| figures::pattern(phrase.pattern)).collect());

/// What the words of one message say.
pub(super) fn phrases(message: &str, line: usize) -> Vec<Signal> {
    let mut found: Vec<Signal> = ANY
        .matches(message)
        .into_iter()
        .filter_map(|at| {
            let phrase = PHRASES.get(at)?;
            let groups = COMPILED.get(at)?.captures(message)?;
            Some(Signal { kind: phrase.kind, line, what: fill(phrase.what, &groups) })
        })
        .collect();
    if torch::asks_for_an_exabyte(message) {
        let what =
            "the request is larger than 2^60 bytes: a size computation overflowed".to_owned();
        found.push(Signal { kind: Decisive(Cause::NotOutOfMemory), line, what: what.clone() });
        found.push(Signal { kind: Supports(Cause::OversizedAllocation), line, what });
    }
    let is_device = message.contains("CUDA out of memory") || message.contains("OutOfResources");
    if !is_device && let Some(what) = host::blames_host(message) {
        found.push(Signal { kind: Decisive(Cause::HostMemory), line, what: what.to_owned() });
    }
    found
}

fn fill(what: &str, groups: &regex::Captures<'_>) -> String {
    (1..groups.len()).fold(what.to_owned(), |text, group| {
        let value = groups.get(group).map_or("", |value| value.as_str());
        text.replace(&format!("{{{group}}}"), value)
    })
}

#[cfg(test)]
mod tests {
    use super::phrases;
    use oomscope_model::Cause;
    use oomscope_model::SignalKind::{Decisive, Supports};

    #[test]
    fn decisive_words_decide() {
        for (message, cause) in [
            ("ValueError: No available memory for the cache blocks.", Cause::ServingBudget),
            ("failed (exitcode: -9) local_rank: 0 (pid: 1)", Cause::HostMemory),
            (
                "DefaultCPUAllocator: can't allocate memory: you tried to allocate 10 bytes",
                Cause::HostMemory,
            ),
            ("NCCL WARN Failed to CUDA calloc 100 bytes", Cause::NonTorchMemory),
            (
                "out of resource: shared memory, Required: 2, Hardware limit: 1",
                Cause::NotOutOfMemory,
            ),
            ("Assertion `srcIndex < srcSelectDimSize` failed.", Cause::NotOutOfMemory),
        ] {
            let found = phrases(message, 1);
            assert!(
                found.iter().any(|signal| signal.kind == Decisive(cause)),
                "{message}: {found:?}"
            );
        }
    }

    #[test]
    fn figures_go_into_the_sentence() {
        let found = phrases(
            "Free memory on device (2.0/24.0 GiB) on startup is less than desired GPU memory utilization (0.9, 21.6 GiB).",
            7,
        );
        assert_eq!(
            found[0].what,
            "vLLM wants 21.6 GiB (utilization 0.9) but only 2.0 of 24.0 GiB are free at its start"
        );
        assert_eq!(found[0].line, 7);
    }

    #[test]
    fn a_cublas_failure_alone_decides_nothing() {
        let found = phrases(
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
            1,
        );
        assert!(found.iter().all(|signal| matches!(signal.kind, Supports(_))));
    }
}
