//! Four diagnoses as the heart would make them, for the tests of every renderer.

use oomscope_model::{
    Assessment, Bytes, Cause, Confidence, CulpritStep, Diagnosis, EventIndex, Fact, Figure,
    FourParts, Framework, GradMode, Holder, MemoryError, OtherProcess, Patch, Phase, Place,
    Problem, Role, SavingOption, StateStep, Verdict, VerifyStep,
};

fn place(file: &str, line: u32, function: &str) -> Place {
    Place { file: file.into(), line, function: Some(function.into()) }
}

fn fact(text: &str, bytes: Option<Bytes>, place: Option<Place>) -> Fact {
    Fact { text: text.into(), bytes, place }
}

fn assessment(cause: Cause, percent: u8) -> Assessment {
    Assessment {
        cause,
        confidence: Confidence::percent(percent),
        bytes: None,
        evidence_for: vec![],
        evidence_against: vec![],
        places: vec![],
        settle: None,
    }
}

/// `first`, then the rest of the catalogue: the `ruled_out` with a reason, the others without.
fn catalogue(first: Vec<Assessment>, ruled_out: &[Cause]) -> Vec<Assessment> {
    let named: Vec<Cause> = first.iter().map(|one| one.cause).collect();
    let rest = Cause::ALL.iter().filter(|cause| !named.contains(cause)).map(|cause| {
        let mut one = assessment(*cause, 0);
        if ruled_out.contains(cause) {
            one.evidence_against = vec![fact("what was read contradicts it", None, None)];
        }
        one
    });
    first.into_iter().chain(rest).collect()
}

fn empty(verdict: Verdict, headline: &str) -> Diagnosis {
    Diagnosis {
        verdict,
        failure_seen: verdict != Verdict::Healthy,
        headline: headline.into(),
        inputs: vec![],
        state: StateStep::default(),
        culprit: CulpritStep::default(),
        causes: vec![],
        cold_findings: vec![],
        fixes: vec![],
        options: vec![],
        verify: vec![],
        report: FourParts::default(),
        escalation: vec![],
        excerpts: vec![],
        problems: vec![],
    }
}

fn holder(place: Option<Place>, call: &str, role: Role, phase: Phase, bytes: Bytes) -> Holder {
    Holder {
        place,
        library_call: Some(call.into()),
        role,
        phase,
        grad_mode: GradMode::Unknown,
        bytes,
        blocks: 1,
        oldest: None,
        youngest: None,
        callers: vec![],
    }
}

const TRAIN: &str = "/workspace/experiments/2024-11/segmentation/src/train.py";
const MODEL: &str = "/workspace/experiments/2024-11/segmentation/src/models/unet.py";

