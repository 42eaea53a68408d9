//! PyTorch's operations, as a [`Tape`] needs them.
//!
//! What each saves is from `tools/autograd/derivatives.yaml` (PyTorch 2.15); what autocast casts
//! from `aten/src/ATen/autocast_mode.h`; the Python of norms and activations from transformers
//! 5.23.

use crate::architecture::{Activation, Norm, NormKind};
use crate::tape::{Operation, Part, Tape, Tensor};
use crate::workload::Precision;

/// The bytes of `float32`.
const FULL: u64 = 4;

/// A linear layer's matrix.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Matrix {
    pub(crate) inputs: u64,
    pub(crate) outputs: u64,
    pub(crate) bias: bool,
    /// Whether it gets a gradient.
    pub(crate) trained: bool,
    /// Whether quantisation packs it: a layer's, not the head's.
    pub(crate) is_packed: bool,
    /// The rank of its adapter, and the bytes of an adapter's element.
    pub(crate) adapter: Option<(u64, u64)>,
}

/// Operations under one precision.
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
#[derive(Debug)]
pub(crate) struct Operations {
    pub(crate) tape: Tape,
    pub(crate) precision: Precision,
    /// Whether dropout is active.
    pub(crate) dropout: bool,
    /// Frozen matrices are stored in few bits, and unpacked into a half-precision type for each
    /// product (`bitsandbytes` `MatMul4Bit`, 0.49).
    pub(crate) packed: bool,
    /// The half-precision type is `float16`.
    pub(crate) float16: bool,
    /// Parameters require gradients, so that autocast keeps its copies of them until it ends.
    pub(crate) caches_casts: bool,
    /// Bytes of half-precision copies of matrices that autocast makes.
    pub(crate) casts: u64,
}

impl Operations {
    pub(crate) fn new(precision: Precision, dropout: bool) -> Operations {
        Operations {
            tape: Tape::default(),
            precision,
            dropout,
            packed: false,
            float16: false,
            caches_casts: true,
            casts: 0,
        }
    }

    /// Names what follows.
    pub(crate) fn part(&mut self, part: Part) {
        self.tape.part = part;
    }

    /// The bytes of a parameter's gradient.
    fn gradient(&self, elements: u64, trained: bool) -> u64 {
        if trained { elements.saturating_mul(self.precision.parameter()) } else { 0 }
    }

    /// `x` in another type; `x` itself where it has it.
    pub(crate) fn cast(&mut self, x: Tensor, element: u64) -> Tensor {
        if x.element == element {
            return x;
        }
        self.tape.run(x.elements, element, Operation { inputs: &[x], ..Operation::default() })
    }

    /// Drops a name unless it is that of `kept`.
    fn drop_cast(&mut self, cast: Tensor, of: Tensor) {
        if cast.element != of.element {
            self.tape.drop(cast);
        }
    }

    /// `x @ matrix.T + bias`.
    pub(crate) fn linear(&mut self, x: Tensor, matrix: Matrix) -> Tensor {
        let rows = x.elements / matrix.inputs.max(1);
        let element = self.precision.product();
        let input = self.cast(x, element);
        let elements = matrix.inputs.saturating_mul(matrix.outputs);
        let size = elements + if matrix.bias { matrix.outputs } else { 0 };
        let is_cast = self.precision == Precision::Autocast && self.caches_casts;
        if is_cast {
            self.casts = self.casts.saturating_add(elements.saturating_mul(element));
        }
        // Backward multiplies by the half-precision copy of the matrix.
        let keeps_copy = self.precision == Precision::Autocast && (input.grad || matrix.trained);
        let part = self.tape.part;
        self.tape.part = "autocast copies";
        let copy = self.tape.make(if keeps_copy { elements } else { 0 }, element, false);
        self.tape.part = part;
        let both = [copy, input];
        let cells = rows.saturating_mul(matrix.outputs);
        // The unpacked matrix, and input and output in the type that it is unpacked to.
        let unpacked = |ends: u64| 2 * (elements + if element > 2 { ends } else { 0 });
        let is_packed = self.packed && matrix.is_packed;
        let output = self.tape.run(
            cells,
            element,
            Operation {
                inputs: &[input],
                saved: if matrix.trained {
                    both.as_slice()
                } else {
                    both.get(..1).unwrap_or_default()
                },
                scratch: if is_packed { unpacked(input.elements + cells) } else { 0 },
                // The gradient is computed in the product's type and then cast.
                backward_scratch: if is_cast && matrix.trained {
                    elements * element
                } else if is_packed {
                    unpacked(input.elements + cells)
                } else {
                    0
                },
                weight_gradient: self.gradient(size, matrix.trained),
                ..Operation::default()
            },
        );
        self.tape.drop(copy);
        self.drop_cast(input, x);
        match matrix.adapter {
            Some(adapter) => self.with_adapter(x, output, matrix, adapter),
            None => output,
        }
    }

