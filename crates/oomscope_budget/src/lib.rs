//! What a configuration needs in GPU memory, term by term, and what would make it fit.
//!
//! A model's configuration becomes an [`Architecture`], which is its towers, layers and their
//! shapes; [`weights`] lists its parameter tensors. No I/O; nothing is downloaded or executed.

mod architecture;
mod budget;
mod config;
mod ends;
mod layers;
mod operations;
mod passes;
mod tape;
mod weights;
mod workload;

pub use architecture::{
    Activation, Architecture, Attention, Dense, Embedding, Experts, FeedForward, Head, Latent,
    Layer, Mixer, Norm, NormKind, Placement, QueryKeyNorm, StateSpace, Tower,
};
pub use budget::{Budget, Interval, Phase, Term, TermKind, budget};
pub use config::{Config, ConfigError, KeyError, families_known, read_config};
pub use weights::{Role, Weight, weights};
pub use workload::{
    Adapters, AttentionKind, Checkpointing, Loss, Optimizer, Parallel, Precision, Quantization,
    Sharding, Step, Task, Workload,
};
