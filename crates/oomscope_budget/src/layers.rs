//! A layer's operations in their order, as the common implementations write them.

use crate::architecture::{
    Attention, Dense, Experts, FeedForward, Latent, Layer, Mixer, Norm, Placement, QueryKeyNorm,
    StateSpace,
};
use crate::operations::{Matrix, Operations};
use crate::tape::{Operation, Tensor};
use crate::workload::{Adapters, AttentionKind};

/// What a layer is run on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'w> {
    /// Sequences.
    pub(crate) batch: u64,
    /// Tokens of each.
    pub(crate) sequence: u64,
    /// Width of the stream.
    pub(crate) hidden: u64,
    /// What cross-attention reads: tokens and width.
    pub(crate) memory: Option<(u64, u64)>,
    /// How attention is computed.
    pub(crate) attention: AttentionKind,
    /// Whether the model's own parameters get gradients.
    pub(crate) trained: bool,
    /// Adapters.
    pub(crate) adapters: Option<&'w Adapters>,
    /// A position sees only those before it.
    pub(crate) causal: bool,
}

impl Run<'_> {
    pub(crate) fn tokens(&self) -> u64 {
        self.batch.saturating_mul(self.sequence)
    }

    fn matrix(&self, inputs: u64, outputs: u64, bias: bool, name: &str) -> Matrix {
        let adapter = self.adapters.filter(|adapters| adapters.targets.iter().any(|t| t == name));
        let adapter = adapter.map(|adapters| (adapters.rank, adapters.element));
        Matrix { inputs, outputs, bias, trained: self.trained, is_packed: true, adapter }
    }
}

/// Runs a layer on `x`, whose name stays with the caller.
pub(crate) fn layer(ops: &mut Operations, layer: &Layer, x: Tensor, run: Run<'_>) -> Tensor {
    if matches!(layer.placement, Placement::Shared | Placement::Parallel) {
        return side_by_side(ops, layer, x, run);
    }
    let mut stream = x;
    if layer.mixer != Mixer::Nothing {
        let y = block(ops, layer, stream, run, |ops, y| mixer(ops, &layer.mixer, y, run));
        stream = y;
    }
    if let Some(cross) = &layer.cross {
        let y = block(ops, layer, stream, run, |ops, y| attention(ops, cross, y, run, true));
        ops.tape.drop_unless(stream, x);
        stream = y;
    }
    if layer.feed_forward != FeedForward::Nothing {
        let y =
            block(ops, layer, stream, run, |ops, y| feed_forward(ops, &layer.feed_forward, y, run));
        ops.tape.drop_unless(stream, x);
        stream = y;
    }
    stream
}

/// Norm, work, dropout and sum, in the layer's order; takes the names of none of its arguments.
fn block(
    ops: &mut Operations,
    layer: &Layer,
    x: Tensor,
    run: Run<'_>,
    work: impl FnOnce(&mut Operations, Tensor) -> Tensor,
) -> Tensor {
    let norm = |ops: &mut Operations, x: Tensor| {
        ops.part("norms");
        ops.norm(x, layer.norm, run.trained)
    };
    let before = matches!(layer.placement, Placement::Before | Placement::Both);
    let input = if before { norm(ops, x) } else { x };
    let mut y = work(ops, input);
    if before {
        ops.tape.drop(input);
    }
    y = ops.drop_out(y, layer.dropout);
    if matches!(layer.placement, Placement::Both | Placement::AfterBlock) {
        let normed = norm(ops, y);
        ops.tape.drop(y);
        y = normed;
    }
    ops.part("stream");
    let sum = ops.sum(x, y);
    ops.tape.drop(y);
    if layer.placement == Placement::After {
        let normed = norm(ops, sum);
        ops.tape.drop(sum);
        return normed;
    }
    sum
}

