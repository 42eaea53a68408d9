//! Texts of frameworks other than PyTorch: JAX and XLA, TensorFlow, Paddle, llama.cpp, `CuPy`, RAPIDS,
//! ONNX Runtime, bitsandbytes, Theano.

use oomscope_model::{Bytes, Framework, MemoryError};

use super::figures::{Recognised, number_in, patterns, size_in};

patterns! {
    TF = r"(?i)OOM when allocating tensor with shape|ran out of memory trying to allocate {S}|tensorflow.{0,200}(?:resource.?exhausted|CUDA_ERROR_OUT_OF_MEMORY)|Dst tensor is not initialized|failed to allocate .{0,60} from device: CUDA_ERROR_OUT_OF_MEMORY";
    TF_SHAPE = r"(?i)OOM when allocating tensor with shape\s*(\[[0-9, ]*\])(?: and type (\w+))?";
    TF_TRYING = r"(?i)ran out of memory trying to allocate ({S})";
    TF_FAILED = r"(?i)failed to allocate {S} \((\d{1,20}) bytes\) from device|failed to allocate ({S}) from device";
    TF_DEVICE = r"(?i)device:GPU:(\d{1,4})|\bGPU_(\d{1,4})_bfc";
    XLA = r"(?i)RESOURCE.EXHAUSTED:|XlaRuntimeError|JaxRuntimeError|Ran out of memory in memory space hbm|\bjax\w*\.\w*.{0,80}out of memory";
    XLA_REQUESTED = r"(?i)(?:while trying to allocate|Out of memory allocating|Failed to allocate request for|Attempting to (?:reserve|allocate))\s+({S})";
    XLA_USED = r"(?i)\bUsed ({S}) of ({S}) hbm";
    XLA_FREE = r"(?i)There (?:are|is) ({S}) free";
    XLA_DEVICE = r"(?i)\bGPU_(\d{1,4})_bfc|device ordinal (\d{1,4})|\bgpu:(\d{1,4})\b";
    PADDLE = r"(?i)ResourceExhaustedError|Out of memory error on GPU|Cannot allocate {S} (?:GPU )?memory|PaddlePaddle.{0,40}out of memory";
    PADDLE_REQUESTED = r"(?i)Cannot allocate\s+({S})";
    PADDLE_FREE = r"(?i)available memory is\s+(?:only\s+)?({S})";
    PADDLE_ALLOCATED = r"(?i)({S}) memory has been allocated";
    PADDLE_DEVICE = r"(?i)on GPU (\d{1,4})";
    GGML = r"(?i)\bggml_\w+|\bllama_\w+|cudaMalloc failed: out of memory|ggml-cuda|llama\.cpp|unable to allocate (?:CUDA|ROCm|Vulkan|Metal|SYCL)\d* buffer|ggml_vulkan";
    GGML_FAILED = r"(?i)out of memory|failed to allocate|unable to allocate|alloc\w* of size \d+ failed|OutOfMemory|Insufficient Memory";
    GGML_REQUESTED = r"(?i)allocating ({S}) on device|failed to allocate \w+ buffer of size (\d{1,20})|memory allocation of size (\d{1,20})|failed to allocate ({S})|unable to allocate ({S})";
    GGML_DEVICE = r"(?i)on device (\d{1,4})|current device: (\d{1,4})|(?:CUDA|ROCm|Vulkan)(\d{1,4}) buffer";
    CUPY = r"(?i)cupy\w*(?:\.\w+)*\.?OutOfMemoryError|Out of memory allocating ([0-9,]+) bytes|\bout of memory to allocate [0-9,]+ bytes";
    CUPY_REQUESTED = r"(?i)Out of memory (?:allocating|to allocate) ([0-9,]+ bytes)|failed to allocate ({S})";
    CUPY_ALLOCATED = r"(?i)allocated so far: ([0-9,]+ bytes)";
    CUPY_CAP = r"(?i)limit set to: ([0-9,]+ bytes)";
    RMM = r"(?i)\brmm\b.{0,160}(?:out_of_memory|out of memory|bad_alloc|pool size exceeded)|bad_alloc.{0,40}(?:\bRMM\b|out_of_memory)|bad_alloc.{0,60}\bCUDA error\b";
    RMM_REQUESTED = r"(?i)failed to allocate ({S})";
    BITSANDBYTES = r"(?i)out of memory at line \d+ in file";
    THEANO = r"(?i)\ballocating (\d{1,20}) bytes of device memory";
    THEANO_DRIVER = r"(?i)Driver report:? (\d{1,20}) bytes free and (\d{1,20}) bytes total";
    ONNX = r"(?i)Failed to allocate memory for requested buffer of size (\d{1,20})|Available memory of (\d{1,20}) is smaller than requested bytes of (\d{1,20})";
}

