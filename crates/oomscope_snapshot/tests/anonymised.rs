//! An anonymised snapshot tells the same story under other names.
#![allow(clippy::disallowed_methods, clippy::print_stdout, missing_docs)]

mod files;

use std::collections::HashSet;

use oomscope_model::{Frame, FrameId, FrameOrigin, StackId};
use oomscope_snapshot::fixture::{self, Node};
use oomscope_snapshot::{
    Anonymise, ReadProblem, Snapshot, Trace, anonymise, phase_of, read, summarise, write_native,
    write_pickle,
};

fn anonymised(snapshot: &Snapshot) -> Snapshot {
    anonymise(snapshot, &Anonymise { salt: Some("a test".to_owned()) })
}

fn snapshots() -> impl Iterator<Item = (String, Snapshot)> {
    files::snapshots().into_iter().filter_map(|path| {
        let bytes = std::fs::read(&path).expect("the file is readable");
        Some((path.display().to_string(), read(&bytes).ok()?))
    })
}

/// The stacks that something refers to.
fn stacks(snapshot: &Snapshot) -> HashSet<StackId> {
    let blocks = snapshot.segments.iter().flat_map(|segment| &segment.blocks);
    let events = snapshot.traces.iter().flat_map(Trace::iter);
    blocks.map(|block| block.stack).chain(events.map(|(_, event)| event.stack)).collect()
}

#[test]
fn whose_code_it_is_and_what_it_did_stay() {
    for (name, snapshot) in snapshots() {
        let anonymous = anonymised(&snapshot);
        for stack in stacks(&snapshot) {
            let of = |snapshot: &Snapshot| -> Vec<Frame> {
                snapshot.stacks.frames_of(stack).cloned().collect()
            };
            let (before, after) = (of(&snapshot), of(&anonymous));
            let origins = |frames: &[Frame]| -> Vec<(FrameOrigin, u32)> {
                frames.iter().map(|frame| (frame.origin(), frame.line)).collect()
            };
            assert_eq!(origins(&before), origins(&after), "{name}");
            let python = |frames: &[Frame]| {
                phase_of(frames.iter().filter(|frame| frame.origin() != FrameOrigin::Native))
            };
            assert_eq!(python(&before), python(&after), "{name}: {before:?} {after:?}");
        }
    }
}

#[test]
fn the_figures_of_the_analysis_stay() {
    for (name, snapshot) in snapshots() {
        let anonymous = anonymised(&snapshot);
        let told = |snapshot: &Snapshot| -> Vec<String> {
            let devices = summarise("a.pickle", snapshot, None);
            let figures = devices.iter().map(|device| {
                let mut held: Vec<_> = device.holders.iter().map(|it| it.bytes).collect();
                held.sort();
                let grown = device.growth.as_ref().map(|growth| growth.total);
                format!("{:?} {:?} {:?} {held:?} {grown:?}", device.state, device.end, device.roles)
            });
            figures.collect()
        };
        assert_eq!(told(&snapshot), told(&anonymous), "{name}");
    }
}

#[test]
fn no_folder_of_the_user_is_left() {
    for (name, snapshot) in snapshots() {
        let anonymous = anonymised(&snapshot);
        for (before, after) in snapshot.stacks.frames().iter().zip(anonymous.stacks.frames()) {
            let home = before.file.split('/').skip_while(|part| *part != "home").nth(1);
            if let Some(user) = home.filter(|user| user.len() > 3) {
                assert!(!after.file.contains(user), "{name}: {after:?}");
            }
            let is_notebook = before.file.contains("ipykernel") || before.file.starts_with('<');
            if before.origin() == FrameOrigin::User && before.file.contains('/') && !is_notebook {
                assert_ne!(before.file, after.file, "{name}");
            }
        }
    }
}

/// Names as programs have them, with a secret in each place.
const FRAMES: [(&str, &str); 42] = [
    ("/home/zsecret/acme/train.py", "train"),
    ("zsecret.py", "zsecretfn"),
    ("/srv/a.zsecret/zSecret.zsec", "Net.zsecret"),
    ("<eval_with_key>.0 from /home/zsecret/net.py:9 in forward", "forward"),
    ("<ipython-input-5-zsecret>", "<module>"),
    ("Cell In[5], line 3 zsecret", "<module>"),
    ("In[zsecret]", "<module>"),
    ("/tmp/ipykernel_12/zsecret.py", "zsecret"),
    ("/tmp/ipykernel_zsecret/12.py", "f"),
    ("<frozen zsecret>", "zsecret"),
    ("<zsecret>", "<zsecret>"),
    ("<string>", "<zsecret_lambda>"),
    ("<string>", "__init__zsecret"),
    ("/home/a/torch/zsecretproj/zsecret.py", "zsecretfn"),
    ("/home/a/torch/nn/zsecret.py", "zsecretfn"),
    ("/home/a/pytorch/zsecretproj/zsecret.py", "evaluate_zsecret"),
    ("/home/a/code/Lib/zsecretproj/zsecret.py", "zsecret_loss"),
    ("/home/a/python/code/Lib/zsecretproj/zsecret.py", "load_zsecret"),
    ("C:\\Users\\zsecret\\Python311\\Lib\\contextlib.py", "inner"),
    ("\\\\server\\zsecret\\train.py", "generate_zsecret"),
    ("file:///home/zsecret/a.py", "collate_zsecret"),
    ("/home/zsecret/lib/python3.11/site-packages/torch/nn/modules/module.py", "_call_impl"),
    ("/x/site-packages/zsecret/lib/python3.11/site-packages/torch/optim/adam.py", "step"),
    ("/home/a/zсzsecret/train.py", "зzsecret"),
    ("/home/a/aten/zsecret.cpp", "acme::zsecretfn(float*)"),
    ("/home/a/c10/zsecret.cu", "zsecret::forward"),
    ("/home/a/lib/python3.11/site-packages/zsecret_ext.so", "zsecret"),
    ("/srv/libcuzsecret.so", "zsecret"),
    ("libtorch_zsecret.so", "zsecret"),
    ("libtorch_cpu.so.zsecret", "main"),
    ("Python/zsecret.c", "PyInit_zsecret"),
    (":zsecret", "clone_zsecret"),
    ("??zsecret", "??zsecret"),
    ("??", "custom_zsecret_kernel(float*)"),
    ("??", "main_zsecret"),
    ("??", "cudazsecret"),
    ("??", "std::function<void (), acme::zSecret::run()::{lambda()#1}>::_M_invoke(std::any&)"),
    ("??", "std::vector<acme::zSecret>::push_back(acme::zSecret&&)"),
    ("??", "at::native::foo(acme::zSecret const&)"),
    ("??", "c10::wrap<at::Tensor (*)(acme::zsecret), at::Tensor>::call(zsecret)"),
    ("??", "pybind11::cpp_function::initialize<zsecret>(x)"),
    ("??", "_ZN4acme7zsecretEv"),
];

