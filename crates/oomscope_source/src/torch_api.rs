//! What PyTorch's names mean to the analysis. Tables only.

/// Methods whose result carries no graph and is no tensor.
pub(crate) const TO_PLAIN: &[&str] = &[
    "item",
    "tolist",
    "numpy",
    "size",
    "dim",
    "numel",
    "nelement",
    "element_size",
    "data_ptr",
    "get_device",
    "type",
    "is_contiguous",
    "stride",
    "ndimension",
];

/// Methods that tensors have and numbers, lists and dicts have not.
pub(crate) const ONLY_OF_TENSORS: &[&str] =
    &["item", "detach", "cpu", "tolist", "numpy", "mean", "sum", "std", "float", "view"];

/// Methods and functions of tensors whose result carries no graph.
pub(crate) const NOT_DIFFERENTIABLE: &[&str] = &[
    "argmax",
    "argmin",
    "argsort",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "long",
    "int",
    "bool",
    "byte",
    "isnan",
    "isinf",
    "isfinite",
    "nonzero",
    "multinomial",
    "randint_like",
    "randn_like",
    "rand_like",
    "zeros_like",
    "ones_like",
    "empty_like",
    "full_like",
    "equal",
    "allclose",
    "new_zeros",
    "new_ones",
    "new_empty",
    "new_full",
    "new_tensor",
    "one_hot",
    "logical_and",
    "logical_or",
    "logical_not",
    "any",
    "all",
    "bincount",
    "unique",
    "searchsorted",
    "bucketize",
];

/// Methods that keep the graph and the data.
pub(crate) const PASSES: &[&str] = &[
    "to",
    "cuda",
    "clone",
    "float",
    "half",
    "double",
    "bfloat16",
    "contiguous",
    "requires_grad_",
    "type_as",
    "view",
    "reshape",
    "flatten",
    "squeeze",
    "unsqueeze",
    "transpose",
    "permute",
    "expand",
    "t",
    "narrow",
    "select",
    "index_select",
    "gather",
    "chunk",
    "split",
    "unbind",
    "repeat",
    "view_as",
    "expand_as",
    "unflatten",
    "pow",
    "mul",
    "add",
    "sub",
    "div",
    "neg",
    "abs",
    "exp",
    "log",
    "sqrt",
    "softmax",
    "log_softmax",
    "sigmoid",
    "tanh",
    "relu",
    "clamp",
    "masked_fill",
    "matmul",
    "mm",
    "bmm",
    "square",
    "norm",
    "mul_",
    "add_",
    "sub_",
    "div_",
    "clamp_",
    "masked_select",
    "scatter_add",
    "retain_grad",
    "T",
    "mT",
    "cumsum",
    "flip",
    "roll",
    "where",
    "type",
    "log_prob",
    "entropy",
    "rsample",
    "tril",
    "triu",
    "index_add",
    "movedim",
    "swapaxes",
    "var",
    "std",
];

/// Reductions: one number unless a dimension is given.
pub(crate) const REDUCES: &[&str] = &["mean", "sum", "min", "max", "prod", "logsumexp", "norm"];

/// Layers of `torch.nn` that have no parameters.
pub(crate) const WITHOUT_PARAMETERS: &[&str] = &[
    "CosineSimilarity",
    "PairwiseDistance",
    "Softmax",
    "LogSoftmax",
    "Sigmoid",
    "Tanh",
    "ReLU",
    "GELU",
    "SiLU",
    "Dropout",
    "Flatten",
    "Upsample",
    "AvgPool1d",
    "AvgPool2d",
    "MaxPool1d",
    "MaxPool2d",
    "AdaptiveAvgPool2d",
    "Unfold",
    "Fold",
    "PixelShuffle",
    "ReflectionPad2d",
];

/// Functions under `torch.` that make new tensors without a graph.
pub(crate) const CREATES: &[&str] = &[
    "tensor",
    "as_tensor",
    "zeros",
    "ones",
    "empty",
    "full",
    "rand",
    "randn",
    "randint",
    "arange",
    "linspace",
    "eye",
    "from_numpy",
    "randperm",
    "zeros_like",
    "ones_like",
    "empty_like",
    "full_like",
    "rand_like",
    "randn_like",
    "logspace",
    "multinomial",
    "bernoulli",
    "normal",
];

/// Losses of `torch.nn.functional`: one number unless `reduction="none"`.
pub(crate) fn is_functional_loss(name: &str) -> bool {
    name.ends_with("loss")
        || name.starts_with("cross_entropy")
        || name.starts_with("binary_cross_entropy")
        || matches!(name, "kl_div" | "huber" | "nll")
}