/// Recognises the texts of other frameworks.
pub(crate) fn recognise(message: &str) -> Option<Recognised> {
    // Paddle's class name contains XLA's and TensorFlow's words, so its sentences come first.
    if PADDLE_REQUESTED.is_match(message) && message.contains("memory on GPU")
        || message.contains("Out of memory error on GPU")
    {
        return Some(paddle(message));
    }
    if TF.is_match(message) {
        return Some(tensorflow(message));
    }
    if RMM.is_match(message) {
        let mut recognised = Recognised::failure("MemoryError", Framework::Rmm);
        recognised.memory.requested = size_in(&RMM_REQUESTED, message);
        return Some(recognised);
    }
    if let Some(found) = THEANO.captures(message) {
        let mut recognised = Recognised::failure("MemoryError", Framework::Theano);
        recognised.memory.requested = bytes_in(&found, 1);
        if let Some(report) = THEANO_DRIVER.captures(message) {
            recognised.memory.free = bytes_in(&report, 1);
            recognised.memory.capacity = bytes_in(&report, 2);
        }
        return Some(recognised);
    }
    if BITSANDBYTES.is_match(message) {
        return Some(Recognised::failure("out of memory", Framework::Bitsandbytes));
    }
    if CUPY.is_match(message) && !message.contains("RESOURCE_EXHAUSTED") {
        return Some(cupy(message));
    }
    if XLA.is_match(message)
        && (message.to_ascii_lowercase().contains("memory")
            || message.contains("RESOURCE_EXHAUSTED")
            || message.contains("hbm"))
    {
        return Some(xla(message));
    }
    if PADDLE.is_match(message) {
        return Some(paddle(message));
    }
    if let Some(found) = ONNX.captures(message) {
        let mut memory = MemoryError::new(Some(Framework::Onnxruntime));
        memory.requested = bytes_in(&found, 1).or_else(|| bytes_in(&found, 3));
        memory.free = bytes_in(&found, 2);
        return Some(Recognised { memory, word: "onnxruntime error" });
    }
    (GGML.is_match(message) && GGML_FAILED.is_match(message)).then(|| ggml(message))
}

fn bytes_in(found: &regex::Captures<'_>, group: usize) -> Option<Bytes> {
    found.get(group)?.as_str().parse().ok().map(Bytes)
}

fn first_number(regex: &std::sync::LazyLock<regex::Regex>, message: &str) -> Option<u32> {
    regex.captures(message)?.iter().skip(1).flatten().next()?.as_str().parse().ok()
}

fn first_size(regex: &std::sync::LazyLock<regex::Regex>, message: &str) -> Option<Bytes> {
    super::units::size(regex.captures(message)?.iter().skip(1).flatten().next()?.as_str())
}

fn tensorflow(message: &str) -> Recognised {
    // JAX allocates with the same BFC allocator.
    let is_jax = message.contains("xla/") || message.contains("jax");
    let library = if is_jax { Framework::Jax } else { Framework::Tf };
    let mut recognised = Recognised::failure("RESOURCE_EXHAUSTED", library);
    let memory = &mut recognised.memory;
    memory.device_index = first_number(&TF_DEVICE, message);
    memory.requested = size_in(&TF_TRYING, message).or_else(|| first_size(&TF_FAILED, message));
    memory.requested = memory.requested.or_else(|| {
        let found = TF_SHAPE.captures(message)?;
        tensor_bytes(found.get(1)?.as_str(), found.get(2)?.as_str())
    });
    recognised
}

/// `[500,512,4,4]` of `float` in bytes.
fn tensor_bytes(shape: &str, dtype: &str) -> Option<Bytes> {
    let width: u64 = match dtype {
        "float" | "float32" | "int32" | "uint32" | "qint32" => 4,
        "double" | "float64" | "int64" | "uint64" | "complex64" => 8,
        "half" | "float16" | "bfloat16" | "int16" | "uint16" => 2,
        "int8" | "uint8" | "bool" | "qint8" | "quint8" => 1,
        "complex128" => 16,
        _ => return None,
    };
    shape
        .trim_matches(['[', ']'])
        .split(',')
        .filter(|dimension| !dimension.trim().is_empty())
        .try_fold(width, |bytes, dimension| bytes.checked_mul(dimension.trim().parse().ok()?))
        .map(Bytes)
}

