//! Encoders of text and images.

use super::Reader;
use super::keys::{KeyError, Keys};
use crate::architecture::{
    Activation, Architecture, Attention, Dense, Embedding, FeedForward, Head, Layer, Mixer, Norm,
    NormKind, Placement, Tower,
};
use crate::{Role, Weight};

pub(super) const FAMILIES: &[(&str, Reader)] = &[
    ("bert", |keys| bert(keys, 0)),
    ("roberta", |keys| bert(keys, 2)),
    ("xlm-roberta", |keys| bert(keys, 2)),
    ("camembert", |keys| bert(keys, 2)),
    ("electra", |keys| bert(keys, 0)),
    ("distilbert", distilbert),
    ("modernbert", modernbert),
    ("vit", |keys| Ok(one(vit(keys)?))),
    ("deit", |keys| Ok(one(vit(keys)?))),
];

fn one((tower, others): (Tower, Vec<Weight>)) -> Architecture {
    Architecture { towers: vec![tower], others, ..Architecture::default() }
}

/// A layer of the original encoder, with `torch.nn.LayerNorm`.
pub(super) fn layer(
    keys: &Keys<'_>,
    placement: Placement,
    dropout: f64,
) -> Result<Layer, KeyError> {
    let hidden = keys.count("hidden_size")?;
    let heads = keys.count("num_attention_heads")?;
    Ok(Layer {
        mixer: Mixer::Attention(Attention {
            heads,
            key_value_heads: heads,
            head: hidden / heads,
            bias: [true; 3],
            output_bias: true,
            dropout: keys.probability("attention_dropout", dropout),
            ..Attention::default()
        }),
        feed_forward: FeedForward::Dense(Dense {
            width: keys.count("intermediate_size")?,
            bias: true,
            activation: match keys.text("hidden_act") {
                Some("relu") => Activation::Relu,
                Some("gelu_new") => Activation::GeluNew,
                Some("quick_gelu") => Activation::QuickGelu,
                _ => Activation::Gelu,
            },
            ..Dense::default()
        }),
        norm: Norm { kind: NormKind::Layer, width: hidden, bias: true },
        placement,
        dropout: keys.probability("hidden_dropout", dropout),
        ..Layer::default()
    })
}

/// What `architectures` says of a text encoder's head, over the token table of `outputs` rows.
fn text_head(keys: &Keys<'_>, hidden: u64, outputs: u64, pooled: bool) -> Head {
    let class = keys.list("architectures").and_then(|list| list.first()?.as_str()).unwrap_or("");
    let norm = Norm { kind: NormKind::Layer, width: hidden, bias: true };
    if class.ends_with("MaskedLM") || class.ends_with("PreTraining") {
        Head { outputs, tied: true, bias: true, transform: Some(norm), ..Head::default() }
    } else if class.ends_with("Classification") {
        let labels = keys.inner("id2label").map_or(2, |labels| labels.len());
        Head { outputs: labels, bias: true, pooler: pooled, ..Head::default() }
    } else {
        Head { pooler: pooled, ..Head::default() }
    }
}

fn bert(keys: &Keys<'_>, reserved: u64) -> Result<Architecture, KeyError> {
    let hidden = keys.count("hidden_size")?;
    let vocabulary = keys.count("vocab_size")?;
    let norm = Norm { kind: NormKind::Layer, width: hidden, bias: true };
    let layer = layer(keys, Placement::After, 0.1)?;
    let positions = keys.count_or("max_position_embeddings", 512)?;
    // RoBERTa's family counts two more, and says so in its configuration.
    let positions = if reserved > 0 && positions == 512 { 512 + reserved } else { positions };
    let tower = Tower {
        name: "encoder",
        hidden,
        embedding: Embedding {
            vocabulary,
            width: keys.optional("embedding_size")?,
            positions,
            types: keys.count_or("type_vocab_size", 2)?,
            norm: Some(norm),
            dropout: layer.dropout,
            ..Embedding::default()
        },
        layers: vec![(keys.count("num_hidden_layers")?, layer)],
        head: Some(text_head(keys, hidden, vocabulary, keys.text("model_type") != Some("electra"))),
        ..Tower::default()
    };
    Ok(one((tower, Vec::new())))
}

fn distilbert(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let mut model = bert(keys, 0)?;
    for tower in &mut model.towers {
        tower.embedding.types = 0;
        let hidden = tower.hidden;
        let silent = keys.list("architectures").is_none();
        if let Some(head) = &mut tower.head {
            head.pooler = false;
            if silent {
                let norm = Norm { kind: NormKind::Layer, width: hidden, bias: true };
                let outputs = tower.embedding.vocabulary;
                *head = Head {
                    outputs,
                    tied: true,
                    bias: true,
                    transform: Some(norm),
                    ..Head::default()
                };
            }
        }
    }
    Ok(model)
}

fn modernbert(keys: &Keys<'_>) -> Result<Architecture, KeyError> {
    let hidden = keys.count("hidden_size")?;
    let layers = keys.count("num_hidden_layers")?;
    let norm = Norm { kind: NormKind::Layer, width: hidden, bias: keys.flag("norm_bias", false) };
    let mut shape = layer(keys, Placement::Before, 0.0)?;
    shape.norm = norm;
    if let Mixer::Attention(attention) = &mut shape.mixer {
        let bias = keys.flag("attention_bias", false);
        (attention.bias, attention.output_bias, attention.fused) = ([bias; 3], bias, true);
        attention.rotary = attention.head;
    }
    if let FeedForward::Dense(dense) = &mut shape.feed_forward {
        (dense.gated, dense.fused, dense.bias) = (true, true, keys.flag("mlp_bias", false));
    }
    let tower = Tower {
        name: "encoder",
        hidden,
        embedding: Embedding {
            vocabulary: keys.count("vocab_size")?,
            norm: Some(norm),
            ..Embedding::default()
        },
        layers: vec![(layers, shape)],
        final_norm: Some(norm),
        head: None,
        ..Tower::default()
    };
    // The first layer has no norm before its attention.
    let mut model = one((tower, Vec::new()));
    model.missing = norm.width * if norm.bias { 2 } else { 1 };
    Ok(model)
}

/// A vision transformer, with what belongs to no layer.
pub(super) fn vit(keys: &Keys<'_>) -> Result<(Tower, Vec<Weight>), KeyError> {
    let hidden = keys.count("hidden_size")?;
    let norm = Norm { kind: NormKind::Layer, width: hidden, bias: true };
    let (image, patch) =
        (keys.count_or("image_size", 224)?, keys.count_or("patch_size", 16)?.max(1));
    let patches = (image / patch).pow(2);
    let labels = keys.inner("id2label").map_or(keys.count_or("num_labels", 2)?, |own| own.len());
    let tower = Tower {
        name: "vision",
        hidden,
        embedding: Embedding {
            patch_inputs: vec![
                keys.count_or("num_channels", 3)?.saturating_mul(patch).saturating_mul(patch),
            ],
            positions: patches + 1,
            ..Embedding::default()
        },
        layers: vec![(keys.count("num_hidden_layers")?, layer(keys, Placement::Before, 0.0)?)],
        final_norm: Some(norm),
        head: Some(Head { outputs: labels, bias: true, ..Head::default() }),
        added_tokens: 1,
        fixed_tokens: Some(patches),
        ..Tower::default()
    };
    let token = Weight {
        name: "embeddings.cls_token".to_owned(),
        shape: vec![hidden],
        count: 1,
        role: Role::Other,
    };
    Ok((tower, vec![token]))
}
