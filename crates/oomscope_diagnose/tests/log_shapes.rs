//! The shapes in which logs arrive: ranks, wrapping, progress bars, chains, paste, noise.

#![allow(clippy::format_push_string, clippy::format_collect)] // the texts stay readable

use oomscope_diagnose::log::{Trend, primary_failure, read, trend};
use oomscope_model::SignalKind::{Decisive, Supports};
use oomscope_model::{Bytes, Cause, Framework, LogEvidence, Phase};
use proptest::prelude::*;

const OOM: &str = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 64.00 MiB. GPU 0 has a total capacity of 8.00 GiB of which 12.00 MiB is free. Including non-PyTorch memory, this process has 7.90 GiB memory in use. Of the allocated memory 7.50 GiB is allocated by PyTorch, and 100.00 MiB is reserved by PyTorch but unallocated.";

fn traceback(prefix: &str, lines: &[&str], last: &str) -> String {
    let mut text = format!("{prefix}Traceback (most recent call last):\n");
    for line in lines {
        text += &format!("{prefix}{line}\n");
    }
    text + &format!("{prefix}{last}\n")
}

fn kinds(evidence: &LogEvidence) -> Vec<oomscope_model::SignalKind> {
    evidence.signals.iter().map(|signal| signal.kind).collect()
}

#[test]
fn a_traceback_gives_its_line_frames_and_phase() {
    let text = String::from("epoch 1\n")
        + &traceback(
            "",
            &[
                "  File \"/w/train.py\", line 30, in <module>",
                "    main()",
                "  File \"/w/train.py\", line 20, in main",
                "    loss.backward()",
                "  File \"/v/lib/python3.11/site-packages/torch/_tensor.py\", line 600, in backward",
                "    torch.autograd.backward(",
            ],
            OOM,
        );
    let evidence = read("train.log", &text);
    let failure = &evidence.failures[0];
    assert_eq!(evidence.failures.len(), 1);
    assert_eq!((failure.line, failure.phase), (9, Phase::Backward));
    assert_eq!(failure.exception, "torch.OutOfMemoryError");
    assert_eq!(failure.traceback.len(), 3);
    assert_eq!(failure.traceback[1].line, 20);
    assert!(!failure.caught);
}

#[test]
fn each_rank_fails_once_and_teardown_follows() {
    let frames = ["  File \"/w/a.py\", line 3, in main", "    y = net(x)"];
    let text = traceback("[rank1]: ", &frames, OOM)
        + &traceback("[rank0]: ", &frames, OOM)
        + &traceback("[rank1]: ", &frames, OOM)
        + &traceback(
            "",
            &["  File \"/v/bin/torchrun\", line 8, in <module>", "    sys.exit(main())"],
            "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ",
        )
        + "============\ntrain.py FAILED\n------------\nRoot Cause (first observed failure):\n[0]:\n  time      : 2025-01-01_00:00:00\n  host      : node\n  rank      : 0 (local_rank: 0)\n  exitcode  : 1 (pid: 12)\n";
    let evidence = read("torchrun.log", &text);
    let ranks: Vec<_> = evidence.failures.iter().map(|f| (f.rank, f.follows_another)).collect();
    assert_eq!(ranks, [(Some(0), false), (Some(1), false), (None, true)]);
    assert!(kinds(&evidence).iter().any(|kind| matches!(kind, Supports(Cause::RanksOnOneDevice))));
}

#[test]
fn interleaved_ranks_keep_their_frames() {
    let text = format!(
        "[rank0]: Traceback (most recent call last):\n[rank1]: Traceback (most recent call last):\n[rank0]:   File \"a.py\", line 1, in f\n[rank1]:   File \"b.py\", line 2, in g\n[rank0]: {OOM}\n[rank1]: {OOM}\n"
    );
    let evidence = read("x", &text);
    let frames: Vec<_> =
        evidence.failures.iter().map(|f| (f.rank, f.line, f.traceback[0].file.as_str())).collect();
    assert_eq!(frames, [(Some(0), 5, "a.py"), (Some(1), 6, "b.py")]);
}

#[test]
fn a_progress_bar_does_not_hide_the_error_or_shift_its_line() {
    let text =
        format!("start\n  1%|  | 1/100\r  2%|  | 2/100\r  3%|  | 3/100{}\n{OOM}\n", " ".repeat(5));
    let evidence = read("x", &text);
    assert_eq!(evidence.failures[0].line, 3);
}