/// Attention and feed-forward that read the same stream.
fn side_by_side(ops: &mut Operations, layer: &Layer, x: Tensor, run: Run<'_>) -> Tensor {
    ops.part("norms");
    let normed = ops.norm(x, layer.norm, run.trained);
    let mixed = mixer(ops, &layer.mixer, normed, run);
    let mixed = ops.drop_out(mixed, layer.dropout);
    let other = if layer.placement == Placement::Parallel {
        ops.tape.drop(normed);
        ops.part("norms");
        ops.norm(x, layer.norm, run.trained)
    } else {
        normed
    };
    let fed = feed_forward(ops, &layer.feed_forward, other, run);
    ops.tape.drop(other);
    let fed = ops.drop_out(fed, layer.dropout);
    ops.part("stream");
    let both = ops.sum(mixed, fed);
    ops.tape.drop(mixed);
    ops.tape.drop(fed);
    let sum = ops.sum(both, x);
    ops.tape.drop(both);
    sum
}

fn mixer(ops: &mut Operations, mixer: &Mixer, x: Tensor, run: Run<'_>) -> Tensor {
    match mixer {
        Mixer::Nothing => ops.scaled(x),
        Mixer::Attention(shape) => attention(ops, shape, x, run, false),
        Mixer::Latent(shape) => latent(ops, shape, x, run),
        Mixer::StateSpace(shape) => state_space(ops, shape, x, run),
    }
}

/// Query, key and value, and their attention.
fn attention(
    ops: &mut Operations,
    shape: &Attention,
    x: Tensor,
    run: Run<'_>,
    cross: bool,
) -> Tensor {
    ops.part("attention");
    let (wide, narrow) = (shape.heads * shape.head, shape.key_value_heads * shape.head);
    let [query_bias, key_bias, value_bias] = shape.bias;
    let memory = run.memory.filter(|_| cross);
    let keys = memory.map_or(run.sequence, |(tokens, _)| tokens);
    let (mut query, mut key, value);
    if shape.fused && !cross {
        let matrix = run.matrix(run.hidden, wide + 2 * narrow, query_bias, "qkv_proj");
        // Three views of one tensor.
        value = ops.linear(x, matrix);
        query = ops.tape.view(value, run.tokens() * wide);
        key = ops.tape.view(value, run.tokens() * narrow);
    } else {
        query = ops.linear(x, run.matrix(run.hidden, wide, query_bias, "q_proj"));
        let (source, width) = match memory {
            Some((tokens, width)) => {
                (ops.tape.outside(run.batch * tokens * width, query.element, x.grad), width)
            }
            None => (x, run.hidden),
        };
        key = ops.linear(source, run.matrix(width, narrow, key_bias, "k_proj"));
        value = ops.linear(source, run.matrix(width, narrow, value_bias, "v_proj"));
    }
    if shape.query_key_norm != QueryKeyNorm::Nothing {
        let width = |all| if shape.query_key_norm == QueryKeyNorm::Head { shape.head } else { all };
        query = normed(ops, query, width(wide), run);
        key = normed(ops, key, width(narrow), run);
    }
    if shape.rotary > 0 && !cross {
        query = rotated(ops, query);
        key = rotated(ops, key);
    }
    let (key, value) = (
        repeated(ops, key, shape, run.batch * keys, wide),
        repeated(ops, value, shape, run.batch * keys, wide),
    );
    let mixed = mix(ops, shape, (query, key, value), keys, run);
    let output = ops.linear(mixed, run.matrix(wide, run.hidden, shape.output_bias, "o_proj"));
    ops.tape.drop(mixed);
    output
}

fn normed(ops: &mut Operations, x: Tensor, width: u64, run: Run<'_>) -> Tensor {
    let norm = Norm { kind: crate::NormKind::RootMeanSquare, width, bias: false };
    let output = ops.norm(x, norm, run.trained);
    ops.tape.drop(x);
    output
}

