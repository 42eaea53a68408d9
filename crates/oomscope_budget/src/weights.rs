//! The parameter tensors of a model.

use crate::Architecture;
use crate::architecture::{
    Attention, Dense, Experts, FeedForward, Latent, Layer, Mixer, Norm, NormKind, Placement,
    QueryKeyNorm, Tower,
};

/// One parameter tensor, or several alike.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weight {
    /// What it is, with `*` for the layer's number: `decoder.layers.*.attention.query`.
    pub name: String,
    /// Its sizes.
    pub shape: Vec<u64>,
    /// How many there are.
    pub count: u64,
    /// What it is for.
    pub role: Role,
}

/// What a parameter is for: precision, quantisation and adapters treat them differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// The matrix of a linear layer.
    #[default]
    Linear,
    /// An expert's matrix.
    Expert,
    /// A table that is looked up.
    Embedding,
    /// The output head's matrix, where it is one of its own.
    Head,
    /// A norm's weight or bias.
    Norm,
    /// A bias.
    Bias,
    /// A convolution's kernel.
    Convolution,
    /// Anything else.
    Other,
}

impl Weight {
    /// Elements of all together; saturates.
    pub fn elements(&self) -> u64 {
        self.shape.iter().fold(self.count, |product, size| product.saturating_mul(*size))
    }
}

/// Every parameter tensor of a model.
pub fn weights(architecture: &Architecture) -> Vec<Weight> {
    let mut list = List::default();
    architecture.towers.iter().for_each(|tower| list.tower(tower));
    let mut weights = list.weights;
    weights.extend(architecture.others.iter().cloned());
    if architecture.missing > 0
        && let Some(norms) = weights.iter_mut().find(|weight| {
            weight.role == Role::Norm && weight.shape.first() == Some(&architecture.missing)
        })
    {
        norms.count = norms.count.saturating_sub(1);
    }
    weights
}

/// The list as it grows: `prefix` and `count` are of the layer that is listed.
#[derive(Default)]
struct List {
    weights: Vec<Weight>,
    prefix: String,
    count: u64,
}

impl List {
    fn add(&mut self, name: &str, shape: &[u64], role: Role) {
        if shape.contains(&0) {
            return;
        }
        let name = format!("{}.{name}", self.prefix);
        self.weights.push(Weight { name, shape: shape.to_vec(), count: self.count, role });
    }

    fn linear(&mut self, name: &str, inputs: u64, outputs: u64, bias: bool) {
        self.add(&format!("{name}.weight"), &[outputs, inputs], Role::Linear);
        if bias {
            self.add(&format!("{name}.bias"), &[outputs], Role::Bias);
        }
    }

    fn norm(&mut self, name: &str, norm: Norm) {
        self.add(&format!("{name}.weight"), &[norm.width], Role::Norm);
        if norm.bias {
            self.add(&format!("{name}.bias"), &[norm.width], Role::Norm);
        }
    }

    fn tower(&mut self, tower: &Tower) {
        (self.prefix, self.count) = (tower.name.to_owned(), 1);
        let hidden = tower.hidden;
        let table = &tower.embedding;
        let width = table.width.unwrap_or(hidden);
        if !table.shared {
            self.add("embeddings.tokens.weight", &[table.vocabulary, width], Role::Embedding);
        }
        for inputs in &table.patch_inputs {
            self.add("embeddings.patches.weight", &[hidden, *inputs], Role::Convolution);
            if !table.patch_bias_free {
                self.add("embeddings.patches.bias", &[hidden], Role::Bias);
            }
        }
        self.add("embeddings.positions.weight", &[table.positions, width], Role::Embedding);
        self.add("embeddings.types.weight", &[table.types, width], Role::Embedding);
        if let Some(norm) = table.norm {
            self.norm("embeddings.norm", Norm { width: width.min(norm.width), ..norm });
        }
        if width != hidden {
            self.linear("embeddings.projection", width, hidden, false);
        }
        for (count, layer) in &tower.layers {
            (self.prefix, self.count) = (format!("{}.layers.*", tower.name), *count);
            self.layer(layer, hidden);
        }
        (self.prefix, self.count) = (tower.name.to_owned(), 1);
        if let Some(norm) = tower.final_norm {
            self.norm("norm", norm);
        }
        self.head(tower);
    }

    fn head(&mut self, tower: &Tower) {
        let Some(head) = &tower.head else { return };
        let hidden = tower.hidden;
        if head.pooler {
            self.linear("pooler", hidden, hidden, true);
        }
        if let Some(norm) = head.transform {
            self.linear("head.transform", hidden, hidden, true);
            self.norm("head.norm", norm);
        }
        if !head.tied {
            self.add("head.weight", &[head.outputs, hidden], Role::Head);
        }
        if head.bias {
            self.add("head.bias", &[head.outputs], Role::Bias);
        }
    }

