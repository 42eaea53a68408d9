//! Which words of a name stay, and what becomes of the others.

use std::hash::Hasher;

use super::keyed_hasher;

/// Words that say what a program does, not whose it is: those by which
/// [`phase_of`](crate::phase_of) tells phases, and the usual names of files and folders.
const KEPT: [&str; 118] = [
    "adam",
    "adamw",
    "all",
    "apply",
    "attention",
    "autograd",
    "backward",
    "batch",
    "benchmark",
    "block",
    "blocks",
    "broadcast",
    "build",
    "cache",
    "call",
    "capture",
    "checkpoint",
    "code",
    "collate",
    "compute",
    "config",
    "content",
    "context",
    "core",
    "cross",
    "cuda",
    "data",
    "dataset",
    "deepspeed",
    "determine",
    "dist",
    "distributed",
    "dummy",
    "encode",
    "decode",
    "engine",
    "entropy",
    "epoch",
    "eval",
    "evaluate",
    "evaluation",
    "examples",
    "fit",
    "fn",
    "forward",
    "from",
    "fused",
    "gather",
    "generate",
    "get",
    "gpu",
    "grad",
    "group",
    "hook",
    "infer",
    "inference",
    "init",
    "initialize",
    "input",
    "kv",
    "layer",
    "layers",
    "lib",
    "load",
    "loader",
    "loop",
    "loss",
    "losses",
    "main",
    "memory",
    "metrics",
    "model",
    "models",
    "modules",
    "next",
    "optim",
    "optimizer",
    "optimizers",
    "param",
    "params",
    "predict",
    "prediction",
    "prepare",
    "pretrained",
    "process",
    "profile",
    "python",
    "reduce",
    "restore",
    "resume",
    "run",
    "sample",
    "save",
    "scatter",
    "scripts",
    "self",
    "setup",
    "sglang",
    "site",
    "src",
    "state",
    "dict",
    "step",
    "sync",
    "test",
    "tests",
    "to",
    "token",
    "torch",
    "train",
    "trainer",
    "training",
    "update",
    "utils",
    "val",
    "valid",
    "validate",
    "validation",
];
/// More of them.
const KEPT_TOO: [&str; 4] = ["vllm", "warmup", "workspace", "zero"];

/// Options of `PYTORCH_CUDA_ALLOC_CONF` up to PyTorch 2.15.
pub(super) const OPTIONS: [&str; 15] = [
    "backend",
    "expandable_segments",
    "garbage_collection_threshold",
    "graph_capture_record_stream_reuse",
    "large_segment_size_mb",
    "max_cached_size_mb",
    "max_non_split_rounding_mb",
    "max_split_size_mb",
    "per_process_memory_fraction",
    "pinned_num_register_threads",
    "pinned_reserve_segment_size_mb",
    "pinned_use_background_threads",
    "pinned_use_cuda_host_register",
    "release_lock_on_cudamalloc",
    "roundup_power2_divisions",
];
pub(super) const OPTION_VALUES: [&str; 6] =
    ["True", "False", "true", "false", "native", "cudaMallocAsync"];

/// Names out of which a keyed hash is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words {
    key: (u64, u64),
}

impl Words {
    pub(super) fn keyed(key: (u64, u64)) -> Words {
        Words { key }
    }

    /// What stands for a text: `x` and 48 bits.
    pub(super) fn tag(self, text: &str) -> String {
        let mut hasher = keyed_hasher(self.key.0, self.key.1);
        hasher.write(text.as_bytes());
        format!("x{:012x}", hasher.finish() >> 16)
    }

    /// A function's name: words of the trade stay, each stretch of others becomes one hash.
    pub(super) fn name(self, name: &str) -> String {
        // `f.<locals>.g` is three names.
        if OF_PYTHON.contains(&name) {
            return name.to_owned();
        }
        if name.contains('.') && !name.contains(['(', ' ', ':']) {
            return name.split('.').map(|part| self.name(part)).collect::<Vec<_>>().join(".");
        }
        if name.contains(|c: char| !c.is_alphanumeric() && c != '_' && c != '-') {
            return self.tag(name);
        }
        self.by_words(name)
    }

    fn by_words(self, name: &str) -> String {
        let mut parts: Vec<String> = Vec::new();
        let mut unknown: Vec<&str> = Vec::new();
        for word in name.split('_') {
            if is_kept(word) {
                self.close(&mut unknown, &mut parts);
                parts.push(word.to_owned());
            } else {
                unknown.push(word);
            }
        }
        self.close(&mut unknown, &mut parts);
        parts.join("_")
    }

    fn close(self, unknown: &mut Vec<&str>, parts: &mut Vec<String>) {
        if !unknown.is_empty() {
            parts.push(self.tag(&unknown.join("_")));
            unknown.clear();
        }
    }
}

/// Names that the interpreter gives to code without one.
const OF_PYTHON: [&str; 7] =
    ["<module>", "<lambda>", "<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>", "<locals>"];

fn is_kept(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    lower.is_empty()
        || lower.bytes().all(|c| c.is_ascii_digit())
        || KEPT.contains(&lower.as_str())
        || KEPT_TOO.contains(&lower.as_str())
}