#[test]
fn windows_line_ends_and_colours_change_nothing() {
    let text = format!("\u{feff}a\r\n\x1b[31m{OOM}\x1b[0m\r\nb\r\n");
    let evidence = read("x", &text);
    assert_eq!(evidence.failures[0].line, 2);
    assert_eq!(evidence.failures[0].memory.as_ref().unwrap().free, Some(Bytes::from_mib(12)));
}

#[test]
fn a_hard_wrapped_quote_is_read_whole() {
    let words: Vec<&str> = OOM.split(' ').collect();
    for width in 3..20 {
        let text: String =
            words.chunks(width).map(|line| format!("> {}\n", line.join(" "))).collect();
        let evidence = read("issue.md", &text);
        let memory = primary_failure(&evidence.failures).expect("found").memory.clone().unwrap();
        assert_eq!(evidence.failures.len(), 1, "{text}");
        assert_eq!(memory.requested, Some(Bytes::from_mib(64)), "{text}");
        assert_eq!(memory.reserved_unallocated, Some(Bytes::from_mib(100)), "{text}");
    }
}

#[test]
fn a_json_string_is_opened() {
    let text = format!(
        "{{\"level\":\"error\",\"exc\":\"Traceback (most recent call last):\\n  File \\\"/w/a.py\\\", line 3, in main\\n    y = net(x)\\n{OOM}\"}}\n"
    );
    let evidence = read("x.json", &text);
    assert_eq!(evidence.failures.len(), 1);
    assert_eq!(evidence.failures[0].line, 1);
    assert_eq!(evidence.failures[0].traceback[0].function, "main");
}

#[test]
fn a_chain_of_exceptions_is_one_failure() {
    let frames = ["  File \"/w/a.py\", line 3, in main", "    y = net(x)"];
    let text = traceback("", &frames, OOM)
        + "\nThe above exception was the direct cause of the following exception:\n\n"
        + &traceback("", &frames, "RuntimeError: worker died");
    let evidence = read("x", &text);
    assert_eq!(evidence.failures.len(), 1);
    assert_eq!(evidence.failures[0].line, 4);
    assert!(evidence.failures[0].memory.is_some());
}

#[test]
fn an_error_that_a_worker_carried_home_is_one_failure() {
    let inner = ["  File \"/w/net.py\", line 7, in forward", "    return self.a(x)"];
    for (outer, opening) in [
        ("RuntimeError: Caught OutOfMemoryError in replica 1 on device 1.", "Original "),
        (
            "torch.multiprocessing.spawn.ProcessRaisedException: \n\n-- Process 1 terminated with the following error:",
            "",
        ),
    ] {
        let text = traceback("", &["  File \"/w/a.py\", line 3, in main", "    y = net(x)"], outer)
            + opening
            + &traceback("", &inner, OOM);
        let evidence = read("x", &text);
        assert_eq!(evidence.failures.len(), 1, "{text}");
        assert_eq!(evidence.failures[0].traceback[0].function, "forward");
        assert!(evidence.failures[0].memory.is_some());
    }
}

#[test]
fn an_error_that_the_program_survives_is_caught() {
    let frames = ["  File \"/w/a.py\", line 3, in main", "    y = net(x)"];
    let text = String::from("step 1 loss 2.0\n")
        + &traceback("", &frames, OOM)
        + "step 2 loss 1.9\nstep 3 loss 1.8\n";
    assert!(read("x", &text).failures[0].caught);
    let buffered = traceback("", &frames, OOM) + "step 1 loss 2.0\nstep 2 loss 1.9\n";
    assert!(!read("x", &buffered).failures[0].caught);
}

#[test]
fn a_batch_finder_s_remarks_are_caught_failures() {
    let text = "[tuner] batch 64 does not fit (Tried to allocate 2.00 GiB); trying 32\n[tuner] batch 32 does not fit (Tried to allocate 1.00 GiB); trying 16\nstep 0 loss 1.0\n";
    let evidence = read("x", text);
    let found: Vec<_> = evidence
        .failures
        .iter()
        .map(|f| (f.line, f.caught, f.memory.as_ref().unwrap().requested))
        .collect();
    assert_eq!(found, [(1, true, Some(Bytes::from_gib(2))), (2, true, Some(Bytes::from_gib(1)))]);
}

