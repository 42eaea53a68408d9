//! A model's shape: all that its memory depends on.
//!
//! Widths count elements. One [`Layer`] stands for all equal layers of a tower.

/// A model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Architecture {
    /// `model_type` of the configuration: `llama`.
    pub family: String,
    /// What the configuration calls the model, where it does.
    pub name: Option<String>,
    /// Encoders before the decoders that read them.
    pub towers: Vec<Tower>,
    /// Parameters that no tower describes: projections between towers, gates, learned queries.
    pub others: Vec<crate::Weight>,
    /// Elements of a norm that one layer lacks (`ModernBERT`'s first).
    pub missing: u64,
}

/// A stack of layers with what comes before and after it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tower {
    /// `decoder`, `encoder`, `vision`, `audio`.
    pub name: &'static str,
    /// Width of the residual stream.
    pub hidden: u64,
    /// What turns its input into the stream.
    pub embedding: Embedding,
    /// Equal layers together, with how many there are, in order.
    pub layers: Vec<(u64, Layer)>,
    /// After the last layer.
    pub final_norm: Option<Norm>,
    /// What turns the stream into the output.
    pub head: Option<Head>,
    /// Whether a position sees only those before it.
    pub causal: bool,
    /// Tokens that it adds to its sequence (a class token), and, for an image, patches.
    pub added_tokens: u64,
    /// Patches of an image or frames of a sound; `None` for text.
    pub fixed_tokens: Option<u64>,
}

/// Tables that are looked up, and projections of what is not text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embedding {
    /// Rows of the token table; 0 where there is none.
    pub vocabulary: u64,
    /// Width of the token table, where it is not that of the stream.
    pub width: Option<u64>,
    /// Rows of learned positions.
    pub positions: u64,
    /// Rows of the table of segment types.
    pub types: u64,
    /// Inputs of each patch or frame projection, one for each convolution.
    pub patch_inputs: Vec<u64>,
    /// Those projections have no bias.
    pub patch_bias_free: bool,
    /// After the sum of the tables.
    pub norm: Option<Norm>,
    /// Dropout probability after it.
    pub dropout: f64,
    /// Shares its token table with another tower.
    pub shared: bool,
}

/// One layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layer {
    /// What mixes positions.
    pub mixer: Mixer,
    /// Attention to another tower.
    pub cross: Option<Attention>,
    /// What works on each position.
    pub feed_forward: FeedForward,
    /// The norms of the residual stream; all are alike.
    pub norm: Norm,
    /// Where they are.
    pub placement: Placement,
    /// Dropout probability of what is added to the stream.
    pub dropout: f64,
}

/// What mixes positions.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Mixer {
    /// None: the layer is a feed-forward alone.
    #[default]
    Nothing,
    /// Softmax attention.
    Attention(Attention),
    /// Latent attention (DeepSeek-V2, arXiv:2405.04434).
    Latent(Latent),
    /// Mamba and its kin.
    StateSpace(StateSpace),
}

/// Softmax attention.
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attention {
    /// Query heads.
    pub heads: u64,
    /// Key and value heads.
    pub key_value_heads: u64,
    /// Width of a head.
    pub head: u64,
    /// Biases of query, key, value.
    pub bias: [bool; 3],
    /// Bias of the output projection.
    pub output_bias: bool,
    /// Query, key and value come from one matrix.
    pub fused: bool,
    /// Norms of query and key.
    pub query_key_norm: QueryKeyNorm,
    /// Positions that a query sees, where not all.
    pub window: Option<u64>,
    /// Rotated elements of a head; 0 for none.
    pub rotary: u64,
    /// Dropout probability of the attention weights.
    pub dropout: f64,
    /// `tanh` over the scores (Gemma 2).
    pub softcap: bool,
    /// One learned score a head (gpt-oss).
    pub sinks: bool,
    /// A gate as wide as the output (Qwen3-Next).
    pub gated: bool,
    /// Rows of a table of relative positions that this layer holds (T5).
    pub relative_positions: u64,
}

/// Norms of query and key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueryKeyNorm {
    /// None.
    #[default]
    Nothing,
    /// Over each head (Qwen3).
    Head,
    /// Over all heads together (`OLMoE`).
    Whole,
}

