//! The allocator's settings: `PYTORCH_CUDA_ALLOC_CONF`, and `PYTORCH_ALLOC_CONF` of newer releases.
//! Sources: `CUDAAllocatorConfig.cpp` up to PyTorch 2.9, `AllocatorConfig.cpp` after it.

mod parse;

use std::fmt;

use crate::rounding::{LARGE_BUFFER, Rounding};

pub use parse::SettingsError;

/// Who hands memory out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Backend {
    /// PyTorch's caching allocator.
    #[default]
    Native,
    /// `cudaMallocAsync`: the driver's pool, of which no source is public. Modelled roughly.
    CudaMallocAsync,
}

/// What the allocator's decisions depend on.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `backend`.
    pub backend: Backend,
    /// `expandable_segments`.
    pub expandable_segments: bool,
    /// `max_split_size_mb`, bytes: larger blocks are not split. `None`: no limit.
    pub max_split_size: Option<u64>,
    /// `max_non_split_rounding_mb`, bytes: how much larger than its request a block may be that
    /// is not split. PyTorch 2.5 or later.
    pub max_non_split_rounding: u64,
    /// `roundup_power2_divisions`.
    pub rounding: Rounding,
    /// `garbage_collection_threshold`: the share of the process's cap above which cached blocks
    /// are freed, between 0 and 1. Without a cap it does nothing.
    pub garbage_collection_threshold: Option<f64>,
    /// `large_segment_size_mb`, bytes. PyTorch 2.11 or later.
    pub large_segment_size: u64,
    /// `per_process_memory_fraction`, as `torch.cuda.set_per_process_memory_fraction` sets it too:
    /// the share of the device's total that this process may hold. PyTorch 2.10 or later as text.
    pub memory_fraction: Option<f64>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            backend: Backend::Native,
            expandable_segments: false,
            max_split_size: None,
            max_non_split_rounding: LARGE_BUFFER,
            rounding: Rounding::default(),
            garbage_collection_threshold: None,
            large_segment_size: LARGE_BUFFER,
            memory_fraction: None,
        }
    }
}

impl Settings {
    /// Whether both place blocks alike: they differ at most in the process's cap, which a trace does
    /// not state.
    pub(crate) fn places_like(&self, other: &Settings) -> bool {
        Settings { memory_fraction: other.memory_fraction, ..self.clone() } == *other
    }
}

/// The settings as the environment variable's value; empty for the defaults.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mebibytes = |bytes: u64| bytes >> 20;
        let mut parts = Vec::new();
        if self.backend == Backend::CudaMallocAsync {
            parts.push("backend:cudaMallocAsync".to_owned());
        }
        if self.expandable_segments {
            parts.push("expandable_segments:True".to_owned());
        }
        if let Some(size) = self.max_split_size {
            parts.push(format!("max_split_size_mb:{}", mebibytes(size)));
        }
        if self.max_non_split_rounding != LARGE_BUFFER {
            parts.push(format!(
                "max_non_split_rounding_mb:{}",
                mebibytes(self.max_non_split_rounding)
            ));
        }
        if self.rounding != Rounding::default() {
            parts.push(format!("roundup_power2_divisions:{}", divisions(&self.rounding)));
        }
        if let Some(share) = self.garbage_collection_threshold {
            parts.push(format!("garbage_collection_threshold:{share}"));
        }
        if self.large_segment_size != LARGE_BUFFER {
            parts.push(format!("large_segment_size_mb:{}", mebibytes(self.large_segment_size)));
        }
        if let Some(share) = self.memory_fraction {
            parts.push(format!("per_process_memory_fraction:{share}"));
        }
        f.write_str(&parts.join(","))
    }
}

/// `4` where all intervals have four, else the shortest list that every release reads alike, as
/// `[256:2,512:4,1024:1,>:1]`: those before the first named take its value, and the last named has
/// that of the rest.
fn divisions(rounding: &Rounding) -> String {
    let [first, .., last] = &rounding.divisions;
    let differs = |value: &u16| rounding.divisions.iter().rposition(|divisions| divisions != value);
    let Some(before_rest) = differs(last) else { return first.to_string() };
    let head = rounding.divisions.iter().take_while(|divisions| *divisions == first).count();
    let named = rounding.divisions.iter().enumerate().take(before_rest + 2).skip(head - 1);
    let named = named.map(|(interval, divisions)| format!("{}:{divisions}", 1_u32 << interval));
    let list: Vec<String> = named.chain([format!(">:{last}")]).collect();
    format!("[{}]", list.join(","))
}
