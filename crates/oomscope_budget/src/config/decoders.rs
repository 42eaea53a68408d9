//! Decoders of text.

use super::Reader;
use super::keys::{KeyError, Keys};
use crate::architecture::{
    Activation, Architecture, Attention, Dense, Embedding, Experts, FeedForward, Head, Latent,
    Layer, Mixer, Norm, NormKind, Placement, QueryKeyNorm, StateSpace, Tower,
};
use crate::{Role, Weight};

pub(super) const FAMILIES: &[(&str, Reader)] = &[
    ("llama", |keys| Ok(llama(keys, &Style::default())?.model())),
    ("mistral", |keys| Ok(llama(keys, &Style::default())?.model())),
    ("ministral", |keys| Ok(llama(keys, &Style::default())?.model())),
    ("smollm3", |keys| Ok(llama(keys, &Style { tied: true, ..Style::default() })?.model())),
    ("granite", |keys| Ok(llama(keys, &Style::default())?.model())),
    ("internlm2", |keys| Ok(llama(keys, &Style::default())?.model())),
    ("yi", |keys| Ok(llama(keys, &Style::default())?.model())),
    ("qwen2", |keys| Ok(llama(keys, &QWEN2)?.model())),
    ("mimo", |keys| Ok(llama(keys, &QWEN2)?.model())),
    ("qwen3", |keys| Ok(llama(keys, &QWEN3)?.model())),
    ("gemma", |keys| Ok(llama(keys, &GEMMA)?.model())),
    ("gemma2", gemma2),
    ("gemma3_text", gemma3),
    ("phi3", |keys| Ok(llama(keys, &Style { fused: true, ..Style::default() })?.model())),
    ("olmo2", olmo2),
    ("starcoder2", starcoder2),
    ("stablelm", stablelm),
    ("mixtral", |keys| experts(keys, &Style::default(), "intermediate_size")),
    ("olmoe", |keys| experts(keys, &OLMOE, "intermediate_size")),
    ("qwen2_moe", qwen2_moe),
    ("qwen3_moe", |keys| experts(keys, &QWEN3, "moe_intermediate_size")),
    ("minimax_m2", |keys| experts(keys, &OLMOE, "intermediate_size")),
    ("phimoe", phimoe),
    ("gpt_oss", gpt_oss),
    ("deepseek_v2", deepseek),
    ("deepseek_v3", deepseek),
    ("kimi_k2", deepseek),
    ("glm_moe_dsa", deepseek),
    ("gpt2", gpt2),
    ("gptj", gptj),
    ("gpt_neox", gpt_neox),
    ("phi", phi),
    ("opt", opt),
    ("bloom", bloom),
    ("falcon", falcon),
    ("mamba", mamba),
];

/// What a family of Llama's kind does not say in its configuration.
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
#[derive(Clone, Debug)]
pub(super) struct Style {
    /// Biases of query, key and value, where the configuration is silent.
    pub(super) bias: bool,
    /// A bias of the output projection, where those have one.
    pub(super) output_bias: bool,
    pub(super) norms: QueryKeyNorm,
    pub(super) gemma: bool,
    /// Query, key, value and gate, up are one matrix each.
    pub(super) fused: bool,
    /// Ties its tables, where the configuration is silent.
    pub(super) tied: bool,
}

impl Default for Style {
    fn default() -> Style {
        Style {
            bias: false,
            output_bias: true,
            norms: QueryKeyNorm::Nothing,
            gemma: false,
            fused: false,
            tied: false,
        }
    }
}

pub(super) const PLAIN: Style = Style {
    bias: false,
    output_bias: true,
    norms: QueryKeyNorm::Nothing,
    gemma: false,
    fused: false,
    tied: false,
};
const QWEN2: Style = Style { bias: true, output_bias: false, ..PLAIN };
pub(super) const QWEN3: Style = Style { norms: QueryKeyNorm::Head, ..PLAIN };
const OLMOE: Style = Style { norms: QueryKeyNorm::Whole, ..PLAIN };
const GEMMA: Style = Style { gemma: true, tied: true, ..PLAIN };

