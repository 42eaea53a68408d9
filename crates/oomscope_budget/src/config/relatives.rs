//! Decoders that are built like Llama or GPT-2 with a difference (transformers 5.23).

use super::Reader;
use super::decoders::{
    Gpt, PLAIN, QWEN3, Style, activation, experts, gpt, llama, olmo2, with_layer_norms,
};
use super::keys::{KeyError, Keys};
use crate::architecture::{
    Activation, Architecture, Dense, Experts, FeedForward, Layer, Mixer, Norm, NormKind, Placement,
    QueryKeyNorm,
};

pub(super) const FAMILIES: &[(&str, Reader)] = &[
    ("cohere", |keys| cohere(keys, keys.flag("use_qk_norm", false))),
    ("cohere2", |keys| cohere(keys, false)),
    ("glm", |keys| glm(keys, Placement::Before)),
    ("glm4", |keys| glm(keys, Placement::Both)),
    ("glm4_moe", glm4_moe),
    ("olmo3", olmo2),
    ("exaone4", |keys| {
        Ok(llama(keys, &QWEN3)?.each(|layer| layer.placement = Placement::AfterBlock).model())
    }),
    ("arcee", |keys| Ok(without_gates(llama(keys, &PLAIN)?, keys).model())),
    ("nemotron", nemotron),
    ("seed_oss", seed_oss),
    ("hunyuan_v1_dense", |keys| Ok(llama(keys, &QWEN3)?.model())),
    ("ernie4_5", |keys| {
        let style = Style { bias: keys.flag("use_bias", false), tied: true, ..PLAIN };
        Ok(llama(keys, &style)?.model())
    }),
    ("helium", |keys| Ok(llama(keys, &PLAIN)?.model())),
    ("granitemoe", |keys| experts(keys, &PLAIN, "intermediate_size")),
    ("llama4_text", llama4),
    ("nemotron-nas", nemotron_nas),
    ("gpt_bigcode", gpt_bigcode),
    ("gpt_neo", gpt_neo),
    ("codegen", codegen),
    ("mpt", mpt),
];

/// Layer norms without a bias, one for attention and feed-forward.
fn cohere(keys: &Keys<'_>, norms: bool) -> Result<Architecture, KeyError> {
    let norms = if norms { QueryKeyNorm::Whole } else { QueryKeyNorm::Nothing };
    let hidden = keys.count("hidden_size")?;
    let norm = Norm { kind: NormKind::Layer, width: hidden, bias: false };
    let style = Style { norms, tied: true, ..PLAIN };
    let mut decoder = llama(keys, &style)?
        .each(|layer| (layer.norm, layer.placement) = (norm, Placement::Shared));
    decoder.tower.final_norm = Some(norm);
    Ok(decoder.model())
}

fn glm(keys: &Keys<'_>, placement: Placement) -> Result<Architecture, KeyError> {
    let style = Style { output_bias: false, ..PLAIN };
    let decoder = llama(keys, &style)?.each(|layer| {
        layer.placement = placement;
        if let FeedForward::Dense(dense) = &mut layer.feed_forward {
            dense.fused = true;
        }
    });
    Ok(decoder.model())
}

/// Dense layers first, then experts and shared ones.
fn glm4_moe(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let norms = keys.flag("use_qk_norm", false);
    let norms = if norms { QueryKeyNorm::Head } else { QueryKeyNorm::Nothing };
    let mut decoder = llama(keys, &Style { norms, output_bias: false, ..PLAIN })?;
    let layers = keys.count("num_hidden_layers")?;
    let dense_layers = keys.count_or("first_k_dense_replace", 1)?.min(layers);
    let width = keys.count("moe_intermediate_size")?;
    let shared = keys.count_or("n_shared_experts", 1)?;
    let expert = Dense {
        width,
        gated: true,
        activation: activation(keys, Activation::Silu),
        ..Dense::default()
    };
    let experts = Experts {
        count: keys.count("num_experts")?,
        per_token: keys.count_or("num_experts_per_tok", 8)?,
        shared: (shared > 0).then(|| Dense { width: width * shared, ..expert.clone() }),
        expert,
        stacked: true,
        ..Experts::default()
    };
    if let Some((_, dense)) = decoder.tower.layers.pop() {
        let routed = Layer { feed_forward: FeedForward::Experts(experts), ..dense.clone() };
        decoder.tower.layers = vec![(dense_layers, dense), (layers - dense_layers, routed)];
    }
    Ok(decoder.model())
}

