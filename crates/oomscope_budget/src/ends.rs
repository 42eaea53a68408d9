//! What comes before a tower's first layer and after its last: tables, head, loss.

use crate::architecture::{Embedding, Head, Norm, Tower};
use crate::layers::Run;
use crate::operations::{Matrix, Operations};
use crate::tape::{Operation, Tensor};
use crate::workload::Loss;

/// Runs the tables, or the projections of patches, on the step's inputs.
pub(crate) fn embedding(ops: &mut Operations, tower: &Tower, run: Run<'_>) -> (Tensor, Tensor) {
    let Embedding { vocabulary, positions, types, .. } = tower.embedding;
    let element = ops.precision.parameter();
    let (rows, hidden) = (run.tokens(), tower.hidden);
    let width = tower.embedding.width.unwrap_or(hidden);
    let input = if tower.embedding.patch_inputs.is_empty() {
        ops.tape.input(rows, 8, false)
    } else {
        ops.tape.input(rows * tower.embedding.patch_inputs.iter().sum::<u64>(), element, false)
    };
    ops.part("embeddings");
    // The gradient of a table that the head shares is there already: one more is added to it.
    let tied = tower.head.as_ref().is_some_and(|head| head.tied);
    let looked_up = |ops: &mut Operations, table: u64, input: Tensor, tied: bool| {
        let size = table.saturating_mul(width).saturating_mul(element);
        let size = if run.trained { size } else { 0 };
        let saved = [input];
        ops.tape.run(
            rows * width,
            element,
            Operation {
                saved: &saved,
                weight_gradient: if tied { 0 } else { size },
                backward_scratch: if tied { size } else { 0 },
                ..Operation::default()
            },
        )
    };
    let table = if tower.embedding.shared { 0 } else { vocabulary };
    let mut x = if tower.embedding.patch_inputs.is_empty() {
        looked_up(ops, table, input, tied)
    } else {
        let inputs = tower.embedding.patch_inputs.iter().sum();
        let matrix = Matrix {
            inputs,
            outputs: hidden,
            bias: true,
            trained: run.trained,
            ..Matrix::default()
        };
        ops.linear(input, matrix)
    };
    for more in [positions, types].into_iter().filter(|rows| *rows > 0) {
        let other = looked_up(ops, more, input, false);
        let sum = ops.sum(x, other);
        ops.tape.drop(x);
        ops.tape.drop(other);
        x = sum;
    }
    if let Some(norm) = tower.embedding.norm {
        x = normed(ops, x, norm, run);
    }
    x = ops.drop_out(x, tower.embedding.dropout);
    if width != hidden {
        let matrix = Matrix {
            inputs: width,
            outputs: hidden,
            bias: false,
            trained: run.trained,
            ..Matrix::default()
        };
        let projected = ops.linear(x, matrix);
        ops.tape.drop(x);
        x = projected;
    }
    (input, x)
}

fn normed(ops: &mut Operations, x: Tensor, norm: Norm, run: Run<'_>) -> Tensor {
    ops.part("norms");
    let output = ops.norm(x, norm, run.trained);
    ops.tape.drop(x);
    output
}

/// Runs the final norm, the head and the loss on the stream, whose name goes. Returns what
/// backward starts from, and whether the program holds it.
pub(crate) fn head(
    ops: &mut Operations,
    tower: &Tower,
    x: Tensor,
    loss: Option<Loss>,
    run: Run<'_>,
) -> Tensor {
    let mut x = x;
    if let Some(norm) = tower.final_norm {
        x = normed(ops, x, norm, run);
    }
    ops.part("logits and loss");
    match (&tower.head, loss) {
        (None, None) => x,
        (_, Some(Loss::MeanOfStream)) | (None, Some(_)) => mean_of(ops, x),
        (Some(head), None) => logits(ops, head, tower.hidden, x, run),
        (Some(head), Some(Loss::Chunked { chunks })) => {
            chunked(ops, head, tower.hidden, x, chunks.max(1), run)
        }
        (Some(head), Some(loss)) => {
            let logits = logits(ops, head, tower.hidden, x, run);
            ops.tape.drop(x);
            cross_entropy(ops, logits, loss)
        }
    }
}

fn logits(ops: &mut Operations, head: &Head, hidden: u64, x: Tensor, run: Run<'_>) -> Tensor {
    let mut x = x;
    if let Some(norm) = head.transform {
        let matrix = Matrix {
            inputs: hidden,
            outputs: hidden,
            bias: true,
            trained: run.trained,
            ..Matrix::default()
        };
        let dense = ops.linear(x, matrix);
        let active = ops.activation(dense, crate::Activation::Gelu);
        x = normed(ops, active, norm, run);
        ops.part("logits and loss");
    }
    let matrix = Matrix {
        inputs: hidden,
        outputs: head.outputs,
        bias: head.bias,
        trained: run.trained,
        ..Matrix::default()
    };
    let logits = ops.linear(x, matrix);
    if head.softcap {
        let small = ops.scaled(logits);
        ops.tape.drop(logits);
        let tangent = ops.scaled(small);
        ops.tape.save_in_last(tangent);
        ops.tape.drop(small);
        let capped = ops.scaled(tangent);
        ops.tape.drop(tangent);
        return capped;
    }
    logits
}

/// Cross-entropy of logits that the caller's output object holds through backward.
fn cross_entropy(ops: &mut Operations, logits: Tensor, loss: Loss) -> Tensor {
    let wide = ops.precision == crate::Precision::Autocast || loss == Loss::Upcast;
    let input = if wide { ops.cast(logits, 4) } else { logits };
    let probabilities = ops.log_softmax(input);
    let value = ops.tape.run(
        1,
        input.element,
        Operation { inputs: &[probabilities], ..Operation::default() },
    );
    ops.tape.drop(probabilities);
    if input.element != logits.element {
        ops.tape.drop(input);
    }
    value
}

/// A loss that never holds all logits, nor keeps any: gradients are computed with the loss.
fn chunked(
    ops: &mut Operations,
    head: &Head,
    hidden: u64,
    x: Tensor,
    chunks: u64,
    run: Run<'_>,
) -> Tensor {
    let cells = (x.elements / hidden.max(1)).div_ceil(chunks).saturating_mul(head.outputs);
    let saved = [ops.tape.make(x.elements, x.element, false)];
    let [gradient] = saved;
    let size = head.outputs.saturating_mul(hidden).saturating_mul(ops.precision.parameter());
    let value = ops.tape.run(
        1,
        4,
        Operation {
            inputs: &[x],
            saved: &saved,
            scratch: cells.saturating_mul(ops.precision.product() + 8),
            weight_gradient: if run.trained { size } else { 0 },
            ..Operation::default()
        },
    );
    ops.tape.drop(gradient);
    ops.tape.drop(x);
    value
}

/// `x.float().pow(2).mean()`.
fn mean_of(ops: &mut Operations, x: Tensor) -> Tensor {
    let full = ops.cast(x, 4);
    let squares = ops.pointwise(full);
    let value = ops.tape.run(1, 4, Operation { inputs: &[squares], ..Operation::default() });
    ops.tape.drop(squares);
    value
}