/// A decoder of equal layers.
pub(super) struct Decoder {
    pub(super) tower: Tower,
    pub(super) others: Vec<Weight>,
}

impl Decoder {
    pub(super) fn model(self) -> Architecture {
        Architecture { towers: vec![self.tower], others: self.others, ..Architecture::default() }
    }

    /// Changes every layer.
    pub(super) fn each(mut self, change: impl Fn(&mut Layer)) -> Decoder {
        self.tower.layers.iter_mut().for_each(|(_, layer)| change(layer));
        self
    }

    pub(super) fn each_attention(self, change: impl Fn(&mut Attention)) -> Decoder {
        self.each(|layer| {
            if let Mixer::Attention(attention) = &mut layer.mixer {
                change(attention);
            }
        })
    }
}

pub(super) fn activation(keys: &Keys<'_>, default: Activation) -> Activation {
    match keys.text("hidden_act") {
        Some("gelu_new" | "gelu_fast") => Activation::GeluNew,
        Some("gelu" | "gelu_pytorch_tanh" | "gelu_python") => Activation::Gelu,
        Some("relu") => Activation::Relu,
        Some("relu2") => Activation::ReluSquared,
        Some("silu" | "swish") => Activation::Silu,
        Some("quick_gelu") => Activation::QuickGelu,
        _ => default,
    }
}

/// Width of a dense feed-forward; a model of experts alone need not say it.
fn dense_width(keys: &Keys<'_>) -> Result<u64, KeyError> {
    let alone = keys.optional("moe_intermediate_size")?.filter(|width| *width > 0);
    match (keys.optional("intermediate_size")?, alone) {
        (None, Some(width)) => Ok(width),
        _ => keys.count("intermediate_size"),
    }
}

/// Layers, where they are counted or else listed by kind.
fn layer_count(keys: &Keys<'_>) -> Result<u64, KeyError> {
    match (keys.optional("num_hidden_layers")?, keys.list("layers_block_type")) {
        (None, Some(kinds)) => Ok(kinds.len() as u64),
        _ => keys.count("num_hidden_layers"),
    }
}

/// Llama, and who is built like it.
pub(super) fn llama(keys: &Keys<'_>, style: &Style) -> Result<Decoder, KeyError> {
    let hidden = keys.count("hidden_size")?;
    let heads = keys.count("num_attention_heads")?;
    let head = keys.optional("head_dim")?.filter(|head| *head > 0).unwrap_or(hidden / heads);
    let vocabulary = keys.count("vocab_size")?;
    let bias = keys.flag("attention_bias", style.bias);
    let kind = if style.gemma { NormKind::Gemma } else { NormKind::RootMeanSquare };
    let norm = Norm { kind, width: hidden, bias: false };
    let layer = Layer {
        mixer: Mixer::Attention(Attention {
            heads,
            key_value_heads: keys.optional("num_key_value_heads")?.unwrap_or(heads),
            head,
            bias: [bias; 3],
            output_bias: bias && style.output_bias,
            fused: style.fused,
            query_key_norm: style.norms,
            rotary: head,
            dropout: keys.probability("attention_dropout", 0.0),
            ..Attention::default()
        }),
        feed_forward: FeedForward::Dense(Dense {
            width: dense_width(keys)?,
            gated: true,
            bias: keys.flag("mlp_bias", false),
            fused: style.fused,
            activation: activation(keys, Activation::Silu),
            ..Dense::default()
        }),
        norm,
        ..Layer::default()
    };
    let tower = Tower {
        name: "decoder",
        hidden,
        embedding: Embedding { vocabulary, ..Embedding::default() },
        layers: vec![(layer_count(keys)?, layer)],
        final_norm: Some(norm),
        head: Some(Head {
            outputs: vocabulary,
            tied: keys.flag("tie_word_embeddings", style.tied),
            ..Head::default()
        }),
        causal: true,
        ..Tower::default()
    };
    Ok(Decoder { tower, others: Vec::new() })
}

fn gemma2(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let mut decoder = llama(keys, &GEMMA)?
        .each(|layer| layer.placement = Placement::Both)
        .each_attention(|attention| attention.softcap = true);
    if let Some(head) = &mut decoder.tower.head {
        head.softcap = true;
    }
    Ok(decoder.model())
}