#[test]
fn an_index_assertion_explains_the_allocation_failure_after_it() {
    let text = "/x/Indexing.cu:1290: indexSelectLargeIndex: block: [1,0,0], thread: [3,0,0] Assertion `srcIndex < srcSelectDimSize` failed.\nRuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`\n";
    let evidence = read("x", text);
    assert!(kinds(&evidence).contains(&Decisive(Cause::NotOutOfMemory)));
}

#[test]
fn a_kill_after_a_device_error_is_its_aftermath() {
    let text = format!(
        "{OOM}\nW0101 torch/x.py:1] failed (exitcode: -9) local_rank: 1 (pid: 5) of binary: python\n"
    );
    let evidence = read("x", &text);
    assert!(!kinds(&evidence).contains(&Decisive(Cause::HostMemory)));
    assert!(evidence.failures[1].follows_another);
}

#[test]
fn a_kill_alone_is_the_host_s() {
    for text in [
        "step 5 loss 1.0\nKilled\n",
        "exits with return code = -9\n",
        "run.sh: line 3:  4711 Killed                  python train.py\n",
        "Error: DataLoader worker (pid 4711) is killed by signal: Bus error. It is possible that dataloader's workers are out of shared memory.\n",
        "    State: Terminated\n    Reason: OOMKilled\n    Exit Code: 137\n",
        "[12.3] Out of memory: Killed process 4711 (python) total-vm:1kB, anon-rss:1kB\n",
        "slurmstepd: error: Detected 1 oom_kill event in StepId=7.0. Some of the step tasks have been OOM Killed.\n",
    ] {
        let evidence = read("x", text);
        assert_eq!(evidence.failures.len(), 1, "{text}");
        assert!(kinds(&evidence).contains(&Decisive(Cause::HostMemory)), "{text}");
    }
}

#[test]
fn evaluation_and_growth_are_seen() {
    let frames = [
        "  File \"/w/a.py\", line 3, in validate",
        "    y = net(x)",
        "  File \"/w/net.py\", line 9, in forward",
        "    return self.a(x)",
    ];
    let text = String::from(
        "step 1 mem 1000MB\nstep 2 mem 2000MB\nstep 3 mem 3000MB\nstep 4 mem 4000MB\n",
    ) + &traceback("", &frames, OOM);
    let evidence = read("x", &text);
    assert_eq!(evidence.failures[0].phase, Phase::Evaluation);
    let kinds = kinds(&evidence);
    assert!(kinds.contains(&Supports(Cause::EvalRecordsGraph)));
    assert!(matches!(trend(&evidence), Some(Trend::Rises { .. })));
    assert_eq!(evidence.samples.len(), 4);
}

#[test]
fn a_failure_without_memory_is_still_a_failure() {
    let text =
        traceback("", &["  File \"/w/a.py\", line 3, in main", "    y = d['k']"], "KeyError: 'k'");
    let evidence = read("x", &text);
    assert_eq!(evidence.failures[0].exception, "KeyError");
    assert_eq!(evidence.failures[0].memory, None);
}

#[test]
fn prose_about_memory_is_no_failure() {
    for text in [
        "UserWarning: this may cause OOM on small devices\n",
        "Set a smaller batch size to avoid out of memory errors.\n",
        "model ready, 0.57 GiB\nstep 1 loss 2\n",
        "sampler killed 3 hypotheses\n",
        "exit code 0\n",
        "",
    ] {
        assert_eq!(read("x", text).failures, [], "{text}");
    }
}

#[test]
fn a_notebook_traceback_is_read() {
    let text = "---------------------------------------------------------------------------\nOutOfMemoryError                          Traceback (most recent call last)\nCell In[7], line 3\n      1 model = Net()\n----> 3 y = model(x)\n\nFile /v/lib/python3.11/site-packages/torch/nn/modules/module.py:1511, in Module._wrapped_call_impl(self, *args, **kwargs)\n   1509     return self\n-> 1511     return self._call_impl(*args)\n\nOutOfMemoryError: CUDA out of memory. Tried to allocate 64.00 MiB. GPU 0 has a total capacity of 8.00 GiB of which 12.00 MiB is free.\n";
    let evidence = read("nb.txt", text);
    assert_eq!(evidence.failures.len(), 1);
    assert_eq!(evidence.failures[0].traceback.len(), 2);
    assert_eq!(evidence.failures[0].line, 11);
}

