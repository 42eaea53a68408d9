//! What a model and a workload need on one device, term by term and phase by phase.

use crate::limits::is_computable;
use crate::passes::{Passes, passes};
use crate::replay::Replayed;
use crate::sharding::{local, local_workload, shares};
use crate::tape::Part;
use crate::workload::{
    AttentionKind, Checkpointing, Optimizer, Parallel, Quantization, Step, Task, Workload,
};
use crate::{Architecture, Role, Weight};

/// A budget: terms, phases and the peak. All in bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// What is held, and for what, largest first within its kind.
    pub terms: Vec<Term>,
    /// The phases of a step in their order, each with its highest.
    pub phases: Vec<Phase>,
    /// Parameters of the model, without adapters.
    pub parameters: u64,
    /// Parameters that are trained.
    pub trained: u64,
    /// The highest of `torch.cuda.max_memory_allocated`.
    pub allocated: Interval,
    /// The highest of `torch.cuda.max_memory_reserved`.
    pub reserved: Interval,
    /// The highest that is allocated in the first step, before which there are no states.
    pub first_step: u64,
    /// The same up to its optimizer step.
    pub before_states: u64,
}

/// One thing that memory is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// `weights`, `gradients`, `optimizer states`, `norms`, `logits and loss`, …
    pub name: Part,
    /// Which kind it is.
    pub kind: TermKind,
    /// Bytes at its highest.
    pub bytes: u64,
    /// How it is computed, with the numbers.
    pub formula: String,
}

/// Kinds of terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TermKind {
    /// Held all the time.
    Constant,
    /// Held from forward to backward.
    Activations,
    /// Held for a moment.
    Temporary,
}

/// A phase of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// `forward`, `backward`, `optimizer step`, …
    pub name: &'static str,
    /// Its highest, in bytes.
    pub allocated: u64,
}

/// A figure with its bounds; the truth lies between them in nine of ten cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// Lower bound.
    pub low: u64,
    /// The likely value.
    pub likely: u64,
    /// Upper bound.
    pub high: u64,
}

/// A cuBLAS workspace up to compute capability 8.9, in bytes
/// (`aten/src/ATen/cuda/CublasHandlePool.cpp`, `:4096:2:16:8`).
pub(crate) const CUBLAS_WORKSPACE: u64 = 8_519_680;

/// What a model and a workload need; `u64::MAX` for what no 64 bits count.
pub fn budget(architecture: &Architecture, weights: &[Weight], workload: &Workload) -> Budget {
    let parameters = weights.iter().map(Weight::elements).fold(0, u64::saturating_add);
    if !is_computable(architecture, workload) {
        return boundless(parameters);
    }
    if workload.parallel.is_split() {
        let local = local(architecture, workload.parallel);
        return on_one(&local, &crate::weights(&local), &local_workload(workload), parameters);
    }
    on_one(architecture, weights, workload, parameters)
}

/// The budget of one device, for the part of the model that it computes with.
fn on_one(
    architecture: &Architecture,
    weights: &[Weight],
    workload: &Workload,
    parameters: u64,
) -> Budget {
    let passes = passes(architecture, workload);
    let trains = workload.task == Task::Train;
    let element = workload.precision.parameter();
    let whole = if trains { passes.gradients } else { 0 };
    let shares = shares(workload.parallel, weights, element, whole);
    let constant = stored(weights, workload) / shares.weights + adapter_bytes(&passes, workload);
    let trained = whole / gradient_element(workload).max(1);
    let (states, temporaries) = if trains {
        let temporaries = temporaries(workload, trained, weights);
        (states(workload, trained) / shares.states, temporaries / shares.states)
    } else {
        (0, 0)
    };
    let workspaces = CUBLAS_WORKSPACE * if trains { 2 } else { 1 };
    let cache = cache(architecture, workload);
    let buckets = if trains { shares.buckets } else { 0 };
    let base = constant + states + workspaces + cache + buckets;
    let gradients = whole / shares.gradients;
    let kept_gradients = if workload.keeps_gradients { gradients } else { 0 };
    // With a graph, layers hold their copies; without one, autocast's cache does.
    let cached = !workload.records_graph() || workload.checkpointing != Checkpointing::Nothing;
    let casts = if cached { passes.casts } else { 0 };
    let before = base + kept_gradients + shares.gathered;
    let mut phases = vec![
        Phase { name: "loaded", allocated: constant },
        Phase { name: "forward", allocated: before + casts + passes.forward_peak },
    ];
    if trains {
        phases.extend([
            Phase { name: "backward", allocated: before + passes.backward_peak },
            Phase { name: "optimizer step", allocated: base + gradients + temporaries },
        ]);
    }
    let peak = phases.iter().map(|phase| phase.allocated).max().unwrap_or(0);
    let buffers = buckets + shares.gathered;
    let constants = [constant, gradients, states, temporaries, buffers, cache];
    Budget {
        terms: terms(weights, workload, &passes, constants),
        parameters,
        trained,
        allocated: around(peak, 0.03, 0.05),
        first_step: first_step(&phases, states),
        before_states: before_states(&phases, states),
        reserved: reserved(peak, workload),
        phases,
    }
}