    fn layer(&mut self, layer: &Layer, hidden: u64) {
        let mut blocks = 0;
        match &layer.mixer {
            Mixer::Nothing => {}
            Mixer::Attention(attention) => self.attention("attention", attention, hidden),
            Mixer::Latent(latent) => self.latent(latent, hidden),
            Mixer::StateSpace(shape) => {
                let own = shape.weights.iter().cloned();
                let count = self.count;
                self.weights
                    .extend(own.map(|weight| Weight { count: count * weight.count, ..weight }));
            }
        }
        blocks += u64::from(layer.mixer != Mixer::Nothing);
        if let Some(cross) = &layer.cross {
            self.attention("cross", cross, hidden);
            blocks += 1;
        }
        match &layer.feed_forward {
            FeedForward::Nothing => {}
            FeedForward::Dense(dense) => self.dense("mlp", dense, hidden, Role::Linear),
            FeedForward::Experts(experts) => self.experts(experts, hidden),
        }
        blocks += u64::from(layer.feed_forward != FeedForward::Nothing);
        let norms = match layer.placement {
            Placement::Before | Placement::After | Placement::AfterBlock => blocks,
            Placement::Both => 2 * blocks,
            Placement::Shared => 1,
            Placement::Parallel => 2,
        };
        let count = self.count;
        self.count = count * norms;
        self.norm("norms", layer.norm);
        self.count = count;
    }

    fn attention(&mut self, name: &str, shape: &Attention, hidden: u64) {
        let (wide, narrow) = (shape.heads * shape.head, shape.key_value_heads * shape.head);
        let [query, key, value] = shape.bias;
        let gated = if shape.gated { 2 } else { 1 };
        if shape.fused {
            self.linear(
                &format!("{name}.query_key_value"),
                hidden,
                wide * gated + 2 * narrow,
                query,
            );
        } else {
            self.linear(&format!("{name}.query"), hidden, wide * gated, query);
            self.linear(&format!("{name}.key"), hidden, narrow, key);
            self.linear(&format!("{name}.value"), hidden, narrow, value);
        }
        self.linear(&format!("{name}.output"), wide, hidden, shape.output_bias);
        let widths = match shape.query_key_norm {
            QueryKeyNorm::Nothing => [0, 0],
            QueryKeyNorm::Head => [shape.head, shape.head],
            QueryKeyNorm::Whole => [wide, narrow],
        };
        for (which, width) in ["query_norm", "key_norm"].into_iter().zip(widths) {
            self.add(&format!("{name}.{which}.weight"), &[width], Role::Norm);
        }
        if shape.sinks {
            self.add(&format!("{name}.sinks"), &[shape.heads], Role::Other);
        }
        let positions = [shape.relative_positions, shape.heads];
        self.add(&format!("{name}.relative_positions.weight"), &positions, Role::Embedding);
    }

    fn latent(&mut self, shape: &Latent, hidden: u64) {
        let whole = shape.head + shape.rotary;
        let norm = |width| Norm { kind: NormKind::RootMeanSquare, width, bias: false };
        if let Some(rank) = shape.query_rank {
            self.linear("attention.query_down", hidden, rank, shape.bias);
            self.norm("attention.query_norm", norm(rank));
            self.linear("attention.query_up", rank, shape.heads * whole, false);
        } else {
            self.linear("attention.query", hidden, shape.heads * whole, false);
        }
        let rank = shape.key_value_rank;
        self.linear("attention.key_value_down", hidden, rank + shape.rotary, shape.bias);
        self.norm("attention.key_value_norm", norm(rank));
        let both = shape.heads * (shape.head + shape.value);
        self.linear("attention.key_value_up", rank, both, false);
        self.linear("attention.output", shape.heads * shape.value, hidden, shape.bias);
        if let Some((heads, head)) = shape.indexer {
            let from = shape.query_rank.unwrap_or(hidden);
            self.linear("attention.indexer.query", from, heads * head, false);
            self.linear("attention.indexer.key", hidden, head, false);
            self.norm(
                "attention.indexer.norm",
                Norm { kind: NormKind::Layer, width: head, bias: true },
            );
            self.linear("attention.indexer.weights", hidden, heads, false);
        }
    }

    fn dense(&mut self, name: &str, shape: &Dense, hidden: u64, role: Role) {
        let from = self.weights.len();
        if shape.gated && shape.fused {
            self.linear(&format!("{name}.gate_up"), hidden, 2 * shape.width, shape.bias);
        } else {
            if shape.gated {
                self.linear(&format!("{name}.gate"), hidden, shape.width, shape.bias);
            }
            self.linear(&format!("{name}.up"), hidden, shape.width, shape.bias);
        }
        self.linear(&format!("{name}.down"), shape.width, hidden, shape.bias);
        for weight in self.weights.iter_mut().skip(from) {
            if weight.role == Role::Linear {
                weight.role = role;
            }
        }
    }

    fn experts(&mut self, shape: &Experts, hidden: u64) {
        self.linear("mlp.router", hidden, shape.count, shape.router_bias);
        let count = self.count;
        self.count = count * shape.count;
        self.dense("mlp.experts.*", &shape.expert, hidden, Role::Expert);
        self.count = count;
        if let Some(shared) = &shape.shared {
            self.dense("mlp.shared", shared, hidden, Role::Linear);
            if shape.shared_gate {
                self.linear("mlp.shared_gate", hidden, 1, false);
            }
        }
    }
}
