//! What the allocator reserves for a configuration: three steps of it, request by request, through
//! the model of PyTorch's caching allocator.

use std::rc::Rc;

use oomscope_allocator::{Asked, Capacity, Program, Release, Settings, replay};

use crate::budget::{CUBLAS_WORKSPACE, Placed, packs, placed, stored_weight};
use crate::passes::{each_stage, segments};
use crate::tape::{Event, Events, Tape};
use crate::workload::{Quantization, Task, Workload};
use crate::{Architecture, Budget, Weight, budget};

/// More requests than that are not replayed.
const MOST_REQUESTS: u64 = 2_000_000;

/// The first step makes the states; from the second on, each is like the one before.
const STEPS: usize = 3;

/// What came of a replay, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replayed {
    /// The highest that blocks held.
    pub(crate) allocated: u64,
    /// The highest that segments held.
    pub(crate) reserved: u64,
}

/// [`budget()`] with the reserved memory of a replay, where the workload is one that can be
/// replayed: on one device, without a growing cache. A thousand times slower.
pub fn replayed_budget(
    architecture: &Architecture,
    weights: &[Weight],
    workload: &Workload,
) -> Budget {
    let budget = budget(architecture, weights, workload);
    match replayed(architecture, weights, workload) {
        Some(replayed) => budget.with_replay(replayed),
        None => budget,
    }
}

fn replayed(
    architecture: &Architecture,
    weights: &[Weight],
    workload: &Workload,
) -> Option<Replayed> {
    let placed = placed(architecture, weights, workload)?;
    let mut requests = Requests::default();
    requests.load(weights, workload);
    let stages = Stages::of(architecture, workload)?;
    for step in 0..STEPS {
        requests.step(&stages, weights, workload, placed, step == 0);
    }
    let program = Program::of_requests(requests.asked);
    let capacity = Capacity { available: u64::MAX, total: u64::MAX };
    let outcome = replay(&program, &Settings::default(), Release::NEWEST, capacity, &mut ());
    let counters = outcome.counters;
    Some(Replayed { allocated: counters.peak_allocated, reserved: counters.peak_reserved })
}

/// A stage of the model, once for each time that it runs.
struct Running {
    /// With its graph, and without one.
    events: [Rc<Events>; 2],
    /// Whether it begins or goes on with a checkpointed segment: of how many stages.
    segment: u64,
}

/// The stages in their order.
struct Stages(Vec<Running>);

impl Stages {
    fn of(architecture: &Architecture, workload: &Workload) -> Option<Stages> {
        let layers = architecture.towers.iter().flat_map(|tower| &tower.layers);
        let layers: u64 = layers.map(|(count, _)| *count).fold(0, u64::saturating_add);
        // Some hundred requests a layer and pass.
        if layers.saturating_mul(400 * STEPS as u64) > MOST_REQUESTS {
            return None;
        }
        let run = |records_graph: bool| {
            let mut made = Vec::new();
            let prepare = |tape: Tape| tape.logged(records_graph);
            each_stage(architecture, workload, prepare, |stage| {
                let events = stage.tape.events(stage.input, stage.output, stage.holds_output);
                made.push((stage.count, stage.is_layer, Rc::new(events)));
            });
            made
        };
        let mut stages = Vec::new();
        for ((count, is_layer, with), (_, _, without)) in run(true).into_iter().zip(run(false)) {
            let covered =
                if is_layer { segments(workload.checkpointing, count) } else { vec![(count, 0)] };
            for (count, segment) in covered {
                for _ in 0..count {
                    let events = [Rc::clone(&with), Rc::clone(&without)];
                    stages.push(Running { events, segment });
                }
            }
        }
        Some(Stages(stages))
    }
}

/// A block of the program, and how many stages hold it.
type Name = u32;

/// The program's requests as they come.
#[derive(Default)]
struct Requests {
    asked: Vec<Asked>,
    /// Of each block, how many stages hold it.
    holders: Vec<u32>,
    free: Vec<Name>,
    gradients: Vec<(Name, u64)>,
    /// Backward adds to gradients that are there.
    has_gradients: bool,
    states: Vec<Name>,
    /// What the program has a name for until backward is done: logits.
    named: Vec<Name>,
}

/// The blocks of a stage's storages.
type Blocks = Vec<Option<Name>>;