fn without_gates(decoder: super::decoders::Decoder, keys: &Keys<'_>) -> super::decoders::Decoder {
    let activation = activation(keys, Activation::ReluSquared);
    decoder.each(|layer| {
        if let FeedForward::Dense(dense) = &mut layer.feed_forward {
            (dense.gated, dense.activation) = (false, activation);
        }
    })
}

fn nemotron(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let bias = keys.flag("mlp_bias", false);
    let activation = activation(keys, Activation::ReluSquared);
    Ok(with_layer_norms(llama(keys, &PLAIN)?, bias, activation).model())
}

fn seed_oss(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let style = Style { bias: true, output_bias: false, ..PLAIN };
    let bias = keys.flag("attention_out_bias", false);
    Ok(llama(keys, &style)?.each_attention(|attention| attention.output_bias = bias).model())
}

/// Every so many layers, experts and a shared one stand for the feed-forward.
pub(super) fn llama4(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let mut decoder = llama(keys, &PLAIN)?;
    let layers = keys.count("num_hidden_layers")?;
    let step = keys.count_or("interleave_moe_layer_step", 1)?.max(1);
    let activation = activation(keys, Activation::Silu);
    let dense = |width| Dense { width, gated: true, activation, ..Dense::default() };
    let expert = dense(keys.count("intermediate_size")?);
    let wide = dense(keys.count_or("intermediate_size_mlp", 16384)?);
    let experts = Experts {
        count: keys.count("num_experts")?,
        per_token: keys.count_or("num_experts_per_tok", 1)?,
        shared: Some(expert.clone()),
        expert,
        stacked: true,
        ..Experts::default()
    };
    if let Some((_, layer)) = decoder.tower.layers.pop() {
        let with = |feed_forward| Layer { feed_forward, ..layer.clone() };
        let routed = with(FeedForward::Experts(experts));
        let plain = with(FeedForward::Dense(wide));
        decoder.tower.layers = runs((1..=layers).map(|number| {
            if number.is_multiple_of(step) { routed.clone() } else { plain.clone() }
        }));
    }
    Ok(decoder.model())
}

/// Layers of several kinds, equal neighbours together.
pub(super) fn runs(layers: impl Iterator<Item = Layer>) -> Vec<(u64, Layer)> {
    let mut runs: Vec<(u64, Layer)> = Vec::new();
    for layer in layers {
        match runs.last_mut() {
            Some((count, last)) if *last == layer => *count += 1,
            _ => runs.push((1, layer)),
        }
    }
    runs
}