pub(super) fn gemma3(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let style = Style { norms: QueryKeyNorm::Head, ..GEMMA };
    Ok(llama(keys, &style)?.each(|layer| layer.placement = Placement::Both).model())
}

pub(super) fn olmo2(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let decoder = llama(keys, &OLMOE)?.each(|layer| layer.placement = Placement::AfterBlock);
    Ok(decoder.model())
}

/// A decoder with `torch.nn.LayerNorm` and a feed-forward without a gate.
pub(super) fn with_layer_norms(decoder: Decoder, bias: bool, activation: Activation) -> Decoder {
    let mut decoder = decoder.each(|layer| {
        layer.norm = Norm { kind: NormKind::Layer, width: layer.norm.width, bias: true };
        if let FeedForward::Dense(dense) = &mut layer.feed_forward {
            (dense.gated, dense.bias, dense.activation) = (false, bias, activation);
        }
    });
    decoder.tower.final_norm =
        Some(Norm { kind: NormKind::Layer, width: decoder.tower.hidden, bias: true });
    decoder
}

fn starcoder2(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let bias = keys.flag("use_bias", true);
    let style = Style { bias, tied: true, ..PLAIN };
    let decoder = llama(keys, &style)?;
    let dropout = keys.probability("hidden_dropout", 0.0);
    Ok(with_layer_norms(decoder, bias, activation(keys, Activation::Gelu))
        .each(|layer| layer.dropout = dropout)
        .model())
}

fn stablelm(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let bias = keys.flag("use_qkv_bias", false);
    let decoder = llama(keys, &PLAIN)?.each_attention(|attention| attention.bias = [bias; 3]);
    let mut decoder = decoder.each(|layer| {
        layer.norm = Norm { kind: NormKind::Layer, width: layer.norm.width, bias: true };
    });
    decoder.tower.final_norm =
        Some(Norm { kind: NormKind::Layer, width: decoder.tower.hidden, bias: true });
    Ok(decoder.model())
}

/// Experts in every layer, of the width under `width`.
pub(super) fn experts(
    keys: &Keys<'_>,
    style: &Style,
    width: &str,
) -> Result<Architecture, KeyError> {
    let experts = Experts {
        count: keys.count("num_experts")?,
        per_token: keys.count_or("num_experts_per_tok", 2)?,
        expert: Dense {
            width: keys.count(width)?,
            gated: true,
            activation: activation(keys, Activation::Silu),
            ..Dense::default()
        },
        stacked: true,
        ..Experts::default()
    };
    let decoder = llama(keys, style)?;
    Ok(decoder.each(|layer| layer.feed_forward = FeedForward::Experts(experts.clone())).model())
}

fn qwen2_moe(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    qwen2_moe_of(keys, experts(keys, &QWEN2, "moe_intermediate_size")?)
}

/// A shared expert with a gate beside the others.
pub(super) fn qwen2_moe_of(
    keys: &Keys<'_>,
    mut model: Architecture,
) -> Result<Architecture, KeyError> {
    let width = keys.count("shared_expert_intermediate_size")?;
    for (_, layer) in model.towers.iter_mut().flat_map(|tower| &mut tower.layers) {
        if let FeedForward::Experts(experts) = &mut layer.feed_forward {
            experts.shared = Some(Dense { width, ..experts.expert.clone() });
            experts.shared_gate = true;
        }
    }
    Ok(model)
}

fn phimoe(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let mut model = experts(keys, &PLAIN, "intermediate_size")?;
    for tower in &mut model.towers {
        let norm = Norm { kind: NormKind::Layer, width: tower.hidden, bias: true };
        tower.layers.iter_mut().for_each(|(_, layer)| layer.norm = norm);
        tower.final_norm = Some(norm);
        if let Some(head) = &mut tower.head {
            head.bias = keys.flag("lm_head_bias", false);
        }
    }
    Ok(model)
}