impl Requests {
    fn make(&mut self, bytes: u64) -> Name {
        let name = self.free.pop().unwrap_or_else(|| {
            self.holders.push(0);
            (self.holders.len() - 1) as Name
        });
        if let Some(holders) = self.holders.get_mut(name as usize) {
            *holders = 1;
        }
        self.asked.push(Asked::Alloc { name, bytes: bytes.max(1) });
        name
    }

    fn hold(&mut self, name: Name) {
        if let Some(holders) = self.holders.get_mut(name as usize) {
            *holders += 1;
        }
    }

    fn free(&mut self, name: Name) {
        let Some(holders) = self.holders.get_mut(name as usize).filter(|count| **count > 0) else {
            return;
        };
        *holders -= 1;
        if *holders == 0 {
            self.asked.push(Asked::Free { name });
            self.free.push(name);
        }
    }

    fn free_all(&mut self, names: impl IntoIterator<Item = Name>) {
        for name in names {
            self.free(name);
        }
    }

    /// Brings the parameters to the device. Where some are quantised, all come in half precision:
    /// each matrix is packed on the device, and in the end the others are widened one by one
    /// (`peft` 0.19, `prepare_model_for_kbit_training`).
    fn load(&mut self, weights: &[Weight], workload: &Workload) {
        let mut halves = Vec::new();
        for weight in weights {
            let count = weight.count.max(1);
            let bytes = stored_weight(weight, workload) / count;
            let elements = weight.elements() / count;
            for _ in 0..weight.count {
                match workload.quantization {
                    None => {
                        self.make(bytes);
                    }
                    Some(kind) if packs(weight) => self.quantized(bytes, elements, kind),
                    Some(_) => halves.push((self.make(2 * elements), bytes)),
                }
            }
        }
        for (half, bytes) in halves {
            self.make(bytes);
            self.free(half);
        }
    }

    /// A matrix comes in half precision and is packed on the device.
    fn quantized(&mut self, bytes: u64, elements: u64, kind: Quantization) {
        let whole = self.make(elements * 2);
        let packed = match kind {
            Quantization::Int8 => elements,
            Quantization::Nf4 { .. } => elements / 2,
        };
        self.make(packed);
        self.make(bytes.saturating_sub(packed));
        self.free(whole);
    }

    fn step(
        &mut self,
        stages: &Stages,
        weights: &[Weight],
        workload: &Workload,
        placed: Placed,
        is_first: bool,
    ) {
        if is_first {
            for _ in 0..placed.workspaces / CUBLAS_WORKSPACE {
                self.make(CUBLAS_WORKSPACE);
            }
            self.adapters(stages, workload);
        }
        let casts = self.casts(weights, placed);
        let caches = if placed.cache > 0 { self.caches(stages, placed.cache) } else { Vec::new() };
        let run = self.forward(stages, workload);
        self.free_all(casts);
        if workload.task == Task::Train {
            self.backward(stages, run);
            self.optimizer(workload, placed, is_first);
        } else {
            self.leave(run);
        }
        self.free_all(caches);
    }

    /// Adapters are as large as their gradients.
    fn adapters(&mut self, stages: &Stages, workload: &Workload) {
        if workload.adapters.is_none() {
            return;
        }
        for stage in &stages.0 {
            let [events, _] = &stage.events;
            for event in &events.backward {
                if let Event::Gradient(bytes) = event
                    && *bytes > 0
                {
                    self.make(*bytes);
                }
            }
        }
    }

    /// Autocast's half-precision copies of matrices, which live until forward ends.
    fn casts(&mut self, weights: &[Weight], placed: Placed) -> Vec<Name> {
        if placed.casts == 0 {
            return Vec::new();
        }
        let matrices = weights.iter().filter(|weight| weight.shape.len() > 1);
        let all: u64 = matrices.clone().map(Weight::elements).sum();
        let mut names = Vec::new();
        for weight in matrices {
            let one = weight.elements() / weight.count.max(1);
            let bytes = u128::from(one) * u128::from(placed.casts) / u128::from(all.max(1));
            names.extend((0..weight.count).map(|_| self.make(bytes as u64)));
        }
        names
    }