/// `x * cos + rotate_half(x) * sin`; the angles are shared by all layers.
fn rotated(ops: &mut Operations, x: Tensor) -> Tensor {
    let direct = ops.scaled(x);
    let turned = ops.scaled(x);
    let other = ops.scaled(turned);
    ops.tape.drop(turned);
    let sum = ops.sum(direct, other);
    ops.tape.drop(direct);
    ops.tape.drop(other);
    ops.tape.drop(x);
    sum
}

/// Keys or values of grouped queries, copied for each query head (`repeat_kv`).
fn repeated(ops: &mut Operations, x: Tensor, shape: &Attention, rows: u64, wide: u64) -> Tensor {
    if shape.heads == shape.key_value_heads {
        return x;
    }
    let output =
        ops.tape.run(rows * wide, x.element, Operation { inputs: &[x], ..Operation::default() });
    ops.tape.drop(x);
    output
}

/// Softmax attention of query, key and value, whose names go.
fn mix(
    ops: &mut Operations,
    shape: &Attention,
    (query, key, value): (Tensor, Tensor, Tensor),
    keys: u64,
    run: Run<'_>,
) -> Tensor {
    let wide = shape.heads * shape.head;
    let element = ops.precision.product();
    let mixed = if run.attention == AttentionKind::Fused && !shape.softcap {
        let (q, k, v) =
            (ops.cast(query, element), ops.cast(key, element), ops.cast(value, element));
        let statistics = ops.tape.make(run.tokens() * shape.heads, 4, false);
        let saved = [q, k, v, statistics];
        let output = ops.tape.run(
            run.tokens() * wide,
            element,
            Operation {
                inputs: &[q, k, v],
                saved: &saved,
                backward_scratch: run.tokens() * shape.heads * 4,
                ..Operation::default()
            },
        );
        ops.tape.save_in_last(output);
        ops.tape.drop(statistics);
        for (cast, of) in [(q, query), (k, key), (v, value)] {
            if cast.element != of.element {
                ops.tape.drop(cast);
            }
        }
        output
    } else {
        weighed(ops, shape, (query, key, value), keys, run)
    };
    ops.tape.drop(query);
    ops.tape.drop(key);
    ops.tape.drop(value);
    mixed
}

/// Attention with its scores as tensors.
fn weighed(
    ops: &mut Operations,
    shape: &Attention,
    (query, key, value): (Tensor, Tensor, Tensor),
    keys: u64,
    run: Run<'_>,
) -> Tensor {
    let cells = run.tokens() * shape.heads * keys;
    let element = ops.precision.product();
    let part = ops.tape.part;
    ops.part("attention weights");
    let raw = ops.matmul(query, key, cells);
    let mut scores = ops.scaled(raw);
    ops.tape.drop(raw);
    if shape.softcap {
        let tangent = ops.scaled(scores);
        ops.tape.save_in_last(tangent);
        ops.tape.drop(scores);
        scores = ops.scaled(tangent);
        ops.tape.drop(tangent);
    }
    if run.causal || run.attention == AttentionKind::ByHand {
        let masked = ops.scaled(scores);
        ops.tape.drop(scores);
        scores = masked;
    }
    // Implementations with rotary positions compute the softmax in `float32`, as autocast does.
    let wide = shape.rotary > 0 && run.attention == AttentionKind::Eager;
    let full = wide || ops.precision == crate::Precision::Autocast;
    let softmax = if run.attention == AttentionKind::ByHand {
        ops.softmax_by_hand(scores)
    } else {
        ops.softmax(scores, if full { 4 } else { scores.element })
    };
    ops.tape.drop(scores);
    let narrow = if wide { ops.cast(softmax, element) } else { softmax };
    if wide && narrow.element != softmax.element {
        ops.tape.drop(softmax);
    }
    let weights = ops.drop_out(narrow, shape.dropout);
    let mixed = ops.matmul(weights, value, run.tokens() * shape.heads * shape.head);
    ops.tape.drop(weights);
    ops.tape.part = part;
    // Heads come back beside each other by a copy.
    let output = ops.scaled(mixed);
    ops.tape.drop(mixed);
    output
}

