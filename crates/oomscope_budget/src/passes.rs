//! Forward and backward of a whole model, from the stages that its layers are.

use crate::architecture::{Architecture, Tower};
use crate::ends::{embedding, head};
use crate::layers::{Run, layer};
use crate::operations::Operations;
use crate::tape::{Part, Stage, Tape, Tensor};
use crate::workload::{Checkpointing, Task, Workload};

/// What forward and backward need beside parameters, gradients and states, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Passes {
    /// Held when forward ends, by part.
    pub(crate) parts: Vec<(Part, u64)>,
    /// Held when forward ends.
    pub(crate) kept: u64,
    /// The highest of forward.
    pub(crate) forward_peak: u64,
    /// The highest of backward, where gradients are new.
    pub(crate) backward_peak: u64,
    /// The stage of that peak.
    pub(crate) backward_at: Part,
    /// All gradients, in bytes.
    pub(crate) gradients: u64,
    /// The largest layer's gradients: what a stepwise optimizer holds.
    pub(crate) layer_gradients: u64,
    /// Half-precision copies of matrices, which live through the step.
    pub(crate) casts: u64,
}

/// A stage with how often it runs.
struct Repeated {
    count: u64,
    name: Part,
    stage: Stage,
    /// Of how many such stages the first one's input alone is kept, and forward runs again in
    /// backward; 0 where all is kept.
    checkpointed: u64,
}

/// A stage that has run forward.
pub(crate) struct Made {
    pub(crate) name: Part,
    /// How often in a row.
    pub(crate) count: u64,
    /// Checkpointing covers it.
    pub(crate) is_layer: bool,
    pub(crate) tape: Tape,
    pub(crate) input: Tensor,
    pub(crate) output: Tensor,
    pub(crate) holds_output: bool,
    /// Half-precision copies of its matrices, in bytes.
    pub(crate) casts: u64,
}

/// Runs a model's forward and, for training, backward on sizes.
pub(crate) fn passes(architecture: &Architecture, workload: &Workload) -> Passes {
    let mut stages = Vec::new();
    let mut casts = 0u64;
    each_stage(
        architecture,
        workload,
        |tape| tape,
        |made| {
            casts = casts.saturating_add(made.casts.saturating_mul(made.count));
            let stage = made.tape.finish(made.input, made.output, made.holds_output);
            if !made.is_layer {
                let repeated = Repeated { count: 1, name: made.name, stage, checkpointed: 0 };
                return stages.push(repeated);
            }
            for (count, checkpointed) in segments(workload.checkpointing, made.count) {
                let stage = stage.clone();
                stages.push(Repeated { count, name: made.name, stage, checkpointed });
            }
        },
    );
    compose(&stages, casts, workload)
}

/// Runs each stage forward, in the model's order, on tapes that `prepare` has prepared.
pub(crate) fn each_stage(
    architecture: &Architecture,
    workload: &Workload,
    prepare: impl Fn(Tape) -> Tape,
    mut visit: impl FnMut(Made),
) {
    let mut memory = None;
    let last = architecture.towers.len().saturating_sub(1);
    for (number, tower) in architecture.towers.iter().enumerate() {
        let run = run_of(tower, workload, memory);
        tower_stages(tower, run, workload, number == last, &prepare, &mut visit);
        memory = Some((run.sequence, tower.hidden));
    }
}

fn run_of<'w>(tower: &Tower, workload: &'w Workload, memory: Option<(u64, u64)>) -> Run<'w> {
    let target = workload.target_sequence.filter(|_| memory.is_some());
    let sequence = tower.fixed_tokens.or(target).unwrap_or(workload.sequence);
    Run {
        batch: workload.batch,
        sequence: sequence.saturating_add(tower.added_tokens),
        hidden: tower.hidden,
        memory,
        attention: workload.attention,
        trained: workload.records_graph() && workload.adapters.is_none(),
        adapters: workload.adapters.as_ref().filter(|_| workload.records_graph()),
        causal: tower.causal,
    }
}

impl Workload {
    /// Whether forward records a graph.
    pub(crate) fn records_graph(&self) -> bool {
        matches!(self.task, Task::Train | Task::Forward)
    }
}

