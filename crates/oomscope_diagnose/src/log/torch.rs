//! PyTorch's own out-of-memory texts of every era: `CUDACachingAllocator.cpp` (1.0 to 2.15, CUDA
//! and HIP), `CUDAMallocAsyncAllocator.cpp`, `XPUCachingAllocator.cpp`, `MPSAllocator.mm` and
//! the bare `CUDA error: out of memory`.

use oomscope_model::{Bytes, Framework, MemoryError, OtherProcess};

use super::figures::{Recognised, number_in, patterns, size_in};
use super::units;

patterns! {
    HEAD = r"(?i)\b(CUDA|HIP|XPU|MPS|NPU|MLU|MUSA|HPU|SDAA|GCU)(?: backend)?[\s:]+out of memory|\b(CUDA|HIP|XPU)\b.{0,40}\bout of memory|(?:^|[^\w])(?:torch\.(?:cuda\.)?)?OutOfMemoryError\b|(?:MPS) backend";
    TRIED = r"(?i)Tried to allocate\s+({S})";
    ONE_EXABYTE = r"(?i)Tried to allocate more than 1EB";
    DEVICE = r"(?i)\((?:GPU|XPU|NPU|MLU|MUSA|HPU|device)\s+(\d{1,4})\s*[;,)]|\b(?:GPU|XPU|NPU|MUSA)\s+(\d{1,4});\s+{S}\s+total|\b(?:GPU|XPU|NPU|MUSA)\s+(\d{1,4})\s+has a total|\bdevice\s+(\d{1,4})\s+would exceed|\bin replica \d+ on device\s+(\d{1,4})";
    TOTAL = r"(?i)({S})\s+total\s+capac\w*";
    TOTAL_OF = r"(?i)total\s+capac\w*\s+of\s+({S})";
    ALREADY = r"(?i)({S})\s+already\s+allocated";
    FREE = r"(?i)(?:of\s+which\s+)?({S})\s+(?:is\s+)?free\b";
    CACHED = r"(?i)({S})\s+cached\b";
    RESERVED = r"(?i)({S})\s+reserved\s+in\s+total";
    ALLOWED = r"(?i)({S})\s+allowed\b";
    THIS = r"(?i)this\s+process\s+has\s+({S})\s+memory\s+in\s+use";
    OTHER = r"(?i)\bProcess\s+(\d{1,12})\s+has\s+({S})\s+memory\s+in\s+use";
    ALLOCATED = r"(?i)({S})\s+is\s+allocated\s+by\s+PyTorch";
    PRIVATE = r"(?i)({S})\s+allocated\s+in\s+private\s+pools";
    UNALLOCATED = r"(?i)({S})\s+is\s+reserved\s+by\s+PyTorch\s+but\s+unallocated";
    ASYNC = r"(?i)Allocation on device\s*(\d{0,4}).{0,80}(?:would exceed allowed memory|out of memory)";
    ASYNC_ALLOCATED = r"(?i)Currently allocated\s*:\s*({S})";
    ASYNC_REQUESTED = r"(?i)\bRequested\s*:\s*({S})";
    ASYNC_LIMIT = r"(?i)Device limit\s*:\s*({S})";
    ASYNC_FREE = r"(?i)Free \(according to CUDA\)\s*:\s*({S})";
    ASYNC_CAP = r"(?i)memory fraction\)\s*:\s*({S})";
    MPS_ALLOCATED = r"(?i)MPS allocated:\s*({S})";
    MPS_MAX = r"(?i)max allowed:\s*({S})";
    RUNTIME = r"(?i)CUDA (?:runtime |driver )?error(?: \(?2\)?)?\s*[:(]+\s*(?:\w+ ){0,3}out of memory|cuda runtime error \(2\)|cudaErrorMemoryAllocation|CUDA_ERROR_OUT_OF_MEMORY|hipErrorOutOfMemory|CUDA failed with error out of memory|Error out of memory at line \d+|(?:HIP|CUDA) error: out of memory|UR_RESULT_ERROR_OUT_OF_(?:DEVICE|RESOURCES)";
    NVML_ASSERT = r"(?i)NVML_SUCCESS\s*==\s*r\w*\s+INTERNAL ASSERT FAILED";
}

/// Recognises PyTorch's texts.
pub(crate) fn recognise(message: &str) -> Option<Recognised> {
    if ASYNC.is_match(message) {
        return Some(malloc_async(message));
    }
    let has_figures =
        TRIED.is_match(message) || TOTAL_OF.is_match(message) || TOTAL.is_match(message);
    let is_runtime = RUNTIME.is_match(message) || NVML_ASSERT.is_match(message);
    if !(HEAD.is_match(message) || has_figures || is_runtime) {
        return None;
    }
    let mut recognised = Recognised::failure("OutOfMemoryError", framework(message));
    read_figures(message, &mut recognised.memory);
    Some(recognised)
}

