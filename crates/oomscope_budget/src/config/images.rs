//! Decoders of text with an encoder of images beside them (transformers 5.23).
//!
//! The encoder counts with its parameters: a step on text alone does not run it.

use super::Reader;
use super::keys::{KeyError, Keys};
use super::{KeyError as Error, read_keys};
use crate::architecture::{
    Activation, Architecture, Attention, Dense, Embedding, FeedForward, Layer, Mixer, Norm,
    NormKind, Tower,
};
use crate::{Role, Weight, weights};

pub(super) const FAMILIES: &[(&str, Reader)] = &[
    ("qwen3_vl", |keys| with_images(keys, "qwen3", qwen_vision)),
    ("qwen3_vl_moe", |keys| with_images(keys, "qwen3_moe", qwen_vision)),
    ("qwen3_5", |keys| with_images(keys, "qwen3_5_text", qwen_vision)),
    ("qwen3_5_moe", |keys| with_images(keys, "qwen3_5_moe_text", qwen_vision)),
    ("llama4", |keys| with_images(keys, "llama4_text", llama4_vision)),
];

/// What lists an encoder's parameters, given the text's width.
type Vision = fn(&Keys<'_>, u64) -> Result<Vec<Weight>, KeyError>;

fn with_images(keys: &Keys<'_>, text: &str, vision: Vision) -> Result<Architecture, KeyError> {
    let inner = keys.inner("text_config").ok_or(Error::missing("text_config"))?;
    let mut model = read_keys(text, &inner)?;
    let hidden = inner.count("hidden_size")?;
    if let Some(tied) = keys.optional_flag("tie_word_embeddings") {
        model.towers.iter_mut().filter_map(|tower| tower.head.as_mut()).for_each(|head| {
            head.tied = tied;
        });
    }
    let empty = serde_json::Map::new();
    let own = keys.inner("vision_config").unwrap_or(Keys::of(&empty));
    model.others.extend(vision(&own, hidden)?);
    Ok(model)
}

fn one(name: &str, shape: &[u64]) -> Weight {
    let role = if shape.len() > 1 { Role::Linear } else { Role::Bias };
    Weight { name: format!("vision.{name}"), shape: shape.to_vec(), count: 1, role }
}

fn linear(name: &str, inputs: u64, outputs: u64) -> [Weight; 2] {
    [one(&format!("{name}.weight"), &[outputs, inputs]), one(&format!("{name}.bias"), &[outputs])]
}

/// Layers of a vision transformer with biases everywhere.
fn encoder(hidden: u64, heads: u64, width: u64, layers: u64, fused: bool) -> Tower {
    let norm = Norm { kind: NormKind::Layer, width: hidden, bias: true };
    let layer = Layer {
        mixer: Mixer::Attention(Attention {
            heads,
            key_value_heads: heads,
            head: hidden / heads.max(1),
            bias: [true; 3],
            output_bias: true,
            fused,
            ..Attention::default()
        }),
        feed_forward: FeedForward::Dense(Dense {
            width,
            bias: true,
            activation: Activation::Gelu,
            ..Dense::default()
        }),
        norm,
        ..Layer::default()
    };
    Tower { name: "vision", hidden, layers: vec![(layers, layer)], ..Tower::default() }
}

fn of_tower(tower: Tower) -> Vec<Weight> {
    weights(&Architecture { towers: vec![tower], ..Architecture::default() })
}

fn qwen_vision(keys: &Keys<'_>, text: u64) -> Result<Vec<Weight>, KeyError> {
    let hidden = keys.count_or("hidden_size", 1152)?;
    let patch = keys.count_or("patch_size", 16)?;
    let inputs =
        keys.count_or("in_channels", 3)? * keys.count_or("temporal_patch_size", 2)? * patch * patch;
    let mut tower = encoder(
        hidden,
        keys.count_or("num_attention_heads", 16)?,
        keys.count_or("intermediate_size", 4304)?,
        keys.count_or("depth", 27)?,
        true,
    );
    tower.embedding = Embedding {
        patch_inputs: vec![inputs],
        positions: keys.count_or("num_position_embeddings", 2304)?,
        ..Embedding::default()
    };
    let mut all = of_tower(tower);
    let merge = keys.count_or("spatial_merge_size", 2)?;
    let merged = hidden.saturating_mul(merge * merge);
    let text = keys.count_or("out_hidden_size", text)?;
    let deeper = keys.list("deepstack_visual_indexes").map_or(0, <[_]>::len);
    for number in 0..=deeper.min(1_000) {
        // The first norm comes before patches are merged, the others after it.
        let norm = if number == 0 { hidden } else { merged };
        all.extend([one("merger.norm.weight", &[norm]), one("merger.norm.bias", &[norm])]);
        all.extend(linear("merger.linear_fc1", merged, merged));
        all.extend(linear("merger.linear_fc2", merged, text));
    }
    Ok(all)
}

fn llama4_vision(keys: &Keys<'_>, text: u64) -> Result<Vec<Weight>, KeyError> {
    let hidden = keys.count_or("hidden_size", 768)?;
    let width = keys.count_or("intermediate_size", 5632)?;
    let heads = keys.count_or("num_attention_heads", 16)?;
    let layers = keys.count_or("num_hidden_layers", 34)?;
    let patch = keys.count_or("patch_size", 14)?.max(1);
    let side = keys.count_or("image_size", 448)? / patch;
    let mut all = of_tower(encoder(hidden, heads, width, layers, false));
    let into = keys.count_or("projector_input_dim", 4096)?;
    let out = keys.count_or("projector_output_dim", 4096)?;
    all.extend([
        one("class_embedding", &[hidden]),
        one("positional_embedding", &[side * side + 1, hidden]),
        one("patch_embedding.weight", &[hidden, 3 * patch * patch]),
        one("layernorm_pre.weight", &[hidden]),
        one("layernorm_pre.bias", &[hidden]),
        one("layernorm_post.weight", &[hidden]),
        one("layernorm_post.bias", &[hidden]),
        one("vision_adapter.fc1.weight", &[into, width]),
        one("vision_adapter.fc2.weight", &[out, out]),
        one("multi_modal_projector.weight", &[text, keys.count_or("vision_output_dim", 7680)?]),
    ]);
    Ok(all)
}
