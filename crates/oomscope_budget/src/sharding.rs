//! What one of several devices holds.
//!
//! Tensor and expert parallelism make the model itself smaller; data parallelism shares states,
//! gradients and parameters (Rajbhandari et al., arXiv:1910.02054) and adds buffers.

use crate::architecture::{Architecture, FeedForward, Layer, Mixer};
use crate::weights::Weight;
use crate::workload::{Parallel, Sharding, Workload};

/// The part of a model that one device computes with: heads, inner widths and tables divided by the
/// tensor degree, experts by theirs.
pub(crate) fn local(architecture: &Architecture, parallel: Parallel) -> Architecture {
    let mut local = architecture.clone();
    let tensor = parallel.tensor.max(1);
    for tower in &mut local.towers {
        tower.embedding.vocabulary = tower.embedding.vocabulary.div_ceil(tensor);
        if let Some(head) = &mut tower.head {
            head.outputs = head.outputs.div_ceil(tensor);
        }
        for (_, layer) in &mut tower.layers {
            divide(layer, tensor, parallel.expert.max(1));
        }
    }
    local
}

fn divide(layer: &mut Layer, tensor: u64, expert: u64) {
    let attention = match &mut layer.mixer {
        Mixer::Attention(shape) => Some(shape),
        Mixer::Latent(shape) => {
            shape.heads = shape.heads.div_ceil(tensor);
            None
        }
        Mixer::StateSpace(shape) => {
            shape.inner = shape.inner.div_ceil(tensor);
            None
        }
        Mixer::Nothing => None,
    };
    for shape in attention.into_iter().chain(&mut layer.cross) {
        shape.heads = shape.heads.div_ceil(tensor);
        shape.key_value_heads = shape.key_value_heads.div_ceil(tensor);
    }
    match &mut layer.feed_forward {
        FeedForward::Nothing => {}
        FeedForward::Dense(dense) => dense.width = dense.width.div_ceil(tensor),
        FeedForward::Experts(experts) => {
            experts.count = experts.count.div_ceil(expert);
            // Each device's tokens still go through as many experts, wherever these are.
            experts.expert.width = experts.expert.width.div_ceil(tensor);
            if let Some(shared) = &mut experts.shared {
                shared.width = shared.width.div_ceil(tensor);
            }
        }
    }
}

/// The tokens of a sequence that one device has.
pub(crate) fn local_workload(workload: &Workload) -> Workload {
    let context = workload.parallel.context.max(1);
    Workload { sequence: workload.sequence.div_ceil(context), ..workload.clone() }
}

/// By how much the devices with batches of their own divide each, and what they add, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    pub(crate) weights: u64,
    pub(crate) gradients: u64,
    pub(crate) states: u64,
    /// Parameters of the layer at work and of the next one, whole, and its gradients.
    pub(crate) gathered: u64,
    /// Buffers of gradients on their way.
    pub(crate) buckets: u64,
}

/// The least size of the buckets in which DDP sends gradients, in bytes
/// (`torch/nn/parallel/distributed.py`, `bucket_cap_mb`).
const BUCKET: u64 = 25 << 20;

/// Bytes of parameters are `element` each in `weights`; `gradients` is all of theirs.
pub(crate) fn shares(
    parallel: Parallel,
    weights: &[Weight],
    element: u64,
    gradients: u64,
) -> Shares {
    let data = parallel.data.max(1);
    let none = Shares { weights: 1, gradients: 1, states: 1, gathered: 0, buckets: 0 };
    if data == 1 {
        return none;
    }
    // Layers are units: of what is there several times, one.
    let layer = weights.iter().filter(|weight| weight.count > 1);
    let layers = layer.clone().map(|weight| weight.count).min().unwrap_or(1).max(1);
    let layer: u64 = layer.map(Weight::elements).fold(0, u64::saturating_add) / layers;
    let table = weights.iter().filter(|weight| weight.count == 1).map(Weight::elements).max();
    let unit = layer.max(table.unwrap_or(0)).saturating_mul(element);
    match parallel.sharding {
        // Gradients are copied into buckets, unless they are views of them.
        Sharding::Replicated => Shares { buckets: gradients, ..none },
        Sharding::States => Shares { states: data, buckets: 2 * BUCKET, ..none },
        Sharding::Gradients => {
            Shares { states: data, gradients: data, buckets: unit.max(2 * BUCKET), ..none }
        }
        Sharding::Parameters { .. } => Shares {
            weights: data,
            gradients: data,
            states: data,
            gathered: unit.saturating_mul(3),
            buckets: 0,
        },
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        Checkpointing, Parallel, Precision, Sharding, Workload, budget, read_config, weights,
    };

    fn needed(parallel: Parallel) -> u64 {
        let config = r#"{"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
            "vocab_size": 128256}"#;
        let model = read_config(config).expect("a configuration").architecture;
        let workload = Workload {
            precision: Precision::Half,
            sequence: 2048,
            checkpointing: Checkpointing::Full,
            parallel,
            ..Workload::default()
        };
        budget(&model, &weights(&model), &workload).allocated.likely
    }

    #[test]
    fn what_more_is_shared_needs_less() {
        let of = |sharding| needed(Parallel { data: 8, sharding, ..Parallel::default() });
        let replicated = of(Sharding::Replicated);
        let states = of(Sharding::States);
        let gradients = of(Sharding::Gradients);
        let parameters = of(Sharding::Parameters { reshard: true });
        assert!(needed(Parallel::default()) <= replicated);
        assert!(replicated > states && states > gradients && gradients > parameters);
    }

    #[test]
    fn more_tensor_parallel_devices_need_less_each() {
        let of = |tensor| needed(Parallel { tensor, ..Parallel::default() });
        assert!(of(1) > of(2) && of(2) > of(4) && of(4) > of(8));
        assert!(of(8) > of(1) / 12);
    }
}
