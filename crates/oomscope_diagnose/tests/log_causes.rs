//! Texts in our own words, and the first cause that their shape decides.

#![allow(clippy::format_collect)] // the texts stay readable

use oomscope_diagnose::{diagnose, log};
use oomscope_model::{Cause, Diagnosis, Evidence, Verdict};

fn diagnosis(text: &str) -> Diagnosis {
    diagnose(&Evidence { logs: vec![log::read("run.log", text)], ..Evidence::default() })
}

const STEP: &str = "Traceback (most recent call last):\n  File \"/w/run.py\", line 80, in main\n    opt.step()\n  File \"/v/lib/python3.11/site-packages/torch/optim/adam.py\", line 140, in step\n    state['exp_avg'] = torch.zeros_like(p)\n";
const OOM: &str = "CUDA out of memory. Tried to allocate 512.00 MiB (GPU 2; 15.78 GiB total capacity; 14.90 GiB already allocated; 100.00 MiB free; 14.95 GiB reserved in total by PyTorch)";

#[test]
fn the_shape_of_a_text_decides() {
    let neighbours: Vec<String> =
        (0..7).map(|pid| format!("Process 40{pid} has 640.00 MiB memory in use. ")).collect();
    let neighbours = neighbours.concat();
    let rising: Vec<String> = (0..12)
        .map(|step| format!("Evaluation [{step}/900] time 0.2 max mem: {}\n", 30_000 + 41 * step))
        .collect();
    let rising = rising.concat();
    for (text, cause) in [
        (format!("RuntimeError: {OOM}\nwandb: waiting\n{STEP}"), Cause::OptimizerState),
        (format!("# cuda out of memory on a small card\n\n{STEP}Copy\n"), Cause::OptimizerState),
        (
            format!("2024-02-03T10:00:00 ERROR: {OOM}\nTraceback (most recent call last):\n  File \"/w/a.py\", line 3, in resume\n    opt.load_state_dict(saved)\n  File \"/v/lib/python3.11/site-packages/torch/optim/optimizer.py\", line 99, in load_state_dict\n    saved = deepcopy(saved)\n"),
            Cause::CheckpointLoad,
        ),
        (
            "  File \"/v/lib/python3.11/site-packages/torch/nn/modules/module.py\", line 900, in _apply\n    param_applied = fn(param)\n  File \"/v/lib/python3.11/site-packages/torch/nn/modules/module.py\", line 1300, in convert\n    return t.to(\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 44.00".to_owned(),
            Cause::ModelTooLarge,
        ),
        (
            "DistBackendError: NCCL error in: /x/ProcessGroupNCCL.cpp:9, unhandled cuda error\nLast error:\nCuda failure 2 'out of memory'\n".to_owned(),
            Cause::NonTorchMemory,
        ),
        (
            format!("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.00 GiB. GPU 0 has a total capacity of 23.60 GiB of which 20.00 MiB is free. {neighbours}Including non-PyTorch memory, this process has 19.00 GiB memory in use. Of the allocated memory 18.00 GiB is allocated by PyTorch, and 200.00 MiB is reserved by PyTorch but unallocated."),
            Cause::RanksOnOneDevice,
        ),
        (
            "RuntimeError: XPU out of memory. Tried to allocate 900.00 MiB (GPU 0; 12.00 GiB total capacity; 0 bytes already allocated; 0 bytes reserved in total by PyTorch)".to_owned(),
            Cause::DriverRefusal,
        ),
        (
            "RuntimeError: [enforce fail at CPUAllocator.cpp:60] posix_memalign(&data, align, n) == 0. 12 vs 0".to_owned(),
            Cause::HostMemory,
        ),
        (
            "ray.memory_monitor.RayOutOfMemoryError: More than 90% of the memory on node n4 is used (57.0 / 62.0 GB).".to_owned(),
            Cause::HostMemory,
        ),
        ("epoch 3\n已杀死\n".to_owned(), Cause::HostMemory),
        (format!("# CUDA out of memory during validation\n{rising}"), Cause::OutputsAccumulated),
        (
            "[2025-01-01 00:00:00 TP1] max_total_tokens=4096 is larger than the profiled value -777. Use the profiled value instead.".to_owned(),
            Cause::ServingBudget,
        ),
        (
            "[ONNXRuntimeError] bfc_arena.cc:300 Failed to allocate memory for requested buffer of size 9100000000000000000".to_owned(),
            Cause::NotOutOfMemory,
        ),
        (
            "alloc_tensor_range: failed to allocate CUDA0 buffer of size 64000000000\nllama_model_load: error loading model: unable to allocate CUDA0 buffer\n".to_owned(),
            Cause::ModelTooLarge,
        ),
        (
            "I call set_per_process_memory_fraction(0.25) first.\nRuntimeError: CUDA out of memory. Tried to allocate 64.00 MiB. GPU 0 has a total capacity of 40.00 GiB of which 29.00 GiB is free. Including non-PyTorch memory, this process has 10.00 GiB memory in use. Of the allocated memory 9.50 GiB is allocated by PyTorch, and 90.00 MiB is reserved by PyTorch but unallocated.".to_owned(),
            Cause::MemoryCap,
        ),
    ] {
        assert_eq!(diagnosis(&text).verdict, Verdict::Claimed(cause), "{text}");
    }
}

