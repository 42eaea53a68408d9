//! Each distinct stack, looked at once: the user's line, the library call, the phase, the role.

use std::cell::OnceCell;

use crate::Stacks;
use oomscope_model::{Frame, FrameOrigin, GradMode, Phase, Place, Role, StackId};
use rustc_hash::FxHashMap;

use crate::analysis::phase::{Told, told};

/// What one stack says.
#[derive(Clone, Debug)]
pub(crate) struct StackSummary {
    pub(crate) place: Option<Place>,
    pub(crate) callers: Vec<Place>,
    pub(crate) library_call: Option<String>,
    pub(crate) phase: Phase,
    /// What the innermost telling frame says, whatever runs it: forward, inside an evaluation.
    pub(crate) inner: Phase,
    pub(crate) role: Role,
    /// Whether the optimizer was setting up its state.
    pub(crate) sets_up_state: bool,
    /// The user's frames, outermost first, as (function, line): what loops are found in.
    pub(crate) path: Vec<(FunctionId, u32)>,
    /// The outermost forward that the user wrote, and its line.
    pub(crate) forward: Option<(FunctionId, u32)>,
    /// Off when a grad-mode decorator is on the stack.
    pub(crate) grad_mode: GradMode,
}

/// The three phases that a step cycles through, as far as stacks tell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PhaseKind {
    Forward,
    Backward,
    Optimizer,
    Other,
}

/// A function of the user's, interned: file and name.
pub(crate) type FunctionId = u32;

impl StackSummary {
    pub(crate) fn kind(&self) -> PhaseKind {
        match self.phase {
            Phase::Backward => PhaseKind::Backward,
            Phase::OptimizerStep => PhaseKind::Optimizer,
            Phase::Forward | Phase::Loss | Phase::Evaluation | Phase::Generation => {
                PhaseKind::Forward
            }
            Phase::Loading
            | Phase::Collective
            | Phase::Input
            | Phase::ServerStart
            | Phase::Unknown => PhaseKind::Other,
        }
    }
}

/// Summaries of a snapshot's stacks, made on first use.
pub(crate) struct StackTable<'a> {
    stacks: &'a Stacks,
    summaries: Vec<OnceCell<StackSummary>>,
    none: StackSummary,
    functions: std::cell::RefCell<FxHashMap<(String, String), FunctionId>>,
}