/// The budget of what is too large to be computed.
fn boundless(parameters: u64) -> Budget {
    let all = Interval { low: u64::MAX, likely: u64::MAX, high: u64::MAX };
    Budget {
        terms: Vec::new(),
        phases: vec![Phase { name: "forward", allocated: u64::MAX }],
        parameters,
        trained: 0,
        allocated: all,
        reserved: all,
        first_step: u64::MAX,
        before_states: u64::MAX,
    }
}

/// What lies beside the stages of a step, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) workspaces: u64,
    pub(crate) cache: u64,
    /// Half-precision copies that live until forward ends.
    pub(crate) casts: u64,
    pub(crate) states: u64,
    pub(crate) temporaries: u64,
}

/// What lies beside the stages, for a workload that can be replayed on one device.
pub(crate) fn placed(
    architecture: &Architecture,
    weights: &[Weight],
    workload: &Workload,
) -> Option<Placed> {
    let grows = matches!(workload.task, Task::Generate { .. });
    if grows || workload.parallel != Parallel::default() || !is_computable(architecture, workload) {
        return None;
    }
    let passes = passes(architecture, workload);
    let trains = workload.task == Task::Train;
    let trained = if trains { passes.gradients / gradient_element(workload).max(1) } else { 0 };
    let cached = !workload.records_graph() || workload.checkpointing != Checkpointing::Nothing;
    Some(Placed {
        workspaces: CUBLAS_WORKSPACE * if trains { 2 } else { 1 },
        cache: cache(architecture, workload),
        casts: if cached { passes.casts } else { 0 },
        states: states(workload, trained),
        temporaries: temporaries(workload, trained, weights),
    })
}

impl Budget {
    /// The same with the reserved memory that a replay came to.
    pub(crate) fn with_replay(self, replayed: Replayed) -> Budget {
        // What lies between blocks, on top of what they hold here.
        let between = replayed.reserved.saturating_sub(replayed.allocated);
        let likely = self.allocated.likely + between;
        // More upwards: what is not modelled adds to what lies between.
        let reserved = around(likely, 0.08, 0.115);
        Budget { reserved, ..self }
    }
}

fn around(bytes: u64, below: f64, above: f64) -> Interval {
    let scaled = |factor: f64| (bytes as f64 * factor) as u64;
    Interval { low: scaled(1.0 - below), likely: bytes, high: scaled(1.0 + above) }
}

/// States come into being in the first optimizer step.
fn before_states(phases: &[Phase], states: u64) -> u64 {
    let passes = phases.iter().filter(|phase| matches!(phase.name, "forward" | "backward"));
    passes.map(|phase| phase.allocated.saturating_sub(states)).max().unwrap_or(0)
}

fn first_step(phases: &[Phase], states: u64) -> u64 {
    let step = phases.iter().find(|phase| phase.name == "optimizer step");
    before_states(phases, states).max(step.map_or(0, |phase| phase.allocated))
}

/// Reserved memory is what is allocated and what lies between: more where large temporaries of
/// several sizes come and go. Shares measured over 100 published runs (`docs/budget.md`).
fn reserved(peak: u64, workload: &Workload) -> Interval {
    let varied = workload.checkpointing != Checkpointing::Nothing && workload.adapters.is_some();
    let share = match (varied, workload.attention) {
        (true, AttentionKind::Eager) => 0.18,
        (true, _) => 0.09,
        (false, AttentionKind::ByHand) => 0.02,
        (false, _) => 0.08,
    };
    let likely = around(peak, 0.0, share).high;
    Interval {
        low: likely.max(around(peak, 0.0, 0.01).high) * 94 / 100,
        likely,
        high: likely * 108 / 100,
    }
}

/// Whether quantisation packs it.
pub(crate) fn packs(weight: &Weight) -> bool {
    matches!(weight.role, Role::Linear | Role::Expert)
}

/// Bytes of the model's own parameters.
fn stored(weights: &[Weight], workload: &Workload) -> u64 {
    weights.iter().map(|weight| stored_weight(weight, workload)).fold(0, u64::saturating_add)
}