    /// Keys and values of each layer.
    fn caches(&mut self, stages: &Stages, bytes: u64) -> Vec<Name> {
        let layers = stages.0.len().saturating_sub(2).max(1) as u64;
        (0..2 * layers).map(|_| self.make(bytes / (2 * layers))).collect()
    }

    /// Runs all stages forward; of each, its blocks.
    fn forward(&mut self, stages: &Stages, workload: &Workload) -> Vec<Blocks> {
        let records = workload.records_graph();
        let mut all = Vec::new();
        let mut stream = None;
        for (number, stage) in stages.0.iter().enumerate() {
            let keeps = records && stage.segment == 0;
            let [with, without] = &stage.events;
            let events = if keeps { with } else { without };
            // The first of a checkpointed segment keeps its input.
            let begins = records && stage.segment > 0 && begins_segment(stages, number);
            if let (true, Some(stream)) = (begins, stream) {
                self.hold(stream);
            }
            let last = number + 1 == stages.0.len();
            let (blocks, output) = self.run_forward(events, stream, !last);
            let kept = if begins { vec![stream] } else { blocks };
            all.push(if keeps || begins { kept } else { Blocks::new() });
            stream = output;
        }
        all
    }

    /// Forward of one stage on the block of its input; the next stage holds its output.
    fn run_forward(
        &mut self,
        events: &Events,
        input: Option<Name>,
        hands_on: bool,
    ) -> (Blocks, Option<Name>) {
        let mut blocks = Blocks::new();
        let [first, last] = events.ends;
        let mut output = None;
        for event in &events.forward {
            match *event {
                Event::Make(id, bytes) => {
                    let name = match input.filter(|_| id == first) {
                        Some(name) => name,
                        None => self.make(bytes),
                    };
                    put(&mut blocks, id, name);
                    if id == last {
                        output = Some(name);
                        if hands_on {
                            self.hold(name);
                        }
                    }
                }
                Event::Free(id) => self.free_of(&mut blocks, id),
                Event::Scratch(bytes) => self.scratch(bytes),
                Event::Gradient(_) | Event::Hands(_) => {}
            }
        }
        (blocks, output)
    }

    fn scratch(&mut self, bytes: u64) {
        if bytes > 0 {
            let name = self.make(bytes);
            self.free(name);
        }
    }

    fn free_of(&mut self, blocks: &mut Blocks, id: usize) {
        if let Some(name) = blocks.get_mut(id).and_then(Option::take) {
            self.free(name);
        }
    }

    fn backward(&mut self, stages: &Stages, mut run: Vec<Blocks>) {
        let mut gradient = None;
        let mut number = stages.0.len();
        while number > 0 {
            number -= 1;
            let Some(stage) = stages.0.get(number) else { return };
            let blocks = run.get_mut(number).map(std::mem::take).unwrap_or_default();
            let [events, _] = &stage.events;
            if stage.segment == 0 {
                gradient = self.run_backward(events, blocks, gradient);
                continue;
            }
            // Forward runs again from the input that the segment's first stage kept.
            let begin = (0..=number).rev().find(|at| begins_segment(stages, *at)).unwrap_or(0);
            let kept = run.get_mut(begin).map(std::mem::take).unwrap_or_default();
            let kept = if begin == number { blocks } else { kept };
            let input = kept.first().copied().flatten();
            if let Some(input) = input {
                self.hold(input);
            }
            let mut stream = input;
            let mut again = Vec::new();
            for at in begin..=number {
                let Some(stage) = stages.0.get(at) else { return };
                let [events, _] = &stage.events;
                let (blocks, output) = self.run_forward(events, stream, true);
                again.push((Rc::clone(events), blocks));
                stream = output;
            }
            let result = stream;
            for (events, blocks) in again.into_iter().rev() {
                gradient = self.run_backward(&events, blocks, gradient);
            }
            for name in [result, input].into_iter().flatten() {
                self.free(name);
            }
            number = begin;
        }
        let named = std::mem::take(&mut self.named);
        self.free_all(named.into_iter().chain(gradient));
    }