/// Each block says its own heads and width, or that it is left out
/// (`modeling_decilm.py` of the published model).
fn nemotron_nas(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let hidden = keys.count("hidden_size")?;
    let heads = keys.count("num_attention_heads")?;
    let blocks = keys.list("block_configs").ok_or(KeyError::missing("block_configs"))?;
    let activation = activation(keys, Activation::Silu);
    let mut decoder = llama_of(keys, hidden)?;
    let Some((_, plain)) = decoder.tower.layers.pop() else { return Ok(decoder.model()) };
    let mut layers = Vec::new();
    for block in blocks {
        let mut layer = plain.clone();
        let attention = block.get("attention");
        let left_out = |part: Option<&serde_json::Value>| {
            part.and_then(|part| part.get("no_op")).and_then(serde_json::Value::as_bool)
                == Some(true)
        };
        let group = attention.and_then(|part| part.get("n_heads_in_group")?.as_u64());
        if left_out(attention) {
            layer.mixer = Mixer::Nothing;
        } else if let Mixer::Attention(own) = &mut layer.mixer {
            own.key_value_heads = heads / group.unwrap_or(1).clamp(1, heads);
        }
        let ffn = block.get("ffn");
        let times = ffn.and_then(|part| part.get("ffn_mult")?.as_f64()).unwrap_or(0.0);
        layer.feed_forward = if left_out(ffn) || times <= 0.0 {
            FeedForward::Nothing
        } else {
            // Two thirds of it, as a multiple of 256.
            let width = (2.0 * times.min(1e3) * hidden as f64 / 3.0) as u64;
            let width = width.next_multiple_of(256);
            FeedForward::Dense(Dense { width, gated: true, activation, ..Dense::default() })
        };
        layers.push(layer);
    }
    decoder.tower.layers = runs(layers.into_iter());
    Ok(decoder.model())
}

/// A decoder whose feed-forward's width comes later.
fn llama_of(keys: &Keys<'_>, width: u64) -> Result<super::decoders::Decoder, KeyError> {
    let mut value = serde_json::Map::new();
    for key in ["hidden_size", "num_attention_heads", "num_hidden_layers", "vocab_size"] {
        value.insert(key.to_owned(), keys.count(key)?.into());
    }
    value.insert("intermediate_size".to_owned(), width.into());
    value.insert("tie_word_embeddings".to_owned(), keys.flag("tie_word_embeddings", false).into());
    llama(&Keys::of(&value), &PLAIN)
}

fn gpt_bigcode(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let hidden = keys.count("hidden_size")?;
    let heads = keys.count("num_attention_heads")?;
    let shape = Gpt {
        hidden,
        heads,
        width: keys.optional("intermediate_size")?.unwrap_or(4 * hidden),
        bias: true,
        rotary: 0,
        positions: keys.count_or("max_position_embeddings", 1024)?,
        placement: Placement::Before,
        dropout: 0.1,
        activation: activation(keys, Activation::Gelu),
        fused: true,
        head_bias: false,
        tied: true,
    };
    let narrow = if keys.flag("multi_query", true) { 1 } else { heads };
    Ok(gpt(keys, &shape)?.each_attention(|attention| attention.key_value_heads = narrow).model())
}

fn gpt_neo(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let hidden = keys.count("hidden_size")?;
    let shape = Gpt {
        hidden,
        heads: keys.count("num_attention_heads")?,
        width: keys.optional("intermediate_size")?.unwrap_or(4 * hidden),
        bias: false,
        rotary: 0,
        positions: keys.count_or("max_position_embeddings", 2048)?,
        placement: Placement::Before,
        dropout: 0.0,
        activation: activation(keys, Activation::GeluNew),
        fused: false,
        head_bias: false,
        tied: true,
    };
    Ok(gpt(keys, &shape)?.each_attention(|attention| attention.output_bias = true).model())
}

fn codegen(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
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
        fused: true,
        head_bias: true,
        tied: false,
    };
    Ok(gpt(keys, &shape)?.model())
}

/// No biases, norms included.
fn mpt(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let hidden = keys.count("hidden_size")?;
    let shape = Gpt {
        hidden,
        heads: keys.count("num_attention_heads")?,
        width: keys.count_or("expansion_ratio", 4)? * hidden,
        bias: false,
        rotary: 0,
        positions: 0,
        placement: Placement::Before,
        dropout: 0.0,
        activation: Activation::Gelu,
        fused: true,
        head_bias: false,
        tied: true,
    };
    let norm = Norm { kind: NormKind::Layer, width: hidden, bias: false };
    let mut decoder = gpt(keys, &shape)?.each(|layer| {
        layer.norm = norm;
        if let FeedForward::Dense(dense) = &mut layer.feed_forward {
            dense.bias = false;
        }
    });
    decoder.tower.final_norm = Some(norm);
    Ok(decoder.model())
}