fn tower_stages(
    tower: &Tower,
    run: Run<'_>,
    workload: &Workload,
    is_last: bool,
    prepare: &impl Fn(Tape) -> Tape,
    visit: &mut impl FnMut(Made),
) {
    let dropout = workload.dropout && workload.records_graph();
    let operations = || Operations {
        packed: workload.quantization.is_some(),
        float16: workload.float16,
        caches_casts: workload.adapters.is_none(),
        tape: prepare(Tape::new(workload.keeps_gradients)),
        ..Operations::new(workload.precision, dropout)
    };
    let made = |name, ops: Operations, input, output| Made {
        name,
        count: 1,
        is_layer: false,
        tape: ops.tape,
        input,
        output,
        holds_output: false,
        casts: ops.casts,
    };
    let mut ops = operations();
    let (input, output) = embedding(&mut ops, tower, run);
    let element = output.element;
    visit(made("embeddings", ops, input, output));
    // With frozen tables, a gradient flows from the first adapter on; checkpointing asks for one.
    let flows = workload.records_graph();
    for (count, shape) in &tower.layers {
        let mut ops = operations();
        let x = ops.tape.input(run.tokens() * run.hidden, element, flows);
        let output = layer(&mut ops, shape, x, run);
        ops.tape.drop(x);
        visit(Made { count: *count, is_layer: true, ..made("a layer", ops, x, output) });
    }
    let mut ops = operations();
    let x = ops.tape.input(run.tokens() * run.hidden, element, flows);
    let loss = (is_last && workload.records_graph()).then_some(workload.loss);
    let output = head(&mut ops, tower, x, loss, run);
    visit(Made { holds_output: is_last, ..made("the head and the loss", ops, x, output) });
}

/// Equal layers, in parts: how many, and how long the checkpointed segments of them are.
pub(crate) fn segments(checkpointing: Checkpointing, count: u64) -> Vec<(u64, u64)> {
    match checkpointing {
        Checkpointing::Nothing => vec![(count, 0)],
        Checkpointing::Full => vec![(count, 1)],
        Checkpointing::Every(step) => {
            let with = count.div_ceil(step.max(1));
            vec![(with, 1), (count - with, 0)]
        }
        Checkpointing::Segments(length) => {
            let length = length.clamp(1, count.max(1));
            vec![(count - count % length, length), (count % length, count % length)]
        }
    }
}

impl Repeated {
    /// How many it is, and what one is: a layer, or a checkpointed segment of layers.
    fn units(&self) -> (u64, Stage) {
        let Repeated { count, stage, checkpointed: length, .. } = self;
        if *length == 0 {
            return (*count, stage.clone());
        }
        // Forward runs again beside the gradient of the output; then backward as ever.
        let inner = stage.kept.saturating_mul(length - 1);
        let again = stage.forward_peak + stage.output;
        let segment = Stage {
            kept: stage.input,
            parts: vec![("checkpoints", stage.input)],
            backward_peak: inner.saturating_add(stage.backward_peak.max(again)),
            gradients: stage.gradients.saturating_mul(*length),
            ..stage.clone()
        };
        (count / length, segment)
    }
}

fn compose(stages: &[Repeated], casts: u64, workload: &Workload) -> Passes {
    let share = workload.parallel.gradient_share();
    let mut passes = Passes { casts, ..Passes::default() };
    let stages: Vec<(Part, u64, Stage)> = stages
        .iter()
        .filter(|repeated| repeated.count > 0)
        .map(|repeated| {
            let (count, stage) = repeated.units();
            (repeated.name, count, stage)
        })
        .collect();
    let mut below = 0u64;
    for (_, count, stage) in &stages {
        let others = stage.kept.saturating_mul(count - 1);
        let peak = below.saturating_add(others).saturating_add(stage.forward_peak);
        passes.forward_peak = passes.forward_peak.max(peak);
        below = below.saturating_add(others).saturating_add(stage.kept);
        add_parts(&mut passes.parts, *count, stage);
    }
    passes.kept = below;
    for (name, count, stage) in stages.iter().rev() {
        let (kept, new) = (stage.kept, stage.gradients);
        passes.layer_gradients = passes.layer_gradients.max(new);
        let all = kept.saturating_mul(*count);
        // The last of them, whose activations lie on all others', and the first, when all later
        // gradients are there.
        let later = new.saturating_mul(count - 1);
        for (held, gradients) in
            [(below.saturating_sub(kept), 0), (below.saturating_sub(all), later)]
        {
            let before = passes.gradients.saturating_add(gradients);
            let before = if workload.keeps_gradients { 0 } else { before / share };
            let peak = held.saturating_add(before).saturating_add(stage.backward_peak);
            if peak > passes.backward_peak {
                passes.backward_peak = peak;
                passes.backward_at = name;
            }
        }
        below = below.saturating_sub(all).saturating_add(stage.held.saturating_mul(*count));
        passes.gradients = passes.gradients.saturating_add(later).saturating_add(new);
    }
    passes
}

fn add_parts(parts: &mut Vec<(Part, u64)>, count: u64, stage: &Stage) {
    for (part, bytes) in &stage.parts {
        let bytes = bytes.saturating_mul(count);
        match parts.iter_mut().find(|(known, _)| known == part) {
            Some((_, sum)) => *sum = sum.saturating_add(bytes),
            None => parts.push((part, bytes)),
        }
    }
}
