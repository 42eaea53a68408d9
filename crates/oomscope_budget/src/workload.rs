//! What is done with a model: the task, its sizes, and how it is computed.

/// What runs.
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Training, or a forward alone.
    pub task: Task,
    /// Sequences (or images) of one step on one device.
    pub batch: u64,
    /// Tokens of each.
    pub sequence: u64,
    /// Tokens of each target, where a decoder reads an encoder; `sequence` where not given.
    pub target_sequence: Option<u64>,
    /// How numbers are stored and computed.
    pub precision: Precision,
    /// What updates the parameters.
    pub optimizer: Optimizer,
    /// What is computed again in backward.
    pub checkpointing: Checkpointing,
    /// How attention is computed.
    pub attention: AttentionKind,
    /// How the loss is computed from the last stream.
    pub loss: Loss,
    /// Low-rank adapters; the rest is frozen.
    pub adapters: Option<Adapters>,
    /// How frozen matrices are stored.
    pub quantization: Option<Quantization>,
    /// Whether dropout is active where the model has it.
    pub dropout: bool,
    /// The half-precision type is `float16`, not `bfloat16`.
    pub float16: bool,
    /// A forward without a graph fills a cache of keys and values, as Hugging Face's do.
    pub caches_keys: bool,
    /// Gradients stay from one backward to the next: accumulation over several batches, or
    /// `zero_grad(set_to_none=False)`.
    pub keeps_gradients: bool,
    /// How many devices share what.
    pub parallel: Parallel,
}

/// How many devices share what. Degrees are at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parallel {
    /// Devices with batches of their own.
    pub data: u64,
    /// What those share.
    pub sharding: Sharding,
    /// Devices that share each matrix.
    pub tensor: u64,
    /// Devices that share the sequence.
    pub context: u64,
    /// Devices that share the experts.
    pub expert: u64,
}

impl Default for Parallel {
    fn default() -> Parallel {
        Parallel { data: 1, sharding: Sharding::Replicated, tensor: 1, context: 1, expert: 1 }
    }
}

impl Parallel {
    /// Whether one device computes with a part of the model or of the sequence.
    pub(crate) fn is_split(self) -> bool {
        self.tensor > 1 || self.context > 1 || self.expert > 1
    }

    /// By how much gradients are divided as they come.
    pub(crate) fn gradient_share(self) -> u64 {
        match self.sharding {
            Sharding::Replicated | Sharding::States => 1,
            Sharding::Gradients | Sharding::Parameters { .. } => self.data.max(1),
        }
    }
}

/// What devices with batches of their own share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharding {
    /// Nothing: DDP.
    #[default]
    Replicated,
    /// Optimizer states (`ZeRO` 1).
    States,
    /// Those and gradients (`ZeRO` 2).
    Gradients,
    /// Those and parameters (`ZeRO` 3, FSDP).
    Parameters {
        /// Parameters are given back between forward and backward.
        reshard: bool,
    },
}

/// Training, or a forward alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Task {
    /// Steps of forward, backward and optimizer.
    #[default]
    Train,
    /// A forward that records a graph, and no backward.
    Forward,
    /// A forward without a graph.
    Infer,
    /// A prefill and then tokens one by one, with a cache of keys and values.
    Generate {
        /// Tokens that are generated.
        tokens: u64,
    },
}

/// How numbers are stored and computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Everything in `float32`.
    #[default]
    Full,
    /// Everything in a half-precision type.
    Half,
    /// Parameters in `float32`, matrix products in a half-precision type.
    Autocast,
}

/// What updates the parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Optimizer {
    /// None: a forward alone.
    #[default]
    Nothing,
    /// Adam and `AdamW`: two states of the parameters' type.
    AdamW(Step),
    /// SGD, with or without momentum.
    Sgd {
        /// One state of the parameters' type.
        momentum: bool,
        /// How the step is computed.
        step: Step,
    },
    /// Lion: one state.
    Lion,
    /// Muon: one state for matrices; `AdamW` for the rest.
    Muon,
    /// Adafactor: a row and a column of each matrix.
    Adafactor,
    /// Adam with states of 8 bits and a scale for each block of 256.
    Adam8bit {
        /// The states are in managed memory, which the host can take back.
        paged: bool,
    },
}

/// How an optimizer's step is computed (`torch/optim/optimizer.py`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Step {
    /// All parameters at once: temporaries as large as all parameters.
    #[default]
    Foreach,
    /// One kernel: no temporaries.
    Fused,
    /// One parameter after the other.
    Loop,
}

/// What is computed again in backward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checkpointing {
    /// Nothing.
    #[default]
    Nothing,
    /// Every layer.
    Full,
    /// Every `k`-th layer.
    Every(
        /// `k`, at least 1.
        u64,
    ),
    /// `k` layers together, of which only the first one's input is kept.
    Segments(
        /// `k`, at least 1.
        u64,
    ),
}

/// How attention is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttentionKind {
    /// Kernels that never hold the scores: flash, memory-efficient.
    #[default]
    Fused,
    /// Scores and weights as tensors, as Hugging Face's `eager`.
    Eager,
    /// Written by hand: a mask by `where`, a softmax of `exp` and `sum`.
    ByHand,
}

/// How the loss is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loss {
    /// Cross-entropy over logits that are first made `float32` (Hugging Face).
    #[default]
    Upcast,
    /// Cross-entropy over the logits as they are.
    Plain,
    /// Never all logits at once (Liger, Cut Cross-Entropy, chunks).
    Chunked {
        /// Parts of the sequence.
        chunks: u64,
    },
    /// No head and no logits: the mean of the stream.
    MeanOfStream,
}

/// Low-rank adapters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adapters {
    /// Rank.
    pub rank: u64,
    /// Last names of the modules that have one: `q_proj`.
    pub targets: Vec<String>,
    /// Bytes of an element of theirs.
    pub element: u64,
    /// Whether they drop out.
    pub dropout: bool,
}

/// How frozen matrices are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantization {
    /// bitsandbytes NF4, blocks of 64.
    Nf4 {
        /// The scales are quantised again.
        double: bool,
    },
    /// bitsandbytes LLM.int8.
    Int8,
}

impl Default for Workload {
    fn default() -> Workload {
        Workload {
            task: Task::Train,
            batch: 1,
            sequence: 512,
            target_sequence: None,
            precision: Precision::Full,
            optimizer: Optimizer::AdamW(Step::Foreach),
            checkpointing: Checkpointing::Nothing,
            attention: AttentionKind::Fused,
            loss: Loss::Upcast,
            adapters: None,
            quantization: None,
            dropout: true,
            float16: false,
            caches_keys: true,
            keeps_gradients: false,
            parallel: Parallel::default(),
        }
    }
}

impl Precision {
    /// Bytes of an element of a parameter.
    pub fn parameter(self) -> u64 {
        match self {
            Precision::Full | Precision::Autocast => 4,
            Precision::Half => 2,
        }
    }

    /// Bytes of an element of a matrix product.
    pub fn product(self) -> u64 {
        match self {
            Precision::Full => 4,
            Precision::Half | Precision::Autocast => 2,
        }
    }
}
