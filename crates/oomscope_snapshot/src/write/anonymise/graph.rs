//! Names of the nodes of a compiled graph: PyTorch's operations stay.

use super::words::Words;
use crate::stacks::FxNode;

/// Kinds of nodes, `torch.fx.node._legal_ops`.
const KINDS: [&str; 7] =
    ["placeholder", "call_function", "call_method", "call_module", "get_attr", "output", "root"];

/// Operations that every model has.
const OPERATIONS: [&str; 48] = [
    "add",
    "addmm",
    "baddbmm",
    "bmm",
    "cat",
    "chunk",
    "clone",
    "contiguous",
    "conv1d",
    "conv2d",
    "conv3d",
    "convolution",
    "cross_entropy",
    "div",
    "dropout",
    "einsum",
    "embedding",
    "exp",
    "expand",
    "flatten",
    "gelu",
    "getitem",
    "group_norm",
    "layer_norm",
    "linear",
    "log_softmax",
    "masked_fill",
    "matmul",
    "max",
    "mean",
    "mm",
    "mul",
    "native_dropout",
    "native_layer_norm",
    "output",
    "permute",
    "pow",
    "relu",
    "reshape",
    "rms_norm",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "softmax",
    "split",
    "sub",
    "transpose",
    "view",
];

/// What PyTorch writes before an operation, and what after it.
const AROUND: [(&str, &str); 8] = [
    ("<built-in method ", ">"),
    ("<built-in function ", ">"),
    ("aten.", ".default"),
    ("aten.", ".Tensor"),
    ("torch.ops.aten.", ".default"),
    ("torch.nn.functional.", ""),
    ("torch.", ""),
    ("", ""),
];

/// A node of a compiled graph: its kind stays, and the name and target of an operation that every
/// model has. The number behind a name counts the nodes of that name.
pub(super) fn graph_node(node: &FxNode, words: Words) -> FxNode {
    let named = |text: &Option<String>, is_kept: fn(&str) -> bool| {
        let text = text.as_deref()?;
        Some(if is_kept(text) { text.to_owned() } else { words.tag(text) })
    };
    FxNode {
        op: named(&node.op, |op| KINDS.contains(&op)),
        name: named(&node.name, |name| OPERATIONS.contains(&without_number(name))),
        target: named(&node.target, is_operation),
        original_trace: named(&node.original_trace, |_| false),
    }
}

fn without_number(name: &str) -> &str {
    match name.rsplit_once('_') {
        Some((name, number)) if number.bytes().all(|c| c.is_ascii_digit()) => name,
        _ => name,
    }
}

fn is_operation(target: &str) -> bool {
    AROUND.iter().any(|(before, after)| {
        let bare = target.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        bare.is_some_and(|bare| OPERATIONS.contains(&bare))
    })
}