/// A running loss that keeps the graph of every step: log, snapshot and source.
pub(crate) fn retained_graph() -> Diagnosis {
    let train = |line, function| place(TRAIN, line, function);
    let model = |line, function| place(MODEL, line, function);
    let mut error = MemoryError::new(Some(Framework::Torch));
    error.requested = Some(Bytes::from_mib(512));
    error.device_index = Some(0);
    error.capacity = Some(Bytes(85_056_815_104));
    error.free = Some(Bytes::from_mib(187));
    error.this_process = Some(Bytes(84_858_000_000));
    error.allocated = Some(Bytes(81_950_000_000));
    error.reserved_unallocated = Some(Bytes::from_mib(1290));
    error.reserved = Some(Bytes(83_302_000_000));
    let live = Bytes(81_950_000_000);
    let figure = |name, bytes, from: &str| Figure { name, bytes, from: from.into() };
    let holders = vec![
        Holder {
            blocks: 3_852,
            oldest: Some(EventIndex(8_120)),
            youngest: Some(EventIndex(48_207)),
            callers: vec![model(96, "forward"), train(88, "validate")],
            ..holder(
                Some(model(41, "forward")),
                "F.conv2d",
                Role::Activations,
                Phase::Evaluation,
                Bytes(52_400_000_000),
            )
        },
        Holder {
            blocks: 1_926,
            oldest: Some(EventIndex(8_123)),
            youngest: Some(EventIndex(48_209)),
            callers: vec![model(97, "forward"), train(88, "validate")],
            ..holder(
                Some(model(43, "forward")),
                "F.group_norm",
                Role::Activations,
                Phase::Evaluation,
                Bytes(24_100_000_000),
            )
        },
        Holder {
            blocks: 612,
            ..holder(
                Some(train(31, "main")),
                "Module.to",
                Role::Parameters,
                Phase::Loading,
                Bytes(2_480_000_000),
            )
        },
        Holder {
            blocks: 1_224,
            oldest: Some(EventIndex(4_001)),
            youngest: Some(EventIndex(5_224)),
            ..holder(
                Some(train(74, "train_epoch")),
                "Optimizer.step",
                Role::OptimizerState,
                Phase::OptimizerStep,
                Bytes(2_200_000_000),
            )
        },
        Holder {
            blocks: 4,
            ..holder(None, "cublasCreate", Role::Workspace, Phase::Unknown, Bytes(700_000_000))
        },
        Holder {
            blocks: 2,
            ..holder(
                Some(train(86, "validate")),
                "Tensor.to",
                Role::Inputs,
                Phase::Input,
                Bytes(70_000_000),
            )
        },
    ];
    let mut graph = assessment(Cause::GraphRetained, 93);
    graph.bytes = Some(Bytes(76_500_000_000));
    graph.places = vec![train(91, "validate")];
    graph.evidence_for = vec![
        fact(
            "`total += loss` adds a loss that still carries its graph, 214 times, and nothing runs backward",
            None,
            Some(train(91, "validate")),
        ),
        fact(
            "live bytes rise by 341.00 MiB a batch, in 214 of 214 batches",
            Some(Bytes(76_500_000_000)),
            None,
        ),
        fact(
            "98% of what the last forward pass made is still live",
            Some(Bytes(350_000_000)),
            Some(model(41, "forward")),
        ),
    ];
    graph.evidence_against = vec![fact(
        "the survivors at `train.py:86` are inputs, not graph nodes",
        Some(Bytes(70_000_000)),
        Some(train(86, "validate")),
    )];
    let mut eval = assessment(Cause::EvalRecordsGraph, 38);
    eval.evidence_for =
        vec![fact("no `no_grad` on any path to `validate`", None, Some(train(82, "validate")))];
    eval.evidence_against =
        vec![fact("one batch's graph is 341.00 MiB and would fit by itself", None, None)];
    eval.settle = Some("a run with `torch.no_grad()` around the loop".into());
    Diagnosis {
        inputs: vec!["run.log".into(), "snapshot.pickle (48377 events)".into(), "src (14 files)".into()],
        state: StateStep {
            moment: "the failed request, event 48211 of 48377; the program then went on and freed 72.10 GiB".into(),
            figures: vec![
                figure("requested", Bytes::from_mib(512), "snapshot, event 48211"),
                figure("capacity", Bytes(85_056_815_104), "log line 212"),
                figure("free", Bytes::from_mib(187), "snapshot, event 48211"),
                figure("allocated", live, "replayed to event 48211"),
                figure("reserved", Bytes(83_302_000_000), "replayed to event 48211"),
                figure("largest free block", Bytes::from_mib(318), "replayed to event 48211"),
            ],
            memory_error: Some(error),
            notes: vec!["rank 3 died first; ranks 0, 1 and 2 only lost their connection to it".into()],
        },
        culprit: CulpritStep {
            asked: Some(model(41, "forward")),
            library_call: Some("F.conv2d".into()),
            phase: Some(Phase::Evaluation),
            roles: vec![
                (Role::Activations, Bytes(76_500_000_000)),
                (Role::Parameters, Bytes(2_480_000_000)),
                (Role::OptimizerState, Bytes(2_200_000_000)),
                (Role::Workspace, Bytes(700_000_000)),
                (Role::Inputs, Bytes(70_000_000)),
            ],
            holders,
            live: Some(live),
            notes: vec!["some live blocks have no Python frame (made by the backward thread or C++)".into()],
        },
        causes: catalogue(
            vec![graph, eval],
            &[Cause::GradientsNotCleared, Cause::ActivationsTooLarge, Cause::Fragmentation, Cause::OtherProcess, Cause::ModelTooLarge, Cause::OptimizerState],
        ),
        cold_findings: vec![fact(
            "`history.append(metrics)` keeps tensors, but only 14 scalars of them",
            Some(Bytes::from_mib(1)),
            Some(train(76, "train_epoch")),
        )],
        fixes: vec![Patch {
            cause: Cause::GraphRetained,
            title: "Add the loss as a number".into(),
            diff: Some(DIFF.into()),
            change: None,
            words: "`.item()` ends the graph: each batch's activations are freed when `loss` is replaced. Apply with `git apply`.".into(),
        }],
        options: vec![
            SavingOption {
                title: "Run validation under `torch.inference_mode()`".into(),
                saves: Some(Bytes(76_500_000_000)),
                why: "nothing in `validate` needs a graph, so none of its activations outlives its layer".into(),
                cost: "nothing".into(),
            },
            SavingOption {
                title: "Train in bfloat16".into(),
                saves: None,
                why: "depends on which layers autocast reaches".into(),
                cost: "a check that the loss still falls".into(),
            },
        ],
        verify: vec![VerifyStep {
            run: "python src/train.py --epochs 1".into(),
            expect: "allocated memory is flat over validation, at about 5.08 GiB; peak below 9 GiB".into(),
        }],
        report: FourParts {
            root_cause: "`validate` sums the loss tensors themselves at `train.py:91`. Each carries its batch's graph and with it 341.00 MiB of activations; after 214 batches the device is full.".into(),
            fix: "Write `total += loss.item()`, and put the loop under `torch.inference_mode()`.".into(),
            verification: "Run one validation epoch: `memory_allocated` must not rise between batches.".into(),
            prevention: "Run `oomscope diagnose src` in continuous integration: rule OOM101 finds this.".into(),
        },
        excerpts: vec![(
            train(91, "validate"),
            vec![
                (88, "        for images, masks in loader:".into()),
                (89, "            logits = model(images.to(device, non_blocking=True))".into()),
                (90, "            loss = criterion(logits, masks.to(device))".into()),
                (91, "            total += loss".into()),
                (92, "            seen += images.shape[0]".into()),
            ],
        )],
        ..empty(
            Verdict::Claimed(Cause::GraphRetained),
            "`total` keeps the autograd graph of every validation batch, 71.25 GiB after 214 of them",
        )
    }
}

