//! What a configuration needs in GPU memory, term by term, and what would make it fit.
//!
//! A model's configuration becomes an [`Architecture`] ([`read_config`]), which is its towers,
//! layers and their shapes; [`weights()`] lists its parameter tensors. [`budget()`] runs a step of a
//! [`Workload`] on sizes alone, operation by operation under autograd's rules, and says what each
//! phase holds. No I/O; nothing is downloaded or executed.
//!
//! ```
//! use oomscope_budget::{Workload, budget, read_config, weights};
//! let config = r#"{"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12,
//!     "vocab_size": 50257}"#;
//! let model = read_config(config)?.architecture;
//! let needed = budget(&model, &weights(&model), &Workload { batch: 4, ..Workload::default() });
//! assert_eq!(needed.parameters, 124_439_808);
//! assert!(needed.allocated.likely > 4 << 30);
//! # Ok::<(), oomscope_budget::ConfigError>(())
//! ```

mod advice;
mod architecture;
mod budget;
mod config;
mod device;
mod ends;
mod fit;
mod layers;
mod limits;
mod models;
mod operations;
mod passes;
mod replay;
mod sharding;
mod tape;
mod weights;
mod workload;

pub use advice::{Change, Cost, advise};
pub use architecture::{
    Activation, Architecture, Attention, Dense, Embedding, Experts, FeedForward, Head, Latent,
    Layer, Mixer, Norm, NormKind, Placement, QueryKeyNorm, StateSpace, Tower,
};
pub use budget::{Budget, Interval, Phase, Term, TermKind, budget};
pub use config::{Config, ConfigError, KeyError, families_known, read_config};
pub use device::{Device, device, devices};
pub use fit::{Fit, Size, fit, largest, process};
pub use models::{built_in, built_in_names, similar_names};
pub use replay::replayed_budget;
pub use weights::{Role, Weight, weights};
pub use workload::{
    Adapters, AttentionKind, Checkpointing, Loss, Optimizer, Parallel, Precision, Quantization,
    Sharding, Step, Task, Workload,
};