/// Latent attention: compressed query and key-value, expanded for the attention itself.
fn latent(ops: &mut Operations, shape: &Latent, x: Tensor, run: Run<'_>) -> Tensor {
    ops.part("attention");
    let whole = shape.head + shape.rotary;
    let query = match shape.query_rank {
        Some(rank) => {
            let down = ops.linear(x, run.matrix(run.hidden, rank, shape.bias, "q_a_proj"));
            let down = normed(ops, down, rank, run);
            let up = ops.linear(down, run.matrix(rank, shape.heads * whole, false, "q_b_proj"));
            ops.tape.drop(down);
            up
        }
        None => ops.linear(x, run.matrix(run.hidden, shape.heads * whole, false, "q_proj")),
    };
    let rank = shape.key_value_rank;
    let down = run.matrix(run.hidden, rank + shape.rotary, shape.bias, "kv_a_proj_with_mqa");
    let down = ops.linear(x, down);
    let compressed = ops.tape.view(down, run.tokens() * rank);
    let compressed = normed(ops, compressed, rank, run);
    ops.tape.drop(down);
    let outputs = shape.heads * (shape.head + shape.value);
    let both = ops.linear(compressed, run.matrix(rank, outputs, false, "kv_b_proj"));
    ops.tape.drop(compressed);
    // Rotated and plain parts are joined into new tensors.
    let joined = ops.scaled(query);
    ops.tape.drop(query);
    let key = ops.tape.run(
        run.tokens() * shape.heads * whole,
        both.element,
        Operation { inputs: &[both], ..Operation::default() },
    );
    let inner = Attention {
        heads: shape.heads,
        key_value_heads: shape.heads,
        head: shape.value,
        rotary: shape.rotary,
        ..Attention::default()
    };
    let mixed = mix(ops, &inner, (joined, key, both), run.sequence, run);
    let wide = shape.heads * shape.value;
    let output = ops.linear(mixed, run.matrix(wide, run.hidden, shape.bias, "o_proj"));
    ops.tape.drop(mixed);
    output
}

/// Mamba and its kin: projections, a short convolution, the scan.
fn state_space(ops: &mut Operations, shape: &StateSpace, x: Tensor, run: Run<'_>) -> Tensor {
    ops.part("state space");
    let both = ops.linear(x, run.matrix(run.hidden, 2 * shape.inner, false, "in_proj"));
    let convolved = ops.tape.view(both, run.tokens() * shape.inner);
    let convolved = ops.pointwise(convolved);
    let active = ops.activation(convolved, crate::Activation::Silu);
    let scanned = ops.pointwise(active);
    ops.tape.drop(active);
    let gated = ops.product(scanned, both);
    ops.tape.drop(scanned);
    ops.tape.drop(both);
    let output = ops.linear(gated, run.matrix(shape.inner, run.hidden, false, "out_proj"));
    ops.tape.drop(gated);
    output
}

fn feed_forward(ops: &mut Operations, shape: &FeedForward, x: Tensor, run: Run<'_>) -> Tensor {
    ops.part("feed-forward");
    match shape {
        FeedForward::Nothing => ops.scaled(x),
        FeedForward::Dense(shape) => dense(ops, shape, x, run),
        FeedForward::Experts(shape) => experts(ops, shape, x, run),
    }
}