impl<'a> StackTable<'a> {
    pub(crate) fn new(stacks: &'a Stacks) -> StackTable<'a> {
        StackTable {
            stacks,
            summaries: (0..stacks.len()).map(|_| OnceCell::new()).collect(),
            none: StackSummary {
                place: None,
                callers: Vec::new(),
                library_call: None,
                phase: Phase::Unknown,
                inner: Phase::Unknown,
                role: Role::Unknown,
                sets_up_state: false,
                path: Vec::new(),
                forward: None,
                grad_mode: GradMode::Unknown,
            },
            functions: std::cell::RefCell::default(),
        }
    }

    pub(crate) fn summary(&self, stack: StackId) -> &StackSummary {
        match self.summaries.get(stack.0 as usize) {
            Some(cell) => cell.get_or_init(|| self.summarise(stack)),
            None => &self.none,
        }
    }

    fn summarise(&self, stack: StackId) -> StackSummary {
        let frames: Vec<&Frame> = self.stacks.frames_of(stack).collect();
        let user: Vec<&Frame> =
            frames.iter().copied().filter(|frame| frame.origin() == FrameOrigin::User).collect();
        let Told { phase, inner } = phase(&frames);
        let forward = user.iter().rev().find(|frame| frame.function == "forward");
        StackSummary {
            place: user.first().map(|frame| frame.place()),
            callers: user.iter().skip(1).map(|frame| frame.place()).collect(),
            library_call: library_call(&frames),
            phase,
            inner,
            role: role(&frames, phase),
            sets_up_state: frames.iter().any(|frame| {
                matches!(frame.function.as_str(), "_init_group" | "init_state" | "_init_state")
            }),
            // Building a model turns in loops too, but those are not steps.
            path: match phase {
                Phase::Loading => Vec::new(),
                _ => outside_modules(&frames).map(|frame| self.line_of(frame)).collect(),
            },
            forward: forward.map(|frame| self.line_of(frame)),
            grad_mode: grad_mode(&frames),
        }
    }

    /// The frame's function, interned, and its line.
    fn line_of(&self, frame: &Frame) -> (FunctionId, u32) {
        let mut functions = self.functions.borrow_mut();
        let next = functions.len() as u32;
        let id = *functions.entry((frame.file.clone(), frame.function.clone())).or_insert(next);
        (id, frame.line)
    }
}

/// What the program was doing. The interpreter's own C++ frames say nothing of it; a stack without
/// Python in autograd's engine is the backward thread.
fn phase(frames: &[&Frame]) -> Told {
    let python = || frames.iter().copied().filter(|frame| frame.origin() != FrameOrigin::Native);
    let in_engine = |frame: &&Frame| {
        frame.function.contains("autograd::Engine") || frame.function.contains("Backward0::apply")
    };
    let told = told(python());
    if told.phase == Phase::Unknown && python().next().is_none() && frames.iter().any(in_engine) {
        return Told { phase: Phase::Backward, inner: Phase::Backward };
    }
    told
}

/// The user's frames outside any module's forward, outermost first: loops inside a forward pass
/// (layers, time steps) are not the program's steps.
fn outside_modules<'f>(innermost_first: &'f [&'f Frame]) -> impl Iterator<Item = &'f Frame> {
    innermost_first
        .iter()
        .rev()
        .copied()
        .take_while(|frame| frame.function != "_call_impl" && frame.function != "forward")
        .filter(|frame| frame.origin() == FrameOrigin::User)
}

/// The library call that the user's line makes, as in `F.cross_entropy` or `torch.optim.adam.step`.
pub fn library_call(innermost_first: &[&Frame]) -> Option<String> {
    let user = innermost_first.iter().position(|frame| frame.origin() == FrameOrigin::User)?;
    let below = innermost_first.get(..user)?;
    let frame = below
        .iter()
        .rev()
        .find(|frame| frame.origin() == FrameOrigin::Library && !is_plumbing(&frame.function))?;
    Some(dotted(frame))
}

fn is_plumbing(function: &str) -> bool {
    matches!(
        function,
        "_call_impl"
            | "_wrapped_call_impl"
            | "decorate_context"
            | "generator_context"
            | "no_grad"
            | "inference_mode"
            | "wrapper"
            | "wrapped"
            | "inner"
            | "_fn"
            | "__call__"
            | "profile_hook_step"
            | "decorate_autocast"
            | "_use_grad"
            | "_engine_run_backward"
            | "__torch_function__"
    )
}

fn dotted(frame: &Frame) -> String {
    let path = frame.file.replace('\\', "/");
    let inside = ["/site-packages/", "/dist-packages/"]
        .iter()
        .find_map(|root| path.rfind(root).and_then(|at| path.get(at + root.len()..)))
        .or_else(|| path.rfind("/torch/").and_then(|at| path.get(at + 1..)))
        .unwrap_or_else(|| path.rsplit('/').next().unwrap_or(&path));
    let module = inside.trim_end_matches(".py").trim_end_matches("/__init__").replace('/', ".");
    match module.as_str() {
        "torch.nn.functional" => format!("F.{}", frame.function),
        "torch._tensor" => format!("Tensor.{}", frame.function),
        _ => format!("{module}.{}", frame.function),
    }
}

/// `torch.no_grad` and `torch.inference_mode` as decorators leave a frame of `_contextlib.py`
/// (`autograd/grad_mode.py` before PyTorch 2.0); from 2.10 on it bears the decorator's name.
fn grad_mode(frames: &[&Frame]) -> GradMode {
    let switches = ["decorate_context", "generator_context", "no_grad", "inference_mode"];
    let is_decorator = |frame: &&&Frame| {
        switches.contains(&frame.function.as_str())
            && (frame.file.ends_with("_contextlib.py") || frame.file.ends_with("grad_mode.py"))
    };
    if frames.iter().any(|frame| is_decorator(&frame)) { GradMode::Off } else { GradMode::Unknown }
}

/// What a block made by this stack is, if it lives on. Sources: the file layout of `torch/nn`,
/// `torch/optim`, `torch/autograd` in PyTorch 2.0 to 2.9.
fn role(frames: &[&Frame], phase: Phase) -> Role {
    let has = |part: &str, functions: &[&str]| {
        frames.iter().any(|frame| {
            frame.file.contains(part)
                && (functions.is_empty() || functions.contains(&frame.function.as_str()))
        })
    };
    if frames.is_empty() {
        return Role::Unknown;
    }
    let native = |part: &str| {
        frames
            .iter()
            .any(|frame| frame.origin() == FrameOrigin::Native && frame.function.contains(part))
    };
    if native("getNewWorkspace")
        || native("getCUDABlasLtWorkspace")
        || native("CUDABlasWorkspace")
        || native("getCurrentCUDABlasHandle")
    {
        return Role::Workspace;
    }
    if is_collective(frames) {
        return Role::Collectives;
    }
    if has("torch/optim/", &["__init__"]) {
        return Role::OptimizerState;
    }
    match phase {
        Phase::OptimizerStep => Role::OptimizerState,
        Phase::Backward => Role::BackwardTemporaries,
        Phase::Input => Role::Inputs,
        Phase::Loading => Role::Parameters,
        Phase::Forward | Phase::Loss | Phase::Evaluation | Phase::Generation => Role::Activations,
        Phase::Collective => Role::Unknown,
        Phase::ServerStart | Phase::Unknown => {
            let builds = has(
                "torch/nn/modules/",
                &["__init__", "_apply", "to", "cuda", "half", "bfloat16", "float", "to_empty"],
            ) || has("torch/nn/parameter.py", &[])
                || has("modeling_utils.py", &[]);
            if builds { Role::Parameters } else { Role::Unknown }
        }
    }
}

/// Buffers of collective operations and of the wrappers that shard or synchronise a model.
fn is_collective(frames: &[&Frame]) -> bool {
    frames.iter().any(|frame| {
        if frame.origin() == FrameOrigin::Native {
            return ["c10d::", "ProcessGroup", "ncclComm"]
                .iter()
                .any(|part| frame.function.contains(part));
        }
        let file = frame.file.replace('\\', "/");
        let function = frame.function.as_str();
        file.ends_with("/torch/distributed/distributed_c10d.py")
            || file.ends_with("/torch/distributed/_functional_collectives.py")
            || file.ends_with("/_fsdp_collectives.py")
            || function == "_ddp_init_helper"
            || file.contains("/fsdp/")
                && matches!(
                    function,
                    "_alloc_padded_unsharded_flat_param"
                        | "_all_gather_flat_param"
                        | "_reduce_grad"
                        | "_reduce_grad_no_shard"
                        | "alloc_all_gather_outputs"
                        | "init_all_gather_outputs"
                )
            || file.contains("/deepspeed/")
                && (function.contains("all_gather")
                    || function.contains("allgather")
                    || function.contains("reduce_scatter")
                    || function.contains("ipg_bucket"))
    })
}