/// Last words of the names that people give to networks.
pub(crate) fn names_a_network(name: &str) -> bool {
    let lower = name.trim_matches('_').to_ascii_lowercase();
    let last = lower.rsplit('_').next().unwrap_or(&lower);
    let last = last.trim_end_matches(|c: char| c.is_ascii_digit());
    let ends_like_one = matches!(
        last,
        "model"
            | "net"
            | "network"
            | "encoder"
            | "decoder"
            | "generator"
            | "discriminator"
            | "backbone"
            | "actor"
            | "critic"
            | "policy"
            | "classifier"
            | "student"
            | "teacher"
            | "unet"
            | "vae"
            | "transformer"
            | "mlp"
            | "cnn"
            | "rnn"
            | "lstm"
            | "gru"
            | "gan"
            | "bert"
            | "gpt"
            | "resnet"
            | "vgg"
            | "netg"
            | "netd"
            | "autoencoder"
            | "ddp"
            | "llm"
            | "lm"
            | "module"
    ) || lower.starts_with("net_")
        || lower.ends_with("model");
    if !ends_like_one {
        return false;
    }
    if lower.split('_').any(|word| word == "init") {
        return false;
    }
    let first = lower.split('_').next().unwrap_or(&lower);
    let acts_on_one = [
        "dispatch",
        "offload",
        "enable",
        "disable",
        "shard",
        "patch",
        "is",
        "has",
        "get",
        "set",
        "create",
        "load",
        "save",
        "build",
        "make",
        "init",
        "prepare",
        "preprocess",
        "postprocess",
        "reparameterize",
        "wrap",
        "unwrap",
        "setup",
        "export",
        "convert",
        "compile",
        "fuse",
        "clone",
        "copy",
        "register",
        "freeze",
        "unfreeze",
        "update",
        "print",
        "check",
        "validate",
        "train",
        "test",
        "eval",
        "evaluate",
        "extract",
        "replace",
        "quantize",
        "configure",
        "move",
        "merge",
        "define",
        "select",
        "find",
        "list",
        "count",
        "add",
        "new",
        "log",
        "summarize",
        "reset",
        "initialize",
        "instantiate",
        "from",
        "to",
        "parse",
        "download",
        "import",
        "inject",
        "prune",
        "resolve",
        "register",
        "attach",
        "detect",
        "infer",
    ]
    .contains(&first);
    !(acts_on_one && lower.contains('_'))
}

/// Names that people give to loss functions.
pub(crate) fn names_a_criterion(name: &str) -> bool {
    let lower = name.trim_matches('_').to_ascii_lowercase();
    if lower.starts_with("criterion") || lower.ends_with("criterion") {
        return true;
    }
    let stem = ["_fn", "_func", "_function", "_f", "fn"]
        .iter()
        .find_map(|end| lower.strip_suffix(end))
        .unwrap_or(&lower);
    let is_number = [
        "eval", "evaluate", "val", "valid", "test", "train", "avg", "average", "mean", "print",
        "log", "plot", "update", "record", "reduce", "running", "total", "epoch", "append", "load",
        "save", "get_lr", "display", "report",
    ];
    stem.ends_with("loss")
        && !is_number.iter().any(|word| stem.split('_').any(|part| part == *word))
}

/// Names that people give to counts.
pub(crate) fn names_a_number(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.rsplit('.').next().unwrap_or(&lower).split('_').any(|word| {
        matches!(
            word,
            "count"
                | "counts"
                | "num"
                | "n"
                | "size"
                | "len"
                | "length"
                | "number"
                | "ntokens"
                | "samples"
                | "idx"
                | "index"
                | "step"
                | "steps"
                | "lr"
                | "correct"
                | "time"
                | "bs"
        )
    })
}

/// Names of what a function returns beside its result: records of it, not tensors.
pub(crate) fn names_a_record(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    last.split('_').any(|word| {
        matches!(word, "log" | "logs" | "logging" | "info" | "infos" | "stat" | "meta" | "cfg")
    })
}

/// Names of counts that are no part of a loss: `batch_size`, but not `step_loss`.
pub(crate) fn names_a_count(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let ends = last.rsplit('_').next().unwrap_or(last);
    matches!(ends, "size" | "count" | "counts" | "num" | "len" | "length" | "tokens" | "samples")
}

/// Names of functions that evaluate.
pub(crate) fn names_an_evaluation(name: &str) -> bool {
    let lower = name.trim_matches('_').to_ascii_lowercase();
    let mut words = lower.split('_');
    words.any(|word| {
        matches!(
            word,
            "eval"
                | "evaluate"
                | "evaluation"
                | "validate"
                | "validation"
                | "valid"
                | "val"
                | "test"
                | "predict"
                | "prediction"
                | "inference"
                | "infer"
                | "generate"
                | "extract"
        )
    }) && !lower.starts_with("make_")
        && !lower.starts_with("build_")
        && !lower.starts_with("load_")
        && !lower.starts_with("prepare_")
        && !lower.contains("train_and")
        && !lower.contains("train_eval")
}

/// Words by which a loop's iterable is a data set, steps or epochs.
pub(crate) fn names_data(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    [
        "loader",
        "dataset",
        "data",
        "batch",
        "stream",
        "steps",
        "epoch",
        "iters",
        "iterations",
        "episodes",
        "num_iter",
        "n_iter",
        "sampler",
        "tqdm",
        "examples",
        "samples",
        "docs",
        "videos",
        "requests",
        "updates",
        "rounds",
        "rollout",
        "train",
        "val_",
        "test",
        "max_new",
        "maxiter",
        "max_iter",
    ]
    .iter()
    .any(|word| lower.contains(word))
}

/// Dotted paths that switch autograd off.
pub(crate) fn switches_grad_off(path: &str) -> bool {
    let last = path.rsplit('.').next().unwrap_or(path);
    // `smart_inference_mode` and the like: wrappers keep the words.
    last.contains("no_grad") || last.contains("inference_mode")
}