/// A file with the secret wherever a file has a text.
fn file_with_secrets() -> Vec<u8> {
    let event = |(at, (file, function)): (i64, &(&str, &str))| {
        Node::Dict(vec![
            ("action", "alloc".into()),
            ("addr", (at * 512).into()),
            ("size", 512.into()),
            ("stream", 0.into()),
            ("time_us", (1000 + at).into()),
            ("compile_context", "0/0 zsecret".into()),
            ("user_metadata", "zsecret".into()),
            ("zsecret_event", 1.into()),
            (
                "frames",
                Node::List(vec![Node::Dict(vec![
                    ("name", (*function).into()),
                    ("filename", (*file).into()),
                    ("line", at.into()),
                    ("fx_node_op", "zsecret_op".into()),
                    ("fx_node_name", "zsecret_linear_1".into()),
                    ("fx_node_target", "torch.zsecret".into()),
                    ("fx_original_trace", "File \"/home/zsecret.py\", line 3".into()),
                ])]),
            ),
        ])
    };
    let events = (1..).zip(&FRAMES).map(event).collect();
    let ranges =
        ["zsecret forward", "Optimizer.step#zSecretOpt.step", "Optimizer.zsecret", "zsecret"];
    let range = |name: &str| {
        Node::Dict(vec![
            ("stage", "START".into()),
            ("name", name.into()),
            ("device", 0.into()),
            ("time_us", 1001.into()),
        ])
    };
    let conf = "expandable_segments:zsecret,zsecret:1,pinned_use_background_threads:True";
    let top = Node::Dict(vec![
        ("segments", Node::List(Vec::new())),
        ("device_traces", Node::List(vec![Node::List(events)])),
        (
            "allocator_settings",
            Node::Dict(vec![("PYTORCH_CUDA_ALLOC_CONF", conf.into()), ("zsecret", 1.into())]),
        ),
        ("external_annotations", Node::List(ranges.into_iter().map(range).collect())),
        ("zsecret_key", Node::List(Vec::new())),
    ]);
    fixture::pickle(&top)
}

#[test]
fn no_name_of_the_program_is_left_anywhere() {
    let mut snapshot = read(&file_with_secrets()).expect("it is whole");
    assert!(!snapshot.unknown.is_empty());
    snapshot.problems.push(ReadProblem {
        at: "zsecret".to_owned(),
        what: "zsecret".to_owned(),
        hint: Some("zsecret".to_owned()),
    });
    let anonymous = anonymised(&snapshot);
    let (mut pickle, mut compact) = (Vec::new(), Vec::new());
    write_pickle(&anonymous, &mut pickle).expect("memory takes all");
    write_native(&anonymous, &mut compact).expect("memory takes all");
    for bytes in [pickle, compact] {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some(at) = text.find("secret") {
            let around: String = text[..at].chars().rev().take(60).collect();
            panic!("{}secret", around.chars().rev().collect::<String>());
        }
        assert!(!text.contains("acme"));
    }
    assert_eq!(anonymous.stacks.frames().len(), FRAMES.len());
    for (before, after) in snapshot.stacks.frames().iter().zip(anonymous.stacks.frames()) {
        assert_eq!((before.origin(), before.line), (after.origin(), after.line), "{after:?}");
        let phase = |frame| phase_of(std::iter::once(frame));
        assert_eq!(phase(before), phase(after), "{before:?} {after:?}");
    }
}

#[test]
fn graph_nodes_and_ranges_of_pytorch_stay() {
    let mut snapshot = read(&file_with_secrets()).expect("it is whole");
    snapshot.annotations.truncate(1);
    snapshot.annotations[0].name = "Optimizer.step#AdamW.step".to_owned();
    let anonymous = anonymised(&snapshot);
    assert_eq!(anonymous.annotations, snapshot.annotations);
    for id in 0..FRAMES.len() as u32 {
        let node = |snapshot: &Snapshot| snapshot.stacks.fx_node(FrameId(id)).cloned();
        assert!(node(&snapshot).is_some());
        let told = node(&anonymous).expect("the node is kept");
        assert!(told.name.is_some() && told.target.is_some() && told.original_trace.is_some());
    }
}