const DIFF: &str = "\
--- a/src/train.py
+++ b/src/train.py
@@ -88,5 +88,5 @@ def validate(model, loader, criterion, device):
         for images, masks in loader:
             logits = model(images.to(device, non_blocking=True))
             loss = criterion(logits, masks.to(device))
-            total += loss
+            total += loss.item()
             seen += images.shape[0]
";

/// Plenty reserved and free, nothing contiguous: log and snapshot, no source.
pub(crate) fn fragmentation() -> Diagnosis {
    let mut cause = assessment(Cause::Fragmentation, 71);
    cause.places = vec![place("/workspace/serve/batching.py", 118, "collate")];
    cause.bytes = Some(Bytes(6_400_000_000));
    cause.evidence_for = vec![
        fact(
            "5.96 GiB are reserved and free, the largest piece is 420.00 MiB",
            Some(Bytes(6_400_000_000)),
            None,
        ),
        fact(
            "the request would fit four times over if they were in one piece",
            Some(Bytes::from_mib(1420)),
            None,
        ),
    ];
    cause.settle =
        Some("the same run with `PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True`".into());
    let figure = |name, bytes| Figure { name, bytes, from: "snapshot, event 911".into() };
    Diagnosis {
        inputs: vec!["oom.pickle (1024 events)".into()],
        state: StateStep {
            moment: "the failed request, event 911 of 1024".into(),
            figures: vec![
                figure("requested", Bytes::from_mib(1420)),
                figure("free", Bytes(812 << 10)),
                figure("allocated", Bytes(17_100_000_000)),
                figure("reserved", Bytes(23_500_000_000)),
                figure("largest free block", Bytes::from_mib(420)),
            ],
            ..StateStep::default()
        },
        culprit: CulpritStep {
            live: Some(Bytes(17_100_000_000)),
            holders: vec![holder(None, "at::empty", Role::Unknown, Phase::Unknown, Bytes(17_100_000_000))],
            notes: vec!["no stacks were recorded: bytes cannot be tied to lines".into()],
            ..CulpritStep::default()
        },
        causes: catalogue(vec![cause], &[Cause::OtherProcess, Cause::StreamHeld]),
        fixes: vec![Patch {
            cause: Cause::Fragmentation,
            title: "Let segments grow".into(),
            diff: None,
            change: None,
            words: "Set before the first CUDA call:\n\n    export PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True".into(),
        }],
        verify: vec![VerifyStep {
            run: "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True python train.py".into(),
            expect: "reserved stays within a few percent of allocated".into(),
        }],
        report: FourParts {
            root_cause: "The allocator holds enough free memory, in pieces that are too small.".into(),
            fix: "Turn on expandable segments.".into(),
            verification: "Compare reserved and allocated in a new snapshot.".into(),
            prevention: "Pad batches to a few fixed shapes.".into(),
        },
        escalation: vec![
            "record stacks: `torch.cuda.memory._record_memory_history(stacks=\"python\")`".into(),
            "post the snapshot with this report to the PyTorch forum".into(),
        ],
        ..empty(
            Verdict::Claimed(Cause::Fragmentation),
            "5.96 GiB are reserved and free, but no piece is as large as the 1.39 GiB that were asked for",
        )
    }
}