    /// PEFT's `result + lora_B(lora_A(dropout(x))) * scaling`.
    fn with_adapter(
        &mut self,
        x: Tensor,
        output: Tensor,
        matrix: Matrix,
        (rank, element): (u64, u64),
    ) -> Tensor {
        let rows = x.elements / matrix.inputs.max(1);
        let part = self.tape.part;
        self.tape.part = "adapters";
        let work = if self.precision == Precision::Autocast { 2 } else { element };
        let input = self.cast(x, work);
        let saved = [input];
        let down = self.tape.run(
            rows * rank,
            work,
            Operation {
                inputs: &[input],
                saved: &saved,
                weight_gradient: matrix.inputs * rank * element,
                ..Operation::default()
            },
        );
        self.drop_cast(input, x);
        let saved = [down];
        let up = self.tape.run(
            rows * matrix.outputs,
            work,
            Operation {
                inputs: &[down],
                saved: &saved,
                weight_gradient: matrix.outputs * rank * element,
                ..Operation::default()
            },
        );
        self.tape.drop(down);
        let scaled =
            self.tape.run(up.elements, work, Operation { inputs: &[up], ..Operation::default() });
        self.tape.drop(up);
        let sum = self.tape.run(
            output.elements,
            output.element.max(work),
            Operation { inputs: &[output, scaled], passes: true, ..Operation::default() },
        );
        self.tape.drop(scaled);
        self.tape.drop(output);
        let result = self.cast(sum, output.element);
        self.drop_cast(sum, result);
        self.tape.part = part;
        result
    }

    /// A norm of the stream or of heads.
    pub(crate) fn norm(&mut self, x: Tensor, norm: Norm, trained: bool) -> Tensor {
        let trained = trained && norm.width > 0;
        match norm.kind {
            NormKind::Layer => self.layer_norm(x, norm, trained),
            NormKind::RootMeanSquare => self.root_mean_square(x, norm, trained, false),
            NormKind::Gemma => self.root_mean_square(x, norm, trained, true),
        }
    }

    fn layer_norm(&mut self, x: Tensor, norm: Norm, trained: bool) -> Tensor {
        let autocast = self.precision == Precision::Autocast;
        let input = if autocast { self.cast(x, FULL) } else { x };
        let rows = x.elements / norm.width.max(1);
        let statistics = self.tape.make(rows * 2, FULL, false);
        let saved = [input, statistics];
        let size = norm.width * if norm.bias { 2 } else { 1 };
        let output = self.tape.run(
            x.elements,
            input.element,
            Operation {
                inputs: &[input],
                saved: &saved,
                weight_gradient: self.gradient(size, trained),
                ..Operation::default()
            },
        );
        self.tape.drop(statistics);
        self.drop_cast(input, x);
        output
    }

