//! Rules on `torch.compile` and CUDA graphs.

use crate::rules::Rule;

mod compiled_in_loop;
mod cuda_graph_per_shape;
mod cuda_graphs_without_shared_pool;

pub(super) static RULES: &[Rule] =
    &[compiled_in_loop::RULE, cuda_graphs_without_shared_pool::RULE, cuda_graph_per_shape::RULE];