#[test]
fn the_texts_of_other_libraries_name_their_framework() {
    for (text, framework, is_memory) in [
        (
            "CUDA error: out of memory\n  current device: 0, in function alloc at /l/ggml/src/ggml-cuda/ggml-cuda.cu:503\n",
            Framework::LlamaCpp,
            true,
        ),
        (
            "W external/xla/xla/tsl/framework/bfc_allocator.cc:497] Allocator (GPU_0_bfc) ran out of memory trying to allocate 4.00GiB (rounded to 4294967296)requested by op\n",
            Framework::Jax,
            true,
        ),
        (
            "errors_impl.ResourceExhaustedError: OOM when allocating tensor with shape[32,64] and type half on /device:GPU:0 by allocator GPU_0_bfc\n",
            Framework::Tf,
            true,
        ),
        (
            "RuntimeError: CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n",
            Framework::Torch,
            true,
        ),
        (
            "RuntimeError: GET was unable to find an engine to execute this computation\n",
            Framework::Torch,
            false,
        ),
        (
            "1 Workers (tasks / actors) killed due to memory pressure (OOM), 0 Workers crashed\n",
            Framework::Ray,
            true,
        ),
        (
            "Not enough memory to handle 2048 prefill tokens. You need to decrease `--max-batch-prefill-tokens`\n",
            Framework::Tgi,
            true,
        ),
        (
            "RuntimeError: Not enough memory. Please try to increase --mem-fraction-static.\n",
            Framework::Sglang,
            true,
        ),
        (
            "NoneType: out of resource: shared memory, Required: 9, Hardware limit: 8\n",
            Framework::Triton,
            false,
        ),
    ] {
        let evidence = read("x", text);
        let memory = evidence.failures[0].memory.clone().expect(text);
        assert_eq!(
            (memory.framework, memory.is_memory_error),
            (Some(framework), is_memory),
            "{text}"
        );
        assert_eq!(evidence.failures.len(), 1, "{text}");
    }
}

#[test]
fn advice_to_compile_with_assertions_is_no_assertion() {
    let text = "RuntimeError: CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n";
    assert_eq!(kinds(&read("x", text)), []);
}

#[test]
fn torchrun_names_the_rank_that_was_killed() {
    let text = "Root Cause (first observed failure):\n[0]:\n  rank      : 3 (local_rank: 3)\n  exitcode  : -9 (pid: 4711)\n  traceback : Signal 9 (SIGKILL) received by PID 4711\n";
    let evidence = read("x", text);
    assert_eq!(evidence.failures.len(), 1);
    assert_eq!(evidence.failures[0].rank, Some(3));
}

#[test]
fn one_huge_line_and_binary_noise_are_survived() {
    let line = "x".repeat(3_000_000) + OOM + &"y".repeat(3_000_000);
    let evidence = read("x", &line);
    assert_eq!(evidence.failures[0].memory.as_ref().unwrap().framework, Some(Framework::Torch));
    let noise: String =
        (0..200_000_u32).map(|i| char::from((i.wrapping_mul(2_654_435_761) >> 24) as u8)).collect();
    let _ = read("x", &noise);
}

#[test]
fn endless_errors_stay_bounded() {
    let text: String = (0..20_000)
        .map(|i| format!("OOM at step {i}: CUDA out of memory. Tried to allocate {i}.00 MiB\n"))
        .collect();
    let evidence = read("x", &text);
    assert!(evidence.failures.len() <= 512);
    assert!(evidence.signals.len() <= 64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_read_without_panic(text in "\\PC*") {
        let _ = read("x", &text);
    }

    #[test]
    fn any_pieces_of_real_words_are_read_without_panic(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just("Traceback (most recent call last):".to_owned()), Just("\n".to_owned()), Just("\r".to_owned()),
                Just("  File \"a.py\", line 99999999999, in f".to_owned()), Just("[rank99999999999]: ".to_owned()),
                Just(OOM.to_owned()), Just("\\n".to_owned()), Just("CUDA out of".to_owned()), Just("memory".to_owned()),
                Just("Tried to allocate 99999999999999999999 GiB".to_owned()), Just("é\u{1b}[0m".to_owned()),
                Just("step 5 mem 12MB".to_owned()), Just("Killed".to_owned()), Just(" ".to_owned()), "\\PC{0,6}",
            ],
            0..40,
        )
    ) {
        let _ = read("x", &pieces.concat());
    }
}
