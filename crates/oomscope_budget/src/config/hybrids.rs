//! Decoders whose layers are of several kinds: attention, state spaces, linear attention
//! (transformers 5.23).

use super::Reader;
use super::decoders::{Decoder, PLAIN, QWEN3, activation, experts, llama, qwen2_moe_of};
use super::keys::{KeyError, Keys};
use super::relatives::runs;
use crate::architecture::{
    Activation, Architecture, Dense, FeedForward, Layer, Mixer, NormKind, StateSpace,
};
use crate::{Role, Weight};

pub(super) const FAMILIES: &[(&str, Reader)] = &[
    ("nemotron_h", nemotron_h),
    ("qwen3_next", |keys| qwen3_next(keys, true)),
    ("qwen3_5_moe_text", |keys| qwen3_next(keys, false)),
    ("qwen3_5_text", qwen3_5),
];

fn weight(name: &str, shape: &[u64], role: Role) -> Weight {
    Weight { name: format!("decoder.layers.*.mixer.{name}"), shape: shape.to_vec(), count: 1, role }
}

/// One mixer or feed-forward a layer, by a letter of its pattern.
fn nemotron_h(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let mut decoder = llama(keys, &PLAIN)?;
    let hidden = keys.count("hidden_size")?;
    let (heads, head) = (keys.count("mamba_num_heads")?, keys.count("mamba_head_dim")?);
    let state = keys.count_or("ssm_state_size", 128)?;
    let groups = keys.count_or("n_groups", 8)?;
    let kernel = keys.count_or("conv_kernel", 4)?;
    let inner = heads.saturating_mul(head);
    let mixed = inner + 2 * groups * state;
    let mut own = vec![
        weight("dt_bias", &[heads], Role::Other),
        weight("A_log", &[heads], Role::Other),
        weight("D", &[heads], Role::Other),
        weight("conv1d.weight", &[mixed, 1, kernel], Role::Convolution),
        weight("in_proj.weight", &[inner + mixed + heads, hidden], Role::Linear),
        weight("norm.weight", &[inner], Role::Norm),
        weight("out_proj.weight", &[hidden, inner], Role::Linear),
    ];
    if keys.flag("use_conv_bias", true) {
        own.push(weight("conv1d.bias", &[mixed], Role::Bias));
    }
    let Some((_, plain)) = decoder.tower.layers.pop() else { return Ok(decoder.model()) };
    let only_mixer = |mixer| Layer { mixer, feed_forward: FeedForward::Nothing, ..plain.clone() };
    let mut attention = plain.mixer.clone();
    if let (Mixer::Attention(shape), Some(head)) =
        (&mut attention, keys.optional("attention_head_dim")?.or(keys.optional("head_dim")?))
    {
        shape.head = head;
    }
    let mamba = only_mixer(Mixer::StateSpace(StateSpace {
        inner,
        state,
        convolution: kernel,
        step_rank: heads,
        groups,
        weights: own,
    }));
    let attention = only_mixer(attention);
    let dense = Layer {
        mixer: Mixer::Nothing,
        feed_forward: FeedForward::Dense(Dense {
            width: keys.count("intermediate_size")?,
            bias: keys.flag("mlp_bias", false),
            activation: activation(keys, Activation::ReluSquared),
            ..Dense::default()
        }),
        ..plain.clone()
    };
    let letters = match keys.text("hybrid_override_pattern") {
        Some(pattern) => pattern.to_owned(),
        None => keys
            .list("layers_block_type")
            .ok_or(KeyError::missing("hybrid_override_pattern"))?
            .iter()
            .map(|name| match name.as_str() {
                Some("mamba" | "linear_attention") => 'M',
                Some("attention" | "full_attention") => '*',
                _ => '-',
            })
            .collect(),
    };
    decoder.tower.layers = runs(letters.chars().map(|letter| match letter {
        'M' => mamba.clone(),
        '*' => attention.clone(),
        _ => dense.clone(),
    }));
    Ok(decoder.model())
}

fn qwen3_next(keys: &Keys<'_>, fused: bool) -> Result<Architecture, KeyError> {
    let model = qwen2_moe_of(keys, experts(keys, &QWEN3, "moe_intermediate_size")?)?;
    linear_layers(keys, model, fused)
}

fn qwen3_5(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let model: Decoder = llama(keys, &QWEN3)?;
    linear_layers(keys, model.model(), false)
}

/// Three of four layers have a gated delta rule for attention; the fourth's attention is gated.
fn linear_layers(
    keys: &Keys<'_>,
    mut model: Architecture,
    fused: bool,
) -> Result<Architecture, KeyError> {
    let hidden = keys.count("hidden_size")?;
    let layers = keys.count("num_hidden_layers")?;
    let key_head = keys.count_or("linear_key_head_dim", 128)?;
    let value_head = keys.count_or("linear_value_head_dim", 128)?;
    let key_heads = keys.count_or("linear_num_key_heads", 16)?;
    let value_heads = keys.count_or("linear_num_value_heads", 32)?;
    let kernel = keys.count_or("linear_conv_kernel_dim", 4)?;
    let every = keys.count_or("full_attention_interval", 4)?.max(1);
    let values = value_head.saturating_mul(value_heads);
    let mixed = 2 * key_head.saturating_mul(key_heads) + values;
    let mut own = vec![
        weight("dt_bias", &[value_heads], Role::Other),
        weight("A_log", &[value_heads], Role::Other),
        weight("conv1d.weight", &[mixed, 1, kernel], Role::Convolution),
        weight("norm.weight", &[value_head], Role::Norm),
        weight("out_proj.weight", &[hidden, values], Role::Linear),
    ];
    if fused {
        own.push(weight("in_proj_qkvz.weight", &[mixed + values, hidden], Role::Linear));
        own.push(weight("in_proj_ba.weight", &[2 * value_heads, hidden], Role::Linear));
    } else {
        own.push(weight("in_proj_qkv.weight", &[mixed, hidden], Role::Linear));
        own.push(weight("in_proj_z.weight", &[values, hidden], Role::Linear));
        own.push(weight("in_proj_b.weight", &[value_heads, hidden], Role::Linear));
        own.push(weight("in_proj_a.weight", &[value_heads, hidden], Role::Linear));
    }
    let linear = Mixer::StateSpace(StateSpace {
        inner: values,
        state: key_head,
        convolution: kernel,
        step_rank: value_heads,
        groups: key_heads,
        weights: own,
    });
    for tower in &mut model.towers {
        let Some((_, mut full)) = tower.layers.pop() else { continue };
        full.norm.kind = NormKind::Gemma;
        if let Mixer::Attention(attention) = &mut full.mixer {
            attention.gated = true;
        }
        let linear = Layer { mixer: linear.clone(), ..full.clone() };
        tower.layers = runs((1..=layers).map(|number| {
            if number.is_multiple_of(every) { full.clone() } else { linear.clone() }
        }));
        if let Some(norm) = &mut tower.final_norm {
            norm.kind = NormKind::Gemma;
        }
    }
    Ok(model)
}
