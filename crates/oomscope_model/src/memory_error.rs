//! The figures that an out-of-memory text states. Unknown is `None`, never 0.

use crate::Bytes;

/// Which library printed the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framework {
    /// PyTorch on CUDA, and libraries that raise through it.
    Torch,
    /// PyTorch on AMD HIP.
    Hip,
    /// PyTorch on Intel XPU.
    Xpu,
    /// PyTorch on Apple MPS.
    Mps,
    /// NVIDIA NCCL.
    Nccl,
    /// The vLLM server.
    Vllm,
    /// The SGLang server.
    Sglang,
    /// Hugging Face text-generation-inference.
    Tgi,
    /// JAX and XLA.
    Jax,
    /// TensorFlow.
    Tf,
    /// Triton, the kernel compiler.
    Triton,
    /// `PaddlePaddle`.
    Paddle,
    /// llama.cpp and ggml.
    LlamaCpp,
    /// `CuPy`.
    Cupy,
    /// RAPIDS' memory manager.
    Rmm,
    /// ONNX Runtime.
    Onnxruntime,
    /// bitsandbytes, which allocates beside PyTorch.
    Bitsandbytes,
    /// Theano.
    Theano,
    /// Ray.
    Ray,
    /// Slurm.
    Slurm,
    /// The operating system or a container runtime.
    Os,
}

impl Framework {
    /// The stable name used in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Framework::Torch => "torch",
            Framework::Hip => "hip",
            Framework::Xpu => "xpu",
            Framework::Mps => "mps",
            Framework::Nccl => "nccl",
            Framework::Vllm => "vllm",
            Framework::Sglang => "sglang",
            Framework::Tgi => "tgi",
            Framework::Jax => "jax",
            Framework::Tf => "tf",
            Framework::Triton => "triton",
            Framework::Paddle => "paddle",
            Framework::LlamaCpp => "llama.cpp",
            Framework::Cupy => "cupy",
            Framework::Rmm => "rmm",
            Framework::Onnxruntime => "onnxruntime",
            Framework::Bitsandbytes => "bitsandbytes",
            Framework::Theano => "theano",
            Framework::Ray => "ray",
            Framework::Slurm => "slurm",
            Framework::Os => "os",
        }
    }
}

/// Another process on the device, as an error text or the driver lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherProcess {
    /// Its process id, in the namespace of whoever reported it.
    pub pid: u64,
    /// What it holds on the device.
    pub bytes: Option<Bytes>,
}

/// What one error text says about memory. Every figure as stated, rounded as it was printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryError {
    /// Which library printed it.
    pub framework: Option<Framework>,
    /// False when the text blames memory but states another cause.
    pub is_memory_error: bool,
    /// Size of the request that failed.
    pub requested: Option<Bytes>,
    /// Ordinal of the device.
    pub device_index: Option<u32>,
    /// The device's total capacity.
    pub capacity: Option<Bytes>,
    /// Free on the device at the failure.
    pub free: Option<Bytes>,
    /// All that this process uses on the device, non-PyTorch memory included.
    pub this_process: Option<Bytes>,
    /// Allocated by the caching allocator for live tensors.
    pub allocated: Option<Bytes>,
    /// Reserved from the device by the caching allocator, not allocated to tensors.
    pub reserved_unallocated: Option<Bytes>,
    /// Reserved from the device by the caching allocator; stated, or the sum of the two above.
    pub reserved: Option<Bytes>,
    /// Allocated in private pools (CUDA graphs).
    pub private_pool: Option<Bytes>,
    /// An upper limit that is smaller than the device: a fraction, quota or watermark.
    pub cap: Option<Bytes>,
    /// Other processes on the device.
    pub other_processes: Vec<OtherProcess>,
}

impl MemoryError {
    /// An error of `framework` about which nothing is known yet.
    pub fn new(framework: Option<Framework>) -> MemoryError {
        MemoryError {
            framework,
            is_memory_error: true,
            requested: None,
            device_index: None,
            capacity: None,
            free: None,
            this_process: None,
            allocated: None,
            reserved_unallocated: None,
            reserved: None,
            private_pool: None,
            cap: None,
            other_processes: Vec::new(),
        }
    }
}