fn gpt_oss(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let mut model = experts(keys, &Style { bias: true, ..PLAIN }, "intermediate_size")?;
    for (_, layer) in model.towers.iter_mut().flat_map(|tower| &mut tower.layers) {
        if let Mixer::Attention(attention) = &mut layer.mixer {
            attention.sinks = true;
        }
        if let FeedForward::Experts(experts) = &mut layer.feed_forward {
            (experts.expert.bias, experts.router_bias) = (true, true);
        }
    }
    Ok(model)
}

/// DeepSeek-V2 and V3: latent attention, dense layers first, then experts and shared ones.
fn deepseek(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let decoder = llama(keys, &PLAIN)?;
    let layers = keys.count("num_hidden_layers")?;
    let dense_layers = keys.count_or("first_k_dense_replace", 0)?.min(layers);
    let query_rank = keys.optional("q_lora_rank")?.filter(|rank| *rank > 0);
    let indexer = match (keys.optional("index_n_heads")?, keys.optional("index_head_dim")?) {
        (Some(heads), Some(head)) => Some((heads, head)),
        _ => None,
    };
    let latent = Latent {
        heads: keys.count("num_attention_heads")?,
        query_rank,
        key_value_rank: keys.count("kv_lora_rank")?,
        head: keys.count("qk_nope_head_dim")?,
        rotary: keys.count("qk_rope_head_dim")?,
        value: keys.count("v_head_dim")?,
        bias: keys.flag("attention_bias", false),
        indexer,
    };
    let width = keys.count("moe_intermediate_size")?;
    let expert = Dense { width, gated: true, activation: Activation::Silu, ..Dense::default() };
    let shared = keys.count_or("n_shared_experts", 0)?;
    let experts = Experts {
        count: keys.count("num_experts")?,
        per_token: keys.count_or("num_experts_per_tok", 8)?,
        shared: (shared > 0).then(|| Dense { width: width * shared, ..expert.clone() }),
        expert,
        stacked: true,
        ..Experts::default()
    };
    let mut decoder = decoder.each(|layer| layer.mixer = Mixer::Latent(latent.clone()));
    if let Some((_, dense)) = decoder.tower.layers.pop() {
        let routed = Layer { feed_forward: FeedForward::Experts(experts), ..dense.clone() };
        decoder.tower.layers = vec![(dense_layers, dense), (layers - dense_layers, routed)];
    }
    Ok(decoder.model())
}

/// Defaults of GPT-2's kind: learned positions, layer norms, dropout of 0.1.
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub(super) struct Gpt {
    pub(super) hidden: u64,
    pub(super) heads: u64,
    pub(super) width: u64,
    pub(super) bias: bool,
    pub(super) rotary: u64,
    pub(super) positions: u64,
    pub(super) placement: Placement,
    pub(super) dropout: f64,
    pub(super) activation: Activation,
    pub(super) fused: bool,
    pub(super) head_bias: bool,
    pub(super) tied: bool,
}

pub(super) fn gpt(keys: &Keys<'_>, shape: &Gpt) -> Result<Decoder, KeyError> {
    let vocabulary = keys.count("vocab_size")?;
    let norm = Norm { kind: NormKind::Layer, width: shape.hidden, bias: true };
    let layer = Layer {
        mixer: Mixer::Attention(Attention {
            heads: shape.heads,
            key_value_heads: shape.heads,
            head: shape.hidden / shape.heads,
            bias: [shape.bias; 3],
            output_bias: shape.bias,
            fused: shape.fused,
            rotary: shape.rotary,
            dropout: keys.probability("attention_dropout", shape.dropout),
            ..Attention::default()
        }),
        feed_forward: FeedForward::Dense(Dense {
            width: shape.width,
            bias: true,
            activation: shape.activation,
            ..Dense::default()
        }),
        norm,
        placement: shape.placement,
        dropout: keys.probability("hidden_dropout", shape.dropout),
        ..Layer::default()
    };
    let tower = Tower {
        name: "decoder",
        hidden: shape.hidden,
        embedding: Embedding {
            vocabulary,
            positions: shape.positions,
            dropout: keys.probability("embedding_dropout", shape.dropout),
            ..Embedding::default()
        },
        layers: vec![(keys.count("num_hidden_layers")?, layer)],
        final_norm: Some(norm),
        head: Some(Head {
            outputs: vocabulary,
            tied: keys.flag("tie_word_embeddings", shape.tied),
            bias: shape.head_bias,
            ..Head::default()
        }),
        causal: true,
        ..Tower::default()
    };
    Ok(Decoder { tower, others: Vec::new() })
}