/// Latent attention.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latent {
    /// Heads.
    pub heads: u64,
    /// Rank of the query, where it is compressed.
    pub query_rank: Option<u64>,
    /// Rank of key and value.
    pub key_value_rank: u64,
    /// Width of a head without rotation.
    pub head: u64,
    /// Rotated width, shared by all key heads.
    pub rotary: u64,
    /// Width of a value head.
    pub value: u64,
    /// Biases of the compressing projections.
    pub bias: bool,
    /// Heads and width of a sparse attention's indexer (DeepSeek-V3.2, GLM-5).
    pub indexer: Option<(u64, u64)>,
}

/// Mamba, Mamba-2 and gated delta nets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StateSpace {
    /// Inner width.
    pub inner: u64,
    /// State elements.
    pub state: u64,
    /// Kernel of the short convolution.
    pub convolution: u64,
    /// Rank of the step size (Mamba), or heads (Mamba-2, delta net).
    pub step_rank: u64,
    /// Groups of the state (Mamba-2), or key heads (delta net).
    pub groups: u64,
    /// Its parameter tensors, as they stand in one layer.
    pub weights: Vec<crate::Weight>,
}

/// What works on each position.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum FeedForward {
    /// None.
    #[default]
    Nothing,
    /// Two matrices, or three with a gate.
    Dense(Dense),
    /// A mixture of experts.
    Experts(Experts),
}

/// A feed-forward block.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dense {
    /// Inner width.
    pub width: u64,
    /// A gate beside the first matrix.
    pub gated: bool,
    /// Biases.
    pub bias: bool,
    /// Gate and first matrix are one (Phi-3).
    pub fused: bool,
    /// Between the matrices.
    pub activation: Activation,
    /// Dropout probability between the matrices.
    pub dropout: f64,
}

/// A mixture of experts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Experts {
    /// Experts.
    pub count: u64,
    /// Experts that a token goes through.
    pub per_token: u64,
    /// One expert.
    pub expert: Dense,
    /// What every token goes through as well.
    pub shared: Option<Dense>,
    /// A gate of one output over the shared one.
    pub shared_gate: bool,
    /// Bias of the router.
    pub router_bias: bool,
    /// All experts' matrices are one tensor each.
    pub stacked: bool,
}

/// How an activation is computed, which decides what it keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// One kernel: GELU.
    #[default]
    Gelu,
    /// GELU by its `tanh` formula, operation by operation (GPT-2's `gelu_new`).
    GeluNew,
    /// `relu`.
    Relu,
    /// `silu`.
    Silu,
    /// `x * sigmoid(x)`, two operations.
    SiluByHand,
    /// `relu`, squared.
    ReluSquared,
    /// `x * sigmoid(1.702 x)` (CLIP).
    QuickGelu,
}

/// A norm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Norm {
    /// Which.
    pub kind: NormKind,
    /// Elements of its weight; 0 for none.
    pub width: u64,
    /// A bias beside the weight.
    pub bias: bool,
}

/// Which norm, as it is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NormKind {
    /// `torch.nn.LayerNorm`.
    #[default]
    Layer,
    /// Root mean square in Python, in `float32` (Hugging Face's Llama).
    RootMeanSquare,
    /// The same with `1 + weight` (Gemma).
    Gemma,
}

/// Where a layer's norms are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// Before each block (GPT-2, Llama).
    #[default]
    Before,
    /// After each sum (BERT).
    After,
    /// Before and after each block (Gemma 2).
    Both,
    /// After each block, before the sum (`OLMo` 2).
    AfterBlock,
    /// One before both blocks, which run side by side (GPT-J, Falcon-7B, Phi-2).
    Shared,
    /// Two, and blocks that run side by side (GPT-NeoX).
    Parallel,
}

/// What turns the stream into the output.
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Head {
    /// Outputs: the vocabulary or the classes.
    pub outputs: u64,
    /// Its matrix is the token table.
    pub tied: bool,
    /// A bias.
    pub bias: bool,
    /// `tanh` over the logits (Gemma 2).
    pub softcap: bool,
    /// A dense layer and a norm before it (BERT's masked language model), a pooler.
    pub transform: Option<Norm>,
    /// A dense layer of the stream's width over the first token (BERT's pooler).
    pub pooler: bool,
}