fn dense(ops: &mut Operations, shape: &Dense, x: Tensor, run: Run<'_>) -> Tensor {
    let (hidden, width) = (run.hidden, shape.width);
    let inner = if !shape.gated {
        let up = ops.linear(x, run.matrix(hidden, width, shape.bias, "fc1"));
        ops.activation(up, shape.activation)
    } else if shape.fused {
        let both = ops.linear(x, run.matrix(hidden, 2 * width, shape.bias, "gate_up_proj"));
        let gate = ops.tape.view(both, both.elements / 2);
        let gate = ops.activation(gate, shape.activation);
        let up = ops.tape.view(both, both.elements / 2);
        let product = ops.product(up, gate);
        ops.tape.drop(gate);
        ops.tape.drop(up);
        ops.tape.drop(both);
        product
    } else {
        let gate = ops.linear(x, run.matrix(hidden, width, shape.bias, "gate_proj"));
        let gate = ops.activation(gate, shape.activation);
        let up = ops.linear(x, run.matrix(hidden, width, shape.bias, "up_proj"));
        let product = ops.product(gate, up);
        ops.tape.drop(gate);
        ops.tape.drop(up);
        product
    };
    let inner = ops.drop_out(inner, shape.dropout);
    let name = if shape.gated { "down_proj" } else { "fc2" };
    let output = ops.linear(inner, run.matrix(width, hidden, shape.bias, name));
    ops.tape.drop(inner);
    output
}

/// Each token's experts: its copy for each, their work, and the weighed sum.
fn experts(ops: &mut Operations, shape: &Experts, x: Tensor, run: Run<'_>) -> Tensor {
    let router = run.matrix(run.hidden, shape.count, shape.router_bias, "router");
    let logits = ops.linear(x, router);
    let scores = ops.softmax(logits, 4);
    ops.tape.drop(logits);
    let copies = Operation { inputs: &[x], ..Operation::default() };
    let gathered = ops.tape.run(x.elements * shape.per_token, x.element, copies);
    let routed = dense(ops, &shape.expert, gathered, run);
    ops.tape.drop(gathered);
    let weighed = ops.product(routed, scores);
    ops.tape.drop(routed);
    ops.tape.drop(scores);
    let sum = Operation { inputs: &[weighed], ..Operation::default() };
    let mut output = ops.tape.run(x.elements, weighed.element.min(x.element), sum);
    ops.tape.drop(weighed);
    if let Some(shared) = &shape.shared {
        let other = dense(ops, shared, x, run);
        let both = ops.sum(output, other);
        ops.tape.drop(output);
        ops.tape.drop(other);
        output = both;
    }
    output
}

#[cfg(test)]
mod tests {
    use super::{Run, layer};
    use crate::architecture::{Activation, NormKind};
    use crate::operations::Operations;
    use crate::tape::Stage;
    use crate::{
        Attention, AttentionKind, Dense, FeedForward, Layer, Mixer, Norm, Placement, Precision,
    };

    const HIDDEN: u64 = 1024;
    const HEADS: u64 = 16;
    const WIDTH: u64 = 2816;
    const BATCH: u64 = 2;
    const SEQUENCE: u64 = 256;

    fn llama() -> Layer {
        let attention = Attention {
            heads: HEADS,
            key_value_heads: 4,
            head: 64,
            rotary: 64,
            ..Attention::default()
        };
        Layer {
            mixer: Mixer::Attention(attention),
            feed_forward: FeedForward::Dense(Dense {
                width: WIDTH,
                gated: true,
                activation: Activation::Silu,
                ..Dense::default()
            }),
            norm: Norm { kind: NormKind::RootMeanSquare, width: HIDDEN, bias: false },
            ..Layer::default()
        }
    }

    fn bert(dropout: f64, placement: Placement, fused: bool, activation: Activation) -> Layer {
        let attention = Attention {
            heads: HEADS,
            key_value_heads: HEADS,
            head: 64,
            dropout,
            fused,
            ..Attention::default()
        };
        Layer {
            mixer: Mixer::Attention(attention),
            feed_forward: FeedForward::Dense(Dense {
                width: 4 * HIDDEN,
                bias: true,
                activation,
                ..Dense::default()
            }),
            norm: Norm { kind: NormKind::Layer, width: HIDDEN, bias: true },
            placement,
            dropout,
            ..Layer::default()
        }
    }

