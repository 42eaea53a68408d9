//! Models of several towers: an encoder and a decoder, text and images.

use super::Reader;
use super::encoders::{layer, vit};
use super::keys::{KeyError, Keys};
use crate::architecture::{
    Activation, Architecture, Attention, Dense, Embedding, FeedForward, Head, Layer, Mixer, Norm,
    NormKind, Placement, Tower,
};
use crate::{Role, Weight};

pub(super) const FAMILIES: &[(&str, Reader)] =
    &[("t5", t5), ("mt5", t5), ("umt5", t5), ("whisper", whisper), ("clip", clip)];

fn t5(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let hidden = keys.count("hidden_size")?;
    let vocabulary = keys.count("vocab_size")?;
    let heads = keys.count("num_attention_heads")?;
    let layers = keys.count("num_hidden_layers")?;
    let decoder_layers = keys.count_or("num_decoder_layers", layers)?;
    let norm = Norm { kind: NormKind::RootMeanSquare, width: hidden, bias: false };
    let dropout = keys.probability("hidden_dropout", 0.1);
    let attention = Attention {
        heads,
        key_value_heads: heads,
        head: keys.count_or("d_kv", 64)?,
        dropout,
        ..Attention::default()
    };
    let gated = keys.flag("is_gated_act", false)
        || keys.text("feed_forward_proj").is_some_and(|name| name.starts_with("gated"));
    let plain = Layer {
        mixer: Mixer::Attention(attention.clone()),
        feed_forward: FeedForward::Dense(Dense {
            width: keys.count("intermediate_size")?,
            gated,
            activation: if gated { Activation::GeluNew } else { Activation::Relu },
            dropout,
            ..Dense::default()
        }),
        norm,
        dropout,
        ..Layer::default()
    };
    // Its first layer holds the table of relative positions for all.
    let first = |layer: &Layer| {
        let mut layer = layer.clone();
        if let (Mixer::Attention(attention), Ok(buckets)) =
            (&mut layer.mixer, keys.count_or("relative_attention_num_buckets", 32))
        {
            attention.relative_positions = buckets;
        }
        layer
    };
    let with_cross = Layer { cross: Some(attention), ..plain.clone() };
    let stack = |layer: &Layer, count: u64| {
        vec![(1, first(layer)), (count.saturating_sub(1), layer.clone())]
    };
    let tied = keys.flag("tie_word_embeddings", true);
    let encoder = Tower {
        name: "encoder",
        hidden,
        embedding: Embedding { vocabulary, dropout, ..Embedding::default() },
        layers: stack(&plain, layers),
        final_norm: Some(norm),
        ..Tower::default()
    };
    let decoder = Tower {
        name: "decoder",
        hidden,
        embedding: Embedding { vocabulary, dropout, shared: true, ..Embedding::default() },
        layers: stack(&with_cross, decoder_layers),
        final_norm: Some(norm),
        head: Some(Head { outputs: vocabulary, tied, ..Head::default() }),
        causal: true,
        ..Tower::default()
    };
    Ok(Architecture { towers: vec![encoder, decoder], ..Architecture::default() })
}

fn whisper(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let hidden = keys.count("hidden_size")?;
    let vocabulary = keys.count("vocab_size")?;
    let norm = Norm { kind: NormKind::Layer, width: hidden, bias: true };
    let of = |heads: &str, width: &str| -> Result<Layer, KeyError> {
        let heads = keys.count(heads)?;
        Ok(Layer {
            mixer: Mixer::Attention(Attention {
                heads,
                key_value_heads: heads,
                head: hidden / heads,
                // Keys have no bias.
                bias: [true, false, true],
                output_bias: true,
                dropout: keys.probability("attention_dropout", 0.0),
                ..Attention::default()
            }),
            feed_forward: FeedForward::Dense(Dense {
                width: keys.count(width)?,
                bias: true,
                ..Dense::default()
            }),
            norm,
            dropout: keys.probability("hidden_dropout", 0.0),
            ..Layer::default()
        })
    };
    let frames = keys.count_or("max_source_positions", 1500)?;
    let encoder = Tower {
        name: "audio",
        hidden,
        embedding: Embedding {
            patch_inputs: vec![3 * keys.count_or("num_mel_bins", 80)?],
            positions: frames,
            ..Embedding::default()
        },
        layers: vec![(
            keys.count("encoder_layers")?,
            of("encoder_attention_heads", "encoder_ffn_dim")?,
        )],
        final_norm: Some(norm),
        fixed_tokens: Some(frames),
        ..Tower::default()
    };
    let mut layer = of("decoder_attention_heads", "decoder_ffn_dim")?;
    if let Mixer::Attention(attention) = &layer.mixer {
        layer.cross = Some(attention.clone());
    }
    let decoder = Tower {
        name: "decoder",
        hidden,
        embedding: Embedding {
            vocabulary,
            positions: keys.count_or("max_target_positions", 448)?,
            ..Embedding::default()
        },
        layers: vec![(keys.count("decoder_layers")?, layer)],
        final_norm: Some(norm),
        head: Some(Head { outputs: vocabulary, tied: true, ..Head::default() }),
        causal: true,
        ..Tower::default()
    };
    let second = |name: &str, shape: &[u64], role| Weight {
        name: format!("model.encoder.conv2.{name}"),
        shape: shape.to_vec(),
        count: 1,
        role,
    };
    Ok(Architecture {
        towers: vec![encoder, decoder],
        others: vec![
            second("weight", &[hidden, hidden, 3], Role::Convolution),
            second("bias", &[hidden], Role::Bias),
        ],
        ..Architecture::default()
    })
}

fn clip(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let inner = |key: &str| keys.inner(key).ok_or_else(|| KeyError::missing(key));
    let (text, vision) = (inner("text_config")?, inner("vision_config")?);
    let hidden = text.count("hidden_size")?;
    let norm = |width| Norm { kind: NormKind::Layer, width, bias: true };
    let words = Tower {
        name: "text",
        hidden,
        embedding: Embedding {
            vocabulary: text.count("vocab_size")?,
            positions: text.count_or("max_position_embeddings", 77)?,
            ..Embedding::default()
        },
        layers: vec![(text.count("num_hidden_layers")?, layer(&text, Placement::Before, 0.0)?)],
        final_norm: Some(norm(hidden)),
        causal: true,
        ..Tower::default()
    };
    let (mut images, mut others) = vit(&vision)?;
    images.embedding.norm = Some(norm(images.hidden));
    images.embedding.patch_bias_free = true;
    images.head = None;
    let projected = keys.count_or("projection_dim", 512)?;
    let mut add = |name: &str, shape: &[u64], role| {
        others.push(Weight { name: name.to_owned(), shape: shape.to_vec(), count: 1, role });
    };
    add("visual_projection.weight", &[projected, images.hidden], Role::Linear);
    add("text_projection.weight", &[projected, hidden], Role::Linear);
    add("logit_scale", &[1], Role::Other);
    Ok(Architecture { towers: vec![words, images], others, ..Architecture::default() })
}