    /// `weight * (x.float() * rsqrt(mean(x.float() ** 2) + eps)).to(x.dtype)`, the product before
    /// the cast for Gemma.
    fn root_mean_square(&mut self, x: Tensor, norm: Norm, trained: bool, gemma: bool) -> Tensor {
        let full = self.cast(x, FULL);
        let rows = x.elements / norm.width.max(1);
        let scale = self.tape.make(rows, FULL, full.grad);
        let saved = [full, scale];
        let normal = self.tape.run(
            x.elements,
            FULL,
            Operation {
                inputs: &[full],
                saved: &saved,
                scratch: x.elements * FULL,
                backward_scratch: 2 * x.elements * FULL,
                ..Operation::default()
            },
        );
        self.tape.drop(scale);
        self.drop_cast(full, x);
        let before = if gemma { normal } else { self.cast(normal, x.element) };
        if !gemma {
            self.drop_cast(normal, before);
        }
        let saved = [before];
        let product = self.tape.run(
            x.elements,
            before.element.max(if gemma { FULL } else { self.weight_element(x) }),
            Operation {
                inputs: &[before],
                saved: if trained { &saved } else { &[] },
                weight_gradient: self.gradient(norm.width, trained),
                backward_scratch: if trained { x.elements * before.element } else { 0 },
                ..Operation::default()
            },
        );
        self.tape.drop(before);
        if !gemma {
            return product;
        }
        let output = self.cast(product, x.element);
        self.drop_cast(product, output);
        output
    }

    /// A product with a parameter has the wider of both types.
    fn weight_element(&self, x: Tensor) -> u64 {
        x.element.max(self.precision.parameter())
    }

    /// An operation on each element that saves its input.
    pub(crate) fn pointwise(&mut self, x: Tensor) -> Tensor {
        let saved = [x];
        self.tape.run(
            x.elements,
            x.element,
            Operation { inputs: &[x], saved: &saved, ..Operation::default() },
        )
    }

    /// An operation on each element that saves nothing: a product with a number.
    pub(crate) fn scaled(&mut self, x: Tensor) -> Tensor {
        self.tape.run(x.elements, x.element, Operation { inputs: &[x], ..Operation::default() })
    }

    /// `x + y`, of the wider type.
    pub(crate) fn sum(&mut self, x: Tensor, y: Tensor) -> Tensor {
        let element = x.element.max(y.element);
        self.tape.run(
            x.elements,
            element,
            Operation { inputs: &[x, y], passes: true, ..Operation::default() },
        )
    }

    /// `x * y`.
    pub(crate) fn product(&mut self, x: Tensor, y: Tensor) -> Tensor {
        let both = [x, y];
        let saved = match (x.grad, y.grad) {
            (true, true) => both.as_slice(),
            (true, false) => both.get(1..).unwrap_or_default(),
            (false, true) => both.get(..1).unwrap_or_default(),
            (false, false) => &[],
        };
        let element = x.element.max(y.element);
        self.tape.run(
            x.elements,
            element,
            Operation { inputs: &both, saved, ..Operation::default() },
        )
    }

    /// Dropout, where it is active: a mask of one byte an element.
    pub(crate) fn drop_out(&mut self, x: Tensor, probability: f64) -> Tensor {
        if !self.dropout || probability <= 0.0 {
            return x;
        }
        let mask = self.tape.make(x.elements, 1, false);
        let saved = [mask];
        let output = self.tape.run(
            x.elements,
            x.element,
            Operation { inputs: &[x], saved: &saved, ..Operation::default() },
        );
        self.tape.drop(mask);
        self.tape.drop(x);
        output
    }

    /// An activation; its input's name goes.
    pub(crate) fn activation(&mut self, x: Tensor, activation: Activation) -> Tensor {
        let output = match activation {
            Activation::Gelu | Activation::Silu => self.pointwise(x),
            Activation::Relu => {
                let output = self.scaled(x);
                self.saves_result(output);
                output
            }
            Activation::ReluSquared => {
                let positive = self.scaled(x);
                self.saves_result(positive);
                let squared = self.pointwise(positive);
                self.tape.drop(positive);
                squared
            }
            Activation::QuickGelu => {
                let scaled = self.scaled(x);
                let gate = self.scaled(scaled);
                self.tape.drop(scaled);
                self.saves_result(gate);
                let output = self.product(x, gate);
                self.tape.drop(gate);
                output
            }
            Activation::SiluByHand => {
                let gate = self.scaled(x);
                self.saves_result(gate);
                let output = self.product(x, gate);
                self.tape.drop(gate);
                output
            }
            Activation::GeluNew => self.gelu_new(x),
        };
        self.tape.drop(x);
        output
    }