    fn run(shape: &Layer, precision: Precision, attention: AttentionKind) -> Stage {
        let mut ops = Operations::new(precision, true);
        let run = Run {
            batch: BATCH,
            sequence: SEQUENCE,
            hidden: HIDDEN,
            memory: None,
            attention,
            trained: true,
            adapters: None,
            causal: true,
        };
        let x = ops.tape.input(run.tokens() * HIDDEN, precision.parameter(), true);
        let output = layer(&mut ops, shape, x, run);
        ops.tape.drop(x);
        ops.tape.finish(x, output, false)
    }

    /// Bytes a token and element of the stream that a layer keeps, its cast matrices left out.
    fn kept(shape: &Layer, precision: Precision, attention: AttentionKind) -> f64 {
        let stage = run(shape, precision, attention);
        let copies = stage.parts.iter().find(|(part, _)| *part == "autocast copies");
        let kept = stage.kept - copies.map_or(0, |(_, bytes)| *bytes);
        kept as f64 / (BATCH * SEQUENCE * HIDDEN) as f64
    }

    const PRECISIONS: [Precision; 3] = [Precision::Half, Precision::Full, Precision::Autocast];

    // Coefficients measured on fake tensors with transformers 5.23 and PyTorch 2.15.

    #[test]
    fn a_llama_layer_keeps_what_was_measured() {
        let f = WIDTH as f64 / HIDDEN as f64;
        let measured = [16.0 + 8.0 + 8.0 * f, 24.0 + 16.0 + 16.0 * f, 26.0 + 8.0 + 8.0 * f];
        for (precision, measured) in PRECISIONS.into_iter().zip(measured) {
            let kept = kept(&llama(), precision, AttentionKind::Fused);
            assert!((kept / measured - 1.0).abs() < 0.01, "{precision:?}: {kept} for {measured}");
        }
    }

    #[test]
    fn eager_attention_keeps_what_was_measured() {
        let cells = (HEADS * SEQUENCE) as f64 / HIDDEN as f64;
        for (dropout, shape, measured) in [
            (0.0, llama(), [6.0, 4.0, 6.0]),
            (0.1, bert(0.1, Placement::After, false, Activation::Gelu), [5.0, 9.0, 7.0]),
            (0.0, bert(0.0, Placement::After, false, Activation::Gelu), [2.0, 4.0, 6.0]),
            (0.1, bert(0.1, Placement::Before, true, Activation::GeluNew), [5.0, 9.0, 7.0]),
        ] {
            for (precision, measured) in PRECISIONS.into_iter().zip(measured) {
                let eager = kept(&shape, precision, AttentionKind::Eager);
                let fused = kept(&shape, precision, AttentionKind::Fused);
                let weights = (eager - fused) / cells;
                assert!(
                    (weights - measured).abs() < 0.05,
                    "{dropout} {precision:?}: {weights} for {measured}"
                );
            }
        }
    }

    #[test]
    fn bert_and_gpt2_layers_keep_what_was_measured() {
        let bert = |dropout| bert(dropout, Placement::After, false, Activation::Gelu);
        let gpt2 = |dropout| self::bert(dropout, Placement::Before, true, Activation::GeluNew);
        for (name, shape, measured) in [
            ("BERT", bert(0.1), [34.0, 66.0, 42.0]),
            ("BERT without dropout", bert(0.0), [32.0, 64.0, 40.0]),
            ("GPT-2", gpt2(0.1), [58.0, 114.0, 86.0]),
            ("GPT-2 without dropout", gpt2(0.0), [56.0, 112.0, 84.0]),
        ] {
            for (precision, measured) in PRECISIONS.into_iter().zip(measured) {
                let kept = kept(&shape, precision, AttentionKind::Fused);
                assert!(
                    (kept / measured - 1.0).abs() < 0.01,
                    "{name} {precision:?}: {kept} for {measured}"
                );
            }
        }
    }
}