/// One line of text that does not decide.
pub(crate) fn undecided() -> Diagnosis {
    let mut error = MemoryError::new(Some(Framework::Torch));
    error.requested = Some(Bytes::from_mib(20));
    error.device_index = Some(0);
    error.capacity = Some(Bytes(25_400_000_000));
    error.other_processes = vec![
        OtherProcess { pid: 4_711, bytes: Some(Bytes::from_gib(9)) },
        OtherProcess { pid: 31_337, bytes: None },
    ];
    let mut other = assessment(Cause::OtherProcess, 35);
    other.bytes = Some(Bytes::from_gib(9));
    other.evidence_for =
        vec![fact("process 4711 has 9.00 GiB of the device", Some(Bytes::from_gib(9)), None)];
    other.settle = Some("`nvidia-smi` while the program runs".into());
    let mut activations = assessment(Cause::ActivationsTooLarge, 20);
    activations.evidence_for = vec![fact("it failed in the first forward pass", None, None)];
    Diagnosis {
        inputs: vec!["error.txt".into()],
        state: StateStep {
            moment: "as the error text states it".into(),
            figures: vec![
                Figure { name: "requested", bytes: Bytes::from_mib(20), from: "error.txt, line 1".into() },
                Figure { name: "capacity", bytes: Bytes(25_400_000_000), from: "error.txt, line 1".into() },
            ],
            memory_error: Some(error),
            notes: vec![],
        },
        causes: catalogue(vec![other, activations, assessment(Cause::Unknown, 10)], &[Cause::Fragmentation]),
        report: FourParts {
            root_cause: "Not known: the text says that memory ran out, not who holds it.".into(),
            fix: "None before the cause is known.".into(),
            verification: "Diagnose again with the snapshot below.".into(),
            prevention: "Keep a snapshot of every failure: `oomscope run -- python train.py`.".into(),
        },
        escalation: vec![
            "run again under `oomscope run -- python train.py`, which records a snapshot when memory runs out".into(),
            "diagnose log, snapshot and source together: `oomscope diagnose run.log snapshot.pickle src`".into(),
            "ask whoever runs process 4711 how long it will stay".into(),
        ],
        problems: vec![Problem {
            input: "error.txt".into(),
            at: Some("line 1".into()),
            what: "the text ends inside the message".into(),
            hint: Some("give the whole log, with the traceback above the error".into()),
        }],
        ..empty(Verdict::Undecided, "20.00 MiB were refused, and what was read does not say who holds the memory")
    }
}

