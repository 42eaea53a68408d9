//! Which words of a name stay, and what becomes of the others.

use std::hash::Hasher;

use super::keyed_hasher;
use crate::stacks::FxNode;

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

/// From these on, a path is that of something published.
const PUBLISHED: [&str; 12] = [
    "/site-packages/",
    "/dist-packages/",
    "/_pytorch_internal/",
    "/lib/python2.",
    "/lib/python3.",
    "/Lib/",
    "/pytorch/",
    "/torch/",
    "/aten/",
    "/c10/",
    "/usr/local/src/conda/python",
    "/build/python",
];

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

    /// A node of a compiled graph. Its kind stays, and so does what it calls where that is
    /// PyTorch's; the number at the end of its name counts nodes of that name.
    pub(super) fn graph_node(self, node: &FxNode) -> FxNode {
        let text = |text: &Option<String>| text.as_deref().map(|text| self.tag(text));
        let kinds = [
            "placeholder",
            "call_function",
            "call_method",
            "call_module",
            "get_attr",
            "output",
            "root",
        ];
        let kind = node.op.as_deref();
        FxNode {
            op: kind.map(|op| if kinds.contains(&op) { op.to_owned() } else { self.tag(op) }),
            name: text(&node.name),
            target: text(&node.target),
            original_trace: text(&node.original_trace),
        }
    }

    /// A function's name: words of the trade stay, each stretch of others becomes one hash.
    pub(super) fn name(self, name: &str) -> String {
        // `<module>`, `<lambda>`; `f.<locals>.g` is two names.
        if name.starts_with('<') && name.ends_with('>') && !name.contains(['.', ' ']) {
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

    /// A path: the published part stays, of the rest each component is a name.
    pub(super) fn path(self, path: &str) -> String {
        if path.starts_with('<') {
            let is_plain =
                ["<frozen ", "<ipython-input-", "<string>", "<stdin>", "<eval_with_key>"]
                    .iter()
                    .any(|known| path.starts_with(known));
            return if is_plain { path.to_owned() } else { format!("<{}>", self.tag(path)) };
        }
        if path.starts_with("In[") || path.starts_with("Cell In") {
            return path.to_owned();
        }
        let slashes = path.replace('\\', "/");
        let published = PUBLISHED.iter().filter_map(|mark| slashes.find(mark)).min();
        let notebook = slashes.find("/ipykernel_");
        let kept_from = match published.or(notebook) {
            Some(at) => at,
            None if is_public_library(path) => 0,
            None => path.len(),
        };
        let (own, kept) = path.split_at_checked(kept_from).unwrap_or((path, ""));
        let is_folder = !kept.is_empty();
        let mut anonymous = String::with_capacity(path.len());
        for component in own.split_inclusive(['/', '\\']) {
            let name = component.trim_end_matches(['/', '\\']);
            anonymous.push_str(&self.component(name, is_folder || name.len() < component.len()));
            anonymous.push_str(component.get(name.len()..).unwrap_or_default());
        }
        anonymous.push_str(kept);
        anonymous
    }

    fn component(self, name: &str, is_folder: bool) -> String {
        let is_version = |rest: &str| rest.bytes().all(|c| c.is_ascii_digit() || c == b'.');
        let lower = name.to_ascii_lowercase();
        if name.is_empty()
            || !is_folder && is_public_object(name)
            || matches!(name, "." | ".." | "~" | "C:" | "D:")
            || lower.strip_prefix("python").is_some_and(is_version)
        {
            return name.to_owned();
        }
        match name.rsplit_once('.') {
            Some((stem, extension)) if !is_folder && extension.len() <= 4 => {
                format!("{}.{extension}", self.name(stem))
            }
            _ => self.name(name),
        }
    }
}

fn is_kept(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    lower.is_empty()
        || lower.bytes().all(|c| c.is_ascii_digit())
        || KEPT.contains(&lower.as_str())
        || KEPT_TOO.contains(&lower.as_str())
}

/// Shared objects that everybody has.
fn is_public_object(name: &str) -> bool {
    let known = ["libtorch", "libc10", "libpython", "libcu", "libnccl", "libstdc++", "libc."];
    known.iter().any(|known| name.starts_with(known))
}

/// A place without a path, as the interpreter's and PyTorch's frames have.
fn is_public_library(file: &str) -> bool {
    file.is_empty()
        || file.starts_with("??")
        || file.starts_with(':')
        || ["Python/", "Objects/", "Modules/", "Include/", "../sysdeps/", "../csu/"]
            .iter()
            .any(|known| file.starts_with(known))
}

/// Whether a C++ function is PyTorch's, CUDA's or the interpreter's.
pub(super) fn is_public_symbol(function: &str) -> bool {
    let named = function.split('(').next().unwrap_or(function);
    let spaces = ["at::", "c10::", "c10d::", "torch::", "caffe2::", "std::", "pybind11::"];
    let starts = ["Py", "_Py", "THP", "__libc", "_start", "main", "clone", "??", "cu", "nccl"];
    spaces.iter().any(|space| {
        named.starts_with(space) || named.contains(&format!(" {space}")) && !named.contains('<')
    }) || starts.iter().any(|start| named.starts_with(start)) && !named.contains("::")
        || matches!(named, "" | "method_vectorcall" | "start_thread")
}