pub(crate) fn stored_weight(weight: &Weight, workload: &Workload) -> u64 {
    let elements = weight.elements();
    let Some(quantization) = workload.quantization.filter(|_| packs(weight)) else {
        return elements.saturating_mul(workload.precision.parameter());
    };
    // One scale of 4 bytes for 64 elements; quantised again, one byte and 4 bytes for 256 of them.
    match quantization {
        Quantization::Nf4 { double: false } => elements / 2 + elements / 16,
        Quantization::Nf4 { double: true } => elements / 2 + elements / 64 + elements / 4096,
        Quantization::Int8 => elements + elements / 512,
    }
}

fn adapter_bytes(passes: &Passes, workload: &Workload) -> u64 {
    if workload.adapters.is_some() { passes.gradients } else { 0 }
}

fn gradient_element(workload: &Workload) -> u64 {
    workload.adapters.as_ref().map_or(workload.precision.parameter(), |adapters| adapters.element)
}

/// Bytes of the optimizer's states, from its second step on.
fn states(workload: &Workload, trained: u64) -> u64 {
    let element = gradient_element(workload);
    match workload.optimizer {
        Optimizer::Nothing | Optimizer::Adafactor | Optimizer::Adam8bit { paged: true } => 0,
        Optimizer::AdamW(_) => 2 * trained * element,
        Optimizer::Sgd { momentum, .. } => {
            if momentum {
                trained * element
            } else {
                0
            }
        }
        Optimizer::Lion | Optimizer::Muon => trained * element,
        // Two states of one byte, and a scale of 4 bytes for each block of 256.
        Optimizer::Adam8bit { paged: false } => 2 * trained + trained / 32,
    }
}

/// Bytes that live while the optimizer steps.
fn temporaries(workload: &Workload, trained: u64, weights: &[Weight]) -> u64 {
    let sizes = weights.iter().map(|weight| weight.elements() / weight.count.max(1));
    let largest = sizes.max().unwrap_or(0).min(trained);
    let all = trained * gradient_element(workload);
    match workload.optimizer {
        Optimizer::AdamW(Step::Foreach) => all,
        Optimizer::AdamW(Step::Loop) => 2 * largest * gradient_element(workload),
        Optimizer::Muon | Optimizer::Adafactor => 3 * largest * gradient_element(workload),
        Optimizer::Nothing
        | Optimizer::AdamW(Step::Fused)
        | Optimizer::Sgd { .. }
        | Optimizer::Lion
        | Optimizer::Adam8bit { .. } => 0,
    }
}

/// Bytes of keys and values of all tokens.
fn cache(architecture: &Architecture, workload: &Workload) -> u64 {
    let tokens = match workload.task {
        Task::Generate { tokens } => tokens,
        Task::Infer if workload.caches_keys => 0,
        Task::Infer | Task::Train | Task::Forward => return 0,
    };
    let tokens = workload.batch.saturating_mul(workload.sequence.saturating_add(tokens));
    let of_layer = |layer: &crate::Layer| match &layer.mixer {
        crate::Mixer::Attention(shape) => {
            let seen = shape.window.map_or(tokens, |window| tokens.min(workload.batch * window));
            2 * shape.key_value_heads * shape.head * seen
        }
        crate::Mixer::Latent(shape) => (shape.key_value_rank + shape.rotary) * tokens,
        crate::Mixer::StateSpace(shape) => workload.batch * shape.inner * shape.state,
        crate::Mixer::Nothing => 0,
    };
    let decoders = architecture.towers.iter().filter(|tower| tower.causal);
    let layers = decoders.flat_map(|tower| &tower.layers);
    layers.map(|(count, layer)| count * of_layer(layer)).sum::<u64>() * workload.precision.product()
}

fn terms(
    weights: &[Weight],
    workload: &Workload,
    passes: &Passes,
    [constant, gradients, states, temporaries, buffers, cache]: [u64; 6],
) -> Vec<Term> {
    let elements: u64 = weights.iter().map(Weight::elements).sum();
    let term = |name, kind, bytes, formula| Term { name, kind, bytes, formula };
    let mut terms = vec![
        term("weights", TermKind::Constant, constant, format!("{elements} parameters")),
        term("gradients", TermKind::Constant, gradients, "of what is trained".to_owned()),
        term("optimizer states", TermKind::Constant, states, format!("{:?}", workload.optimizer)),
        term("keys and values", TermKind::Constant, cache, "of all tokens so far".to_owned()),
        term(
            "buffers between devices",
            TermKind::Constant,
            buffers,
            "buckets of gradients, gathered parameters".to_owned(),
        ),
        term(
            "optimizer temporaries",
            TermKind::Temporary,
            temporaries,
            format!("{:?}", workload.optimizer),
        ),
    ];
    for (part, bytes) in &passes.parts {
        terms.push(term(part, TermKind::Activations, *bytes, String::new()));
    }
    terms.retain(|term| term.bytes > 0);
    terms
}