    /// Backward of one stage from the gradient of its output; returns that of its input.
    fn run_backward(
        &mut self,
        events: &Events,
        mut blocks: Blocks,
        incoming: Option<Name>,
    ) -> Option<Name> {
        let mut outgoing = None;
        for event in &events.backward {
            match *event {
                Event::Make(id, bytes) => {
                    let name = match incoming.filter(|_| id == events.incoming) {
                        Some(name) => name,
                        None => self.make(bytes),
                    };
                    put(&mut blocks, id, name);
                }
                Event::Free(id) if outgoing.is_some_and(|(of, _)| of == id) => {}
                Event::Free(id) => self.free_of(&mut blocks, id),
                Event::Scratch(bytes) => self.scratch(bytes),
                Event::Gradient(bytes) => {
                    if bytes > 0 && !self.has_gradients {
                        let name = self.make(bytes);
                        self.gradients.push((name, bytes));
                    }
                }
                Event::Hands(id) => {
                    outgoing = blocks.get_mut(id).and_then(Option::take).map(|name| (id, name));
                }
            }
        }
        self.named.extend(blocks.into_iter().flatten());
        outgoing.map(|(_, name)| name)
    }

    /// Without a backward, all goes.
    fn leave(&mut self, run: Vec<Blocks>) {
        self.free_all(run.into_iter().flatten().flatten());
    }

    /// The optimizer's step, after which gradients go.
    fn optimizer(&mut self, workload: &Workload, placed: Placed, is_first: bool) {
        let gradients = std::mem::take(&mut self.gradients);
        let all: u64 = gradients.iter().map(|(_, bytes)| bytes).sum::<u64>().max(1);
        let part =
            |bytes: u64, of: u64| (u128::from(bytes) * u128::from(of) / u128::from(all)) as u64;
        if is_first && placed.states > 0 {
            for (_, bytes) in &gradients {
                for _ in 0..2 {
                    let name = self.make(part(placed.states, *bytes) / 2);
                    self.states.push(name);
                }
            }
        }
        if placed.temporaries >= all {
            let names: Vec<Name> = gradients
                .iter()
                .map(|(_, bytes)| self.make(part(placed.temporaries, *bytes)))
                .collect();
            self.free_all(names);
        } else {
            self.scratch(placed.temporaries);
        }
        if workload.keeps_gradients {
            // They stay; later backward passes add to them.
            self.gradients = gradients;
            self.has_gradients = true;
            return;
        }
        self.free_all(gradients.into_iter().map(|(name, _)| name));
    }
}

fn put(blocks: &mut Blocks, id: usize, name: Name) {
    if blocks.len() <= id {
        blocks.resize(id + 1, None);
    }
    if let Some(place) = blocks.get_mut(id) {
        *place = Some(name);
    }
}

/// Whether a checkpointed segment begins with that stage: segments count from the first of a run
/// of equal ones.
fn begins_segment(stages: &Stages, number: usize) -> bool {
    let Some(stage) = stages.0.get(number).filter(|stage| stage.segment > 0) else {
        return false;
    };
    let same = |at: &usize| {
        stages.0.get(*at).is_some_and(|other| {
            other.segment == stage.segment && Rc::ptr_eq(&other.events[0], &stage.events[0])
        })
    };
    let before = (0..number).rev().take_while(same).count() as u64;
    before.is_multiple_of(stage.segment)
}

#[cfg(test)]
mod tests {
    use super::replayed;
    use crate::{AttentionKind, Checkpointing, Precision, Workload, budget, built_in, weights};

    /// The composed peaks and the requests one by one are two ways to the same figure.
    #[test]
    fn a_replay_holds_what_the_phases_say() {
        for name in ["gpt2", "bert-base-uncased", "llama-3.2-1b", "t5-base"] {
            let architecture = built_in(name).expect(name).architecture;
            let weights = weights(&architecture);
            for precision in [Precision::Full, Precision::Autocast, Precision::Half] {
                for checkpointing in
                    [Checkpointing::Nothing, Checkpointing::Full, Checkpointing::Segments(4)]
                {
                    let workload = Workload {
                        batch: 4,
                        sequence: 512,
                        precision,
                        checkpointing,
                        attention: AttentionKind::Eager,
                        ..Workload::default()
                    };
                    let composed = budget(&architecture, &weights, &workload).allocated.likely;
                    let replayed = replayed(&architecture, &weights, &workload).expect("small");
                    let ratio = replayed.allocated as f64 / composed as f64;
                    assert!((0.98..1.05).contains(&ratio), "{name} {workload:?}: {ratio}");
                    assert!(replayed.reserved >= replayed.allocated);
                }
            }
        }
    }
}