    /// The last operation saves its own result.
    fn saves_result(&mut self, result: Tensor) {
        self.tape.save_in_last(result);
    }

    /// `0.5 * x * (1.0 + tanh(sqrt(2 / pi) * (x + 0.044715 * x ** 3)))`.
    fn gelu_new(&mut self, x: Tensor) -> Tensor {
        let half = self.scaled(x);
        // `pow` is computed in `float32` under autocast.
        let wide = if self.precision == Precision::Autocast { self.cast(x, FULL) } else { x };
        let cube = self.pointwise(wide);
        self.drop_cast(wide, x);
        let small = self.scaled(cube);
        self.tape.drop(cube);
        let inner = self.sum(x, small);
        self.tape.drop(small);
        let scaled = self.scaled(inner);
        self.tape.drop(inner);
        let tangent = self.scaled(scaled);
        self.tape.drop(scaled);
        self.saves_result(tangent);
        let one = self.scaled(tangent);
        self.tape.drop(tangent);
        let output = self.product(half, one);
        self.tape.drop(half);
        self.tape.drop(one);
        output
    }

    /// `softmax` in a type of `element` bytes, which saves its result. Its backward multiplies the
    /// gradient by it into a temporary (`aten/src/ATen/native/cuda/SoftMax.cu`).
    pub(crate) fn softmax(&mut self, x: Tensor, element: u64) -> Tensor {
        // Only from `float16` does the kernel itself widen.
        let widened = if x.element != element && !self.float16 { x.elements * element } else { 0 };
        self.normalized(x, element, widened, x.elements.saturating_mul(element))
    }

    /// `log_softmax`, whose backward needs no temporary.
    pub(crate) fn log_softmax(&mut self, x: Tensor) -> Tensor {
        self.normalized(x, x.element, 0, 0)
    }

    fn normalized(&mut self, x: Tensor, element: u64, scratch: u64, backward: u64) -> Tensor {
        let output = self.tape.run(
            x.elements,
            element,
            Operation {
                inputs: &[x],
                scratch,
                // What is not made in the input's type at once is made wide and then cast.
                backward_scratch: (backward + scratch).saturating_sub(if scratch > 0 {
                    x.elements * x.element
                } else {
                    0
                }),
                ..Operation::default()
            },
        );
        self.tape.save_in_last(output);
        output
    }

    /// `e = exp(x - x.max()); e / e.sum()`.
    pub(crate) fn softmax_by_hand(&mut self, x: Tensor) -> Tensor {
        let shifted = self.scaled(x);
        let input =
            if self.precision == Precision::Autocast { self.cast(shifted, FULL) } else { shifted };
        let powers = self.scaled(input);
        self.tape.save_in_last(powers);
        self.drop_cast(input, shifted);
        let saved = [powers];
        let output = self.tape.run(
            powers.elements,
            powers.element,
            Operation {
                inputs: &[powers],
                saved: &saved,
                backward_scratch: powers.elements.saturating_mul(powers.element),
                ..Operation::default()
            },
        );
        self.tape.drop(shifted);
        self.tape.drop(powers);
        output
    }

    /// A product of two tensors as matrices, with `elements` in the output.
    pub(crate) fn matmul(&mut self, x: Tensor, y: Tensor, elements: u64) -> Tensor {
        let element = self.precision.product();
        let (a, b) = (self.cast(x, element), self.cast(y, element));
        let saved = [a, b];
        let output = self.tape.run(
            elements,
            element,
            Operation { inputs: &[a, b], saved: &saved, ..Operation::default() },
        );
        self.drop_cast(a, x);
        self.drop_cast(b, y);
        output
    }
}