fn framework(message: &str) -> Framework {
    let has = |word: &str| message.contains(word);
    if has("HIP out of memory")
        || has("PYTORCH_HIP_ALLOC_CONF")
        || has("HIP error")
        || has("hipError")
    {
        Framework::Hip
    } else if has("XPU out of memory") || has("UR_RESULT_ERROR") || has("(XPU ") {
        Framework::Xpu
    } else if has("MPS backend") || has("PYTORCH_MPS_HIGH_WATERMARK") || has("MPS allocated") {
        Framework::Mps
    } else {
        Framework::Torch
    }
}

fn read_figures(message: &str, memory: &mut MemoryError) {
    memory.requested = size_in(&TRIED, message);
    memory.device_index = DEVICE
        .captures(message)
        .and_then(|found| found.iter().skip(1).flatten().next()?.as_str().parse().ok());
    memory.capacity = size_in(&TOTAL_OF, message).or_else(|| size_in(&TOTAL, message));
    memory.free = size_in(&FREE, message);
    memory.allocated = size_in(&ALLOCATED, message)
        .or_else(|| size_in(&ALREADY, message))
        .or_else(|| size_in(&MPS_ALLOCATED, message));
    memory.private_pool = size_in(&PRIVATE, message);
    // 1.0 to 1.4 print `amount_cached - amount_allocated` as "cached".
    memory.reserved_unallocated =
        size_in(&UNALLOCATED, message).or_else(|| size_in(&CACHED, message));
    memory.reserved = size_in(&RESERVED, message);
    memory.cap = size_in(&ALLOWED, message).or_else(|| size_in(&MPS_MAX, message));
    memory.this_process = size_in(&THIS, message);
    memory.other_processes = other_processes(message);
    complete(memory);
    if !THIS.is_match(message) {
        recognise_itself(memory);
    }
}

fn other_processes(message: &str) -> Vec<OtherProcess> {
    OTHER
        .captures_iter(message)
        .filter_map(|found| {
            let pid = found.get(1)?.as_str().parse().ok()?;
            Some(OtherProcess { pid, bytes: units::size(found.get(2)?.as_str()) })
        })
        .collect()
}

/// `reserved` is `allocated + reserved_unallocated`: whichever is missing follows.
fn complete(memory: &mut MemoryError) {
    match (memory.allocated, memory.reserved_unallocated, memory.reserved) {
        (Some(allocated), Some(unallocated), None) => {
            memory.reserved = Some(allocated + unallocated);
        }
        (Some(allocated), None, Some(reserved)) => {
            memory.reserved_unallocated = reserved.checked_sub(allocated);
        }
        _ => {}
    }
}

/// Most that a process holds beside the allocator: context, NCCL, library workspaces.
const LARGEST_CONTEXT: Bytes = Bytes::from_gib(2);

/// Inside a container NVML reports pids of the host, so PyTorch does not find its own and lists
/// it as "Process N". It is the one whose size is what the allocator holds plus a context.
fn recognise_itself(memory: &mut MemoryError) {
    let Some(held) = memory.reserved.or(memory.allocated) else { return };
    // Figures are rounded to 10 MiB from 1 GiB on.
    let least = held.saturating_sub(Bytes::from_mib(20));
    let most = held + memory.private_pool.unwrap_or(Bytes::ZERO) + LARGEST_CONTEXT;
    let own = memory
        .other_processes
        .iter()
        .enumerate()
        .filter(|(_, process)| process.bytes.is_some_and(|bytes| bytes >= least && bytes <= most))
        .max_by_key(|(_, process)| process.bytes)
        .map(|(at, _)| at);
    if let Some(at) = own {
        memory.this_process = memory.other_processes.remove(at).bytes;
    }
}

fn malloc_async(message: &str) -> Recognised {
    let mut recognised = Recognised::failure("OutOfMemoryError", framework(message));
    let memory = &mut recognised.memory;
    memory.device_index = number_in(&ASYNC, message);
    memory.allocated = size_in(&ASYNC_ALLOCATED, message);
    memory.requested = size_in(&ASYNC_REQUESTED, message);
    memory.capacity = size_in(&ASYNC_LIMIT, message);
    memory.free = size_in(&ASYNC_FREE, message);
    memory.cap = size_in(&ASYNC_CAP, message);
    recognised
}

/// Whether the text asks for more than 2⁶⁰ bytes, PyTorch's way to print an overflowed size.
pub(crate) fn asks_for_an_exabyte(message: &str) -> bool {
    ONE_EXABYTE.is_match(message)
}

#[cfg(test)]
mod tests {
    use super::recognise;
    use oomscope_model::{Bytes, Framework, MemoryError};

    fn memory(message: &str) -> MemoryError {
        recognise(message).expect("it is an out-of-memory text").memory
    }