fn gpt2(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let hidden = keys.count("hidden_size")?;
    let shape = Gpt {
        hidden,
        heads: keys.count("num_attention_heads")?,
        width: keys.optional("intermediate_size")?.unwrap_or(4 * hidden),
        bias: true,
        rotary: 0,
        positions: keys.count_or("max_position_embeddings", 1024)?,
        placement: Placement::Before,
        dropout: 0.1,
        activation: activation(keys, Activation::GeluNew),
        fused: true,
        head_bias: false,
        tied: true,
    };
    Ok(gpt(keys, &shape)?.model())
}

fn gptj(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let hidden = keys.count("hidden_size")?;
    let shape = Gpt {
        hidden,
        heads: keys.count("num_attention_heads")?,
        width: keys.optional("intermediate_size")?.unwrap_or(4 * hidden),
        bias: false,
        rotary: keys.count_or("rotary_dim", 64)?,
        positions: 0,
        placement: Placement::Shared,
        dropout: 0.0,
        activation: activation(keys, Activation::GeluNew),
        fused: false,
        head_bias: true,
        tied: false,
    };
    Ok(gpt(keys, &shape)?.model())
}

fn gpt_neox(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let parallel = keys.flag("use_parallel_residual", true);
    let bias = keys.flag("attention_bias", true);
    let hidden = keys.count("hidden_size")?;
    let heads = keys.count("num_attention_heads")?;
    let shape = Gpt {
        hidden,
        heads,
        width: keys.count("intermediate_size")?,
        bias,
        rotary: hidden / heads / 4,
        positions: 0,
        placement: if parallel { Placement::Parallel } else { Placement::Before },
        dropout: 0.0,
        activation: activation(keys, Activation::Gelu),
        fused: true,
        head_bias: false,
        tied: false,
    };
    Ok(gpt(keys, &shape)?.model())
}

fn phi(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let hidden = keys.count("hidden_size")?;
    let heads = keys.count("num_attention_heads")?;
    let shape = Gpt {
        hidden,
        heads,
        width: keys.count("intermediate_size")?,
        bias: true,
        rotary: hidden / heads * 2 / 5,
        positions: 0,
        placement: Placement::Shared,
        dropout: 0.0,
        activation: activation(keys, Activation::GeluNew),
        fused: false,
        head_bias: true,
        tied: false,
    };
    let narrow = keys.optional("num_key_value_heads")?.unwrap_or(heads);
    Ok(gpt(keys, &shape)?.each_attention(|attention| attention.key_value_heads = narrow).model())
}

fn opt(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let hidden = keys.count("hidden_size")?;
    let before = keys.flag("do_layer_norm_before", true);
    let shape = Gpt {
        hidden,
        heads: keys.count("num_attention_heads")?,
        width: keys.count("intermediate_size")?,
        bias: keys.flag("enable_bias", true),
        rotary: 0,
        // Two rows more than positions (`OPTLearnedPositionalEmbedding`).
        positions: keys.count_or("max_position_embeddings", 2048)? + 2,
        placement: if before { Placement::Before } else { Placement::After },
        dropout: 0.0,
        activation: activation(keys, Activation::Relu),
        fused: false,
        head_bias: false,
        tied: true,
    };
    let mut decoder = gpt(keys, &shape)?;
    let width = keys.count_or("word_embed_proj_dim", hidden)?;
    if width != hidden {
        decoder.tower.embedding.width = Some(width);
        decoder.others.push(Weight {
            name: "model.decoder.project_out.weight".to_owned(),
            shape: vec![width, hidden],
            count: 1,
            role: Role::Linear,
        });
    }
    if !before {
        decoder.tower.final_norm = None;
    }
    Ok(decoder.model())
}

