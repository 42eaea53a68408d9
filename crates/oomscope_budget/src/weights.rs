//! The parameter tensors of a model.

use crate::Architecture;

/// One parameter tensor, or several alike.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weight {
    /// As checkpoints name it, with `*` for the layer's number: `model.layers.*.mlp.up_proj.weight`.
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
    architecture.others.clone()
}