    #[allow(clippy::unnecessary_wraps)] // as the fields hold it
    fn mib(count: u64) -> Option<Bytes> {
        Some(Bytes::from_mib(count))
    }

    #[test]
    fn the_first_era_counts_the_cache_apart() {
        let error = memory(
            "CUDA out of memory. Tried to allocate 64.00 MiB (GPU 2; 4.00 GiB total capacity; 3.00 GiB already allocated; 32.00 MiB free; 16.00 MiB cached)",
        );
        assert_eq!(error.device_index, Some(2));
        assert_eq!(error.requested, mib(64));
        assert_eq!(error.reserved_unallocated, mib(16));
        assert_eq!(error.reserved, mib(3072 + 16));
    }

    #[test]
    fn the_second_era_states_what_is_reserved_in_total_and_a_cap() {
        let error = memory(
            "CUDA out of memory. Tried to allocate 64.00 MiB (GPU 0; 4.00 GiB total capacity; 1.00 GiB already allocated; 2.00 GiB free; 1.50 GiB allowed; 1.25 GiB reserved in total by PyTorch)",
        );
        assert_eq!(error.reserved, mib(1280));
        assert_eq!(error.reserved_unallocated, mib(256));
        assert_eq!(error.cap, mib(1536));
        assert_eq!(error.free, mib(2048));
    }

    #[test]
    fn another_process_stays_another_when_this_one_is_named() {
        let error = memory(
            "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacty of 8.00 GiB of which 5.00 MiB is free. Process 77 has 2.00 GiB memory in use. Including non-PyTorch memory, this process has 5.50 GiB memory in use. Of the allocated memory 5.00 GiB is allocated by PyTorch, and 100.00 MiB is reserved by PyTorch but unallocated.",
        );
        assert_eq!(error.this_process, mib(5632));
        assert_eq!(error.other_processes.len(), 1);
    }

    #[test]
    fn in_a_container_the_listed_process_may_be_this_one() {
        let error = memory(
            "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 8.00 GiB of which 5.00 MiB is free. Process 9 has 400.00 MiB memory in use. Process 77 has 7.50 GiB memory in use. Of the allocated memory 7.00 GiB is allocated by PyTorch, with 64.00 MiB allocated in private pools (e.g., CUDA Graphs), and 100.00 MiB is reserved by PyTorch but unallocated.",
        );
        assert_eq!(error.this_process, mib(7680));
        assert_eq!(error.private_pool, mib(64));
        assert_eq!(error.other_processes.iter().map(|p| p.pid).collect::<Vec<_>>(), [9]);
    }

    #[test]
    fn an_underflow_is_unknown() {
        let error = memory(
            "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 8.00 GiB of which 5.00 GiB is free. Including non-PyTorch memory, this process has 17179869184.00 GiB memory in use.",
        );
        assert_eq!(error.this_process, None);
        assert_eq!(error.free, mib(5120));
    }

    #[test]
    fn the_asynchronous_allocator_prints_a_table() {
        let error = memory(
            "Allocation on device 1 would exceed allowed memory. (out of memory) Currently allocated : 9.00 GiB Requested : 640.00 MiB Device limit : 12.00 GiB Free (according to CUDA): 7.00 MiB PyTorch limit (set by user-supplied memory fraction) : 17179869184.00 GiB",
        );
        assert_eq!(error.device_index, Some(1));
        assert_eq!(error.requested, mib(640));
        assert_eq!(error.capacity, mib(12288));
        assert_eq!(error.cap, None);
    }

    #[test]
    fn each_backend_is_named() {
        for (message, framework) in [
            ("HIP out of memory. Tried to allocate 1.00 GiB.", Framework::Hip),
            ("XPU out of memory. Tried to allocate 1.00 GiB.", Framework::Xpu),
            (
                "MPS backend out of memory (MPS allocated: 1.00 GB, other allocations: 1.00 MB, max allowed: 2.00 GB). Tried to allocate 1.00 GB on private pool.",
                Framework::Mps,
            ),
            ("CUDA error: out of memory", Framework::Torch),
            ("cuda runtime error (2) : out of memory at /x/THCStorage.cu:66", Framework::Torch),
        ] {
            assert_eq!(memory(message).framework, Some(framework), "{message}");
        }
    }

    #[test]
    fn an_exabyte_and_masked_figures_are_no_sizes() {
        let error = memory("CUDA out of memory. Tried to allocate more than 1EB memory.");
        assert_eq!(error.requested, None);
        let error =
            memory("CUDA out of memory. Tried to allocate xxx MiB (GPU 0; xxx GiB total capacity)");
        assert_eq!((error.requested, error.device_index), (None, Some(0)));
    }

    #[test]
    fn prose_is_not_an_error() {
        assert_eq!(recognise("set a smaller batch to avoid running out of it"), None);
    }
}