fn bloom(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let hidden = keys.count("hidden_size")?;
    let shape = Gpt {
        hidden,
        heads: keys.count("num_attention_heads")?,
        width: 4 * hidden,
        bias: true,
        rotary: 0,
        positions: 0,
        placement: Placement::Before,
        dropout: 0.0,
        activation: Activation::GeluNew,
        fused: true,
        head_bias: false,
        tied: true,
    };
    let mut decoder = gpt(keys, &shape)?;
    decoder.tower.embedding.norm = decoder.tower.final_norm;
    Ok(decoder.model())
}

fn falcon(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let hidden = keys.count("hidden_size")?;
    let heads = keys.count("num_attention_heads")?;
    let new = keys.flag("new_decoder_architecture", false);
    let narrow = if new {
        keys.optional("num_key_value_heads")?.unwrap_or(heads)
    } else if keys.flag("multi_query", true) {
        1
    } else {
        heads
    };
    let parallel = new || keys.flag("parallel_attn", true);
    let two = new && keys.count_or("num_ln_in_parallel_attn", 2)? == 2;
    let bias = keys.flag("bias", false);
    let shape = Gpt {
        hidden,
        heads,
        width: keys.optional("intermediate_size")?.unwrap_or(4 * hidden),
        bias,
        rotary: if keys.flag("alibi", false) { 0 } else { hidden / heads },
        positions: 0,
        placement: match (parallel, two) {
            (true, true) => Placement::Parallel,
            (true, false) => Placement::Shared,
            (false, _) => Placement::Before,
        },
        dropout: 0.0,
        activation: activation(keys, Activation::Gelu),
        fused: true,
        head_bias: false,
        tied: true,
    };
    let decoder = gpt(keys, &shape)?.each_attention(|attention| attention.key_value_heads = narrow);
    Ok(decoder
        .each(|layer| {
            if let FeedForward::Dense(dense) = &mut layer.feed_forward {
                dense.bias = bias;
            }
        })
        .model())
}

fn mamba(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let hidden = keys.count("hidden_size")?;
    let inner = keys.optional("intermediate_size")?.unwrap_or(2 * hidden);
    let state = keys.count_or("state_size", 16)?;
    let rank = keys.optional("time_step_rank")?.unwrap_or(hidden.div_ceil(16));
    let kernel = keys.count_or("conv_kernel", 4)?;
    let bias = keys.flag("use_bias", false);
    let weight = |name: &str, shape: &[u64], role| Weight {
        name: format!("backbone.layers.*.mixer.{name}"),
        shape: shape.to_vec(),
        count: 1,
        role,
    };
    let mut weights = vec![
        weight("in_proj.weight", &[2 * inner, hidden], Role::Linear),
        weight("conv1d.weight", &[inner, 1, kernel], Role::Convolution),
        weight("x_proj.weight", &[rank + 2 * state, inner], Role::Linear),
        weight("dt_proj.weight", &[inner, rank], Role::Linear),
        weight("dt_proj.bias", &[inner], Role::Bias),
        weight("A_log", &[inner, state], Role::Other),
        weight("D", &[inner], Role::Other),
        weight("out_proj.weight", &[hidden, inner], Role::Linear),
    ];
    if keys.flag("use_conv_bias", true) {
        weights.push(weight("conv1d.bias", &[inner], Role::Bias));
    }
    if bias {
        weights.push(weight("in_proj.bias", &[2 * inner], Role::Bias));
        weights.push(weight("out_proj.bias", &[hidden], Role::Bias));
    }
    let norm = Norm { kind: NormKind::RootMeanSquare, width: hidden, bias: false };
    let vocabulary = keys.count("vocab_size")?;
    let layer = Layer {
        mixer: Mixer::StateSpace(StateSpace {
            inner,
            state,
            convolution: kernel,
            step_rank: rank,
            groups: 1,
            weights,
        }),
        norm,
        ..Layer::default()
    };
    let tower = Tower {
        name: "decoder",
        hidden,
        embedding: Embedding { vocabulary, ..Embedding::default() },
        layers: vec![(keys.count("num_hidden_layers")?, layer)],
        final_norm: Some(norm),
        head: Some(Head {
            outputs: vocabulary,
            tied: keys.flag("tie_word_embeddings", true),
            ..Head::default()
        }),
        causal: true,
        ..Tower::default()
    };
    Ok(Decoder { tower, others: Vec::new() }.model())
}