/// Nothing failed.
pub(crate) fn healthy() -> Diagnosis {
    Diagnosis {
        inputs: vec!["train.log".into(), "snapshot.pickle (9120 events)".into()],
        state: StateStep {
            moment: "the peak, event 8044 of 9120".into(),
            figures: vec![
                Figure {
                    name: "peak allocated",
                    bytes: Bytes(3_660_000_000),
                    from: "snapshot, event 8044".into(),
                },
                Figure {
                    name: "left after each step",
                    bytes: Bytes::ZERO,
                    from: "61 of 61 steps".into(),
                },
            ],
            ..StateStep::default()
        },
        cold_findings: vec![fact(
            "`losses.append(loss.detach())` keeps one number a step on the device",
            Some(Bytes(512)),
            Some(place("train.py", 40, "main")),
        )],
        report: FourParts {
            prevention: "`oomscope check --peak 4GiB` fails the build when the peak rises.".into(),
            ..FourParts::default()
        },
        ..empty(
            Verdict::Healthy,
            "no failure, and memory is flat over 61 steps, 3.41 GiB at the peak",
        )
    }
}

/// `diagnosis` with everything that comes from outside replaced by something hostile.
pub(crate) fn hostile() -> Diagnosis {
    let evil = "\x1b[2J\x1b]0;owned\x07\u{9b}31m\u{202e}gnp.\u{200b}```\r\n| <img src=x> \u{7f}";
    let long = "x".repeat(500);
    let mut diagnosis = retained_graph();
    diagnosis.headline += evil;
    diagnosis.inputs.push(evil.into());
    diagnosis.state.moment += evil;
    diagnosis.state.notes.push(long.clone());
    for holder in &mut diagnosis.culprit.holders {
        holder.library_call = Some(evil.into());
        holder.bytes = Bytes(u64::MAX);
        if let Some(place) = &mut holder.place {
            place.file += evil;
        }
    }
    diagnosis.culprit.live = Some(Bytes(1));
    diagnosis.culprit.library_call = Some(long.clone());
    diagnosis.causes[0].evidence_for.push(fact(&long, None, Some(place(&long, u32::MAX, evil))));
    diagnosis.fixes[0].diff = Some(format!("--- a\n+++ b\n+{evil}\n"));
    diagnosis.fixes[0].words = format!("{evil}{evil}");
    diagnosis.options[0].why = "日本語".repeat(60);
    diagnosis.verify[0].run = evil.into();
    diagnosis.excerpts[0].1.push((u32::MAX, format!("\t{evil}{long}")));
    diagnosis.excerpts[0].1.push((91, format!("{}{long}", " ".repeat(100))));
    diagnosis.problems.push(Problem {
        input: evil.into(),
        at: Some(evil.into()),
        what: long,
        hint: Some(evil.into()),
    });
    diagnosis
}

/// Every diagnosis by name.
pub(crate) fn all() -> [(&'static str, Diagnosis); 5] {
    [
        ("retained_graph", retained_graph()),
        ("fragmentation", fragmentation()),
        ("undecided", undecided()),
        ("healthy", healthy()),
        ("hostile", hostile()),
    ]
}
