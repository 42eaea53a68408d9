//! What one message says about memory: the recognisers in order, the first that knows it wins.

use std::sync::LazyLock;

use oomscope_model::{Framework, MemoryError};
use regex::Regex;

use super::{ascii, compute, frameworks, host, serving, torch, units};

/// A message that a recogniser knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recognised {
    /// Its figures.
    pub(crate) memory: MemoryError,
    /// The word to show where the text names no exception type.
    pub(crate) word: &'static str,
}

impl Recognised {
    /// A failure of `framework`, figures to be filled in.
    pub(crate) fn failure(word: &'static str, framework: Framework) -> Recognised {
        Recognised { memory: MemoryError::new(Some(framework)), word }
    }

    /// The same, stating that memory is not what ran out.
    pub(crate) fn not_memory(mut self) -> Recognised {
        self.memory.is_memory_error = false;
        self
    }
}

/// Recognises a message: white space collapsed, prefixes removed.
pub(crate) fn recognise(message: &str) -> Option<Recognised> {
    if is_plain(message) {
        return torch::recognise(message);
    }
    // The more specific first: a vLLM budget error may quote CUDA, a ggml line never is PyTorch's.
    serving::recognise(message)
        .or_else(|| frameworks::recognise(message))
        .or_else(|| {
            if message.contains("CUDA out of memory") { None } else { host::recognise(message) }
        })
        .or_else(|| compute::recognise(message))
        .or_else(|| torch::recognise(message))
}

/// PyTorch's own sentence and no word of anybody else's: most texts, and a fifth of the patterns.
fn is_plain(message: &str) -> bool {
    const OTHERS: [&str; 18] = [
        "nccl",
        "bfc",
        "xla",
        "jax",
        "tensorflow",
        "paddle",
        "ggml",
        "llama",
        "cupy",
        "rmm",
        "onnx",
        "dummy",
        "sglang",
        "kv cache",
        "mem-fraction",
        "tokens",
        "cublas",
        "memory utilization",
    ];
    let lower = message.to_ascii_lowercase();
    lower.contains("cuda out of memory") && !OTHERS.iter().any(|word| lower.contains(word))
}

/// A lazily compiled pattern in which `{S}` stands for a size.
pub(crate) fn pattern(pattern: &str) -> Regex {
    ascii::compile(&pattern.replace("{S}", units::SIZE))
}

/// Declares patterns of this folder as statics.
macro_rules! patterns {
    ($($name:ident = $pattern:expr;)*) => {
        $(static $name: std::sync::LazyLock<regex::Regex> =
            std::sync::LazyLock::new(|| $crate::log::figures::pattern($pattern));)*
    };
}
pub(crate) use patterns;

/// Group 1 as a size.
pub(crate) fn size_in(regex: &LazyLock<Regex>, message: &str) -> Option<oomscope_model::Bytes> {
    units::size(regex.captures(message)?.get(1)?.as_str())
}

/// Group 1 as a number.
pub(crate) fn number_in(regex: &LazyLock<Regex>, message: &str) -> Option<u32> {
    regex.captures(message)?.get(1)?.as_str().parse().ok()
}

/// How many figures a message states.
pub(crate) fn count(memory: &MemoryError) -> usize {
    [
        memory.requested,
        memory.capacity,
        memory.free,
        memory.this_process,
        memory.allocated,
        memory.reserved_unallocated,
        memory.reserved,
        memory.private_pool,
        memory.cap,
    ]
    .iter()
    .flatten()
    .count()
        + memory.other_processes.len()
        + usize::from(memory.device_index.is_some())
}