#[test]
fn what_a_text_leaves_open_stays_open() {
    for text in [
        "MemoryError: std::bad_alloc: out_of_memory: RMM failure at:/x/pool_memory_resource.hpp:9: Maximum pool size exceeded",
        "Error allocating 1048576 bytes of device memory (out of memory). Driver report 4096 bytes free and 8388608000 bytes total",
        "Error out of memory at line 12 in file /b/csrc/ops.cu",
        "Exception: out of memory to allocate 4096 bytes (total 8192 bytes)",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.00 GiB of which 1.00 GiB is free. Process 77 has 60.00 GiB",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 19.50 GiB. GPU 0 has a total capacity of 79.00 GiB of which 19.00 GiB is free. Process 77 has 60.00 GiB memory in use. Of the allocated memory 20.00 GiB is allocated by PyTorch, and 39.",
        "\"OOMKilled\": false,\n\"ExitCode\": 137,",
    ] {
        assert_eq!(diagnosis(text).verdict, Verdict::Undecided, "{text}");
    }
    assert_eq!(diagnosis("\"OOMKilled\": false,\n\"ExitCode\": 1,").verdict, Verdict::Healthy);
}

#[test]
fn a_library_without_snapshots_is_not_told_to_take_one() {
    for text in [
        "XPU out of memory. Tried to allocate 2.00 GiB (GPU 0; 12.00 GiB total capacity; 9.00 GiB already allocated; 9.50 GiB reserved in total by PyTorch)",
        "ggml_vulkan: Device memory allocation of size 4096 failed. ErrorOutOfDeviceMemory",
    ] {
        let diagnosis = diagnosis(text);
        let words = format!("{} {}", diagnosis.escalation.join(" "), diagnosis.report.fix);
        assert!(!words.contains("torch.cuda"), "{words}");
    }
}

#[test]
fn a_figure_broken_at_any_column_is_never_a_false_one() {
    let whole = diagnosis_figures(OOM);
    for width in 40..OOM.len() {
        let letters: Vec<char> = OOM.chars().collect();
        let text: Vec<String> = letters.chunks(width).map(|line| line.iter().collect()).collect();
        for (found, stated) in diagnosis_figures(&text.join("\n")).iter().zip(&whole) {
            assert!(found.is_none() || found == stated, "{width}: {found:?} {stated:?}");
        }
    }
}

fn diagnosis_figures(text: &str) -> [Option<oomscope_model::Bytes>; 5] {
    let evidence = log::read("x", text);
    let memory = evidence.failures.iter().find_map(|failure| failure.memory.clone());
    memory.map_or([None; 5], |memory| {
        [memory.requested, memory.capacity, memory.free, memory.allocated, memory.reserved]
    })
}