fn xla(message: &str) -> Recognised {
    let mut recognised = Recognised::failure("RESOURCE_EXHAUSTED", Framework::Jax);
    let memory = &mut recognised.memory;
    memory.device_index = first_number(&XLA_DEVICE, message);
    memory.requested = size_in(&XLA_REQUESTED, message);
    memory.free = size_in(&XLA_FREE, message);
    if let Some(found) = XLA_USED.captures(message) {
        let bytes =
            |group: usize| found.get(group).and_then(|text| super::units::size(text.as_str()));
        memory.requested = memory.requested.or_else(|| bytes(1));
        memory.capacity = bytes(2);
    }
    recognised
}

fn paddle(message: &str) -> Recognised {
    let mut recognised = Recognised::failure("ResourceExhaustedError", Framework::Paddle);
    let memory = &mut recognised.memory;
    memory.requested = size_in(&PADDLE_REQUESTED, message);
    memory.free = size_in(&PADDLE_FREE, message);
    memory.allocated = size_in(&PADDLE_ALLOCATED, message);
    memory.device_index = number_in(&PADDLE_DEVICE, message);
    recognised
}

fn ggml(message: &str) -> Recognised {
    let mut recognised = Recognised::failure("cudaMalloc failed", Framework::LlamaCpp);
    let memory = &mut recognised.memory;
    memory.requested = first_size(&GGML_REQUESTED, message);
    memory.device_index = first_number(&GGML_DEVICE, message);
    recognised
}

fn cupy(message: &str) -> Recognised {
    let mut recognised = Recognised::failure("OutOfMemoryError", Framework::Cupy);
    let memory = &mut recognised.memory;
    memory.requested = first_size(&CUPY_REQUESTED, message);
    memory.allocated = size_in(&CUPY_ALLOCATED, message);
    memory.cap = size_in(&CUPY_CAP, message);
    recognised
}

#[cfg(test)]
mod tests {
    use super::recognise;
    use oomscope_model::{Bytes, Framework};

    #[test]
    fn each_framework_is_read() {
        for (message, framework, requested, device) in [
            (
                "OOM when allocating tensor with shape[10,100] and type float on /job:localhost/replica:0/task:0/device:GPU:1 by allocator GPU_1_bfc",
                Framework::Tf,
                Some(4000),
                Some(1),
            ),
            (
                "Allocator (GPU_0_bfc) ran out of memory trying to allocate 1.50GiB (rounded to 1610612736)requested by op Conv2D",
                Framework::Tf,
                Some(3 << 29),
                Some(0),
            ),
            (
                "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1024 bytes.",
                Framework::Jax,
                Some(1024),
                None,
            ),
            (
                "XLA:TPU compile permanent error. RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 18.00G of 16.00G hbm.",
                Framework::Jax,
                Some(18 << 30),
                None,
            ),
            (
                "ResourceExhaustedError: Out of memory error on GPU 2. Cannot allocate 1.500000GB memory on GPU 2, available memory is only 1.000000MB.",
                Framework::Paddle,
                Some(3 << 29),
                Some(2),
            ),
            (
                "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 512.00 MiB on device 1: cudaMalloc failed: out of memory",
                Framework::LlamaCpp,
                Some(512 << 20),
                Some(1),
            ),
            (
                "ggml_gallocr_reserve_n: failed to allocate CUDA0 buffer of size 1048576",
                Framework::LlamaCpp,
                Some(1 << 20),
                Some(0),
            ),
            (
                "cupy.cuda.memory.OutOfMemoryError: Out of memory allocating 2,048 bytes (allocated so far: 1,024 bytes).",
                Framework::Cupy,
                Some(2048),
                None,
            ),
        ] {
            let memory = recognise(message).expect(message).memory;
            assert_eq!(memory.framework, Some(framework), "{message}");
            assert_eq!(memory.requested, requested.map(Bytes), "{message}");
            assert_eq!(memory.device_index, device, "{message}");
        }
    }

    #[test]
    fn a_shape_that_overflows_is_unknown() {
        let message =
            "OOM when allocating tensor with shape[99999999999,99999999999] and type float on x";
        assert_eq!(recognise(message).unwrap().memory.requested, None);
    }
}
