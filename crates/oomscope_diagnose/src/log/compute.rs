//! CUDA libraries below PyTorch: cuBLAS, cuDNN, cuFFT, NCCL, Triton. Their words blame memory
//! more often than memory is to blame.

use oomscope_model::{Bytes, Framework};

use super::figures::{Recognised, patterns};

patterns! {
    NCCL = r"(?i)Failed to CUDA (?:calloc|malloc)|NCCL.{0,160}Cuda failure[^a-z]{0,8}out of memory|Cuda failure[^a-z]{0,8}out of memory";
    NCCL_SIZE = r"(?i)Failed to CUDA (?:calloc|malloc)\w* (?:async )?(?:\d+ / )?(\d{1,20}) bytes";
    NCCL_SHM = r"(?i)Error while creating shared memory segment|/dev/shm/nccl-";
    LIBRARY = r"(?i)\b(?:CUBLAS|CUDNN|CUSOLVER|CUSPARSE)_STATUS_ALLOC_FAILED\b|\bCUFFT_ALLOC_FAILED\b|Unable to find a valid cuDNN algorithm";
    NO_HANDLE = r"\b(?:CUBLAS|CUDNN|CUSOLVER|CUSPARSE)_STATUS_NOT_INITIALIZED\b";
    NO_ENGINE = r"(?i)unable to find an engine to execute|no valid execution plans";
    TRITON = r"(?i)out of resources?\s*:?\s*(shared memory|threads|registers|tensor memory)|OutOfResources\b";
}

/// Recognises the texts of CUDA libraries.
pub(crate) fn recognise(message: &str) -> Option<Recognised> {
    if TRITON.is_match(message) {
        return Some(Recognised::failure("OutOfResources", Framework::Triton).not_memory());
    }
    if NO_ENGINE.is_match(message) {
        return Some(Recognised::failure("RuntimeError", Framework::Torch).not_memory());
    }
    if NCCL_SHM.is_match(message) {
        return Some(Recognised::failure("NCCL error", Framework::Nccl));
    }
    if NCCL.is_match(message) {
        let mut recognised = Recognised::failure("NCCL error", Framework::Nccl);
        recognised.memory.requested = NCCL_SIZE
            .captures(message)
            .and_then(|found| found.get(1)?.as_str().parse().ok())
            .map(Bytes);
        return Some(recognised);
    }
    let framework = if message.contains("tensorflow/") { Framework::Tf } else { Framework::Torch };
    if LIBRARY.is_match(message) {
        return Some(Recognised::failure("RuntimeError", framework));
    }
    NO_HANDLE.is_match(message).then(|| Recognised::failure("RuntimeError", framework).not_memory())
}

#[cfg(test)]
mod tests {
    use super::recognise;
    use oomscope_model::{Bytes, Framework};

    #[test]
    fn nccl_names_the_size_that_it_could_not_get() {
        let found =
            recognise("include/alloc.h:185 NCCL WARN Failed to CUDA calloc 4194304 bytes").unwrap();
        assert_eq!(found.memory.framework, Some(Framework::Nccl));
        assert_eq!(found.memory.requested, Some(Bytes::from_mib(4)));
    }

    #[test]
    fn on_chip_memory_is_not_device_memory() {
        for message in [
            "out of resource: shared memory, Required: 131072, Hardware limit: 101376.",
            "triton.code_gen.OutOfResources: out of resource: shared memoryRequired: 1Hardware limit: 2",
        ] {
            assert!(!recognise(message).unwrap().memory.is_memory_error);
        }
    }
}
