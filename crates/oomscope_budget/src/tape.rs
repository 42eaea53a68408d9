//! One stage of a model under autograd: what it keeps for backward, and its peaks.
//!
//! Operations are run on sizes alone. Each makes its output, saves what PyTorch's derivative
//! formulas save (`tools/autograd/derivatives.yaml`), and tells its scratch memory; names are
//! dropped where the Python code drops them. Backward then runs the operations in reverse, as
//! the engine does. All in bytes, rounded as the allocator rounds.

/// A tensor's number on its tape.
type Id = usize;

/// The allocator's smallest block, in bytes (`c10/cuda/CUDACachingAllocator.h`, `kMinBlockSize`).
const SMALLEST_BLOCK: u64 = 512;

/// A tensor of the stage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tensor {
    id: Id,
    /// Elements.
    pub(crate) elements: u64,
    /// Bytes of an element.
    pub(crate) element: u64,
    /// Whether a gradient flows back through it.
    pub(crate) grad: bool,
}

/// What memory is held for, as reports name it.
pub(crate) type Part = &'static str;

#[derive(Clone, Copy, Debug)]
struct Storage {
    bytes: u64,
    references: u32,
    part: Part,
}

/// An operation that backward runs.
#[derive(Clone, Debug)]
struct Node {
    output: Id,
    inputs: Inputs,
    saved: Vec<Id>,
    /// The inputs' gradient is the output's own.
    passes: bool,
    scratch: u64,
    weight_gradient: u64,
}

/// What an operation does, beside making its output.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Operation<'t> {
    /// Inputs through which a gradient may flow.
    pub(crate) inputs: &'t [Tensor],
    /// Saved for backward, where there will be one.
    pub(crate) saved: &'t [Tensor],
    /// The inputs' gradient is the output's own: a sum.
    pub(crate) passes: bool,
    /// Bytes that only live while it runs.
    pub(crate) scratch: u64,
    /// Bytes that only live while its backward runs.
    pub(crate) backward_scratch: u64,
    /// Bytes of the gradients of its trainable parameters.
    pub(crate) weight_gradient: u64,
}

type Inputs = [Option<Id>; 3];

/// What a stage asks its allocator for, by the numbers of its storages. All in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Memory of so many bytes.
    Make(Id, u64),
    /// Its last reference is gone.
    Free(Id),
    /// So many bytes that only live while an operation runs.
    Scratch(u64),
    /// The gradients of its parameters, which are new or are there already.
    Gradient(u64),
    /// From here on the stage before it, or nothing, holds the gradient of the input.
    Hands(Id),
}

/// The events of a stage.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events {
    pub(crate) forward: Vec<Event>,
    pub(crate) backward: Vec<Event>,
    /// Its input and its output.
    pub(crate) ends: [Id; 2],
    /// What carries the gradient of its output.
    pub(crate) incoming: Id,
}

/// A stage as it runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tape {
    /// What it asked for, where someone wants to know.
    log: Option<Vec<Event>>,
    /// No graph is recorded.
    without_graph: bool,
    storages: Vec<Storage>,
    nodes: Vec<Node>,
    live: u64,
    peak: u64,
    /// Names what is made from here on.
    pub(crate) part: Part,
    /// Parameters have gradients already, to which backward adds.
    keeps_gradients: bool,
}

/// A stage's needs in bytes, its input included, its parameters not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stage {
    /// Its input.
    pub(crate) input: u64,
    /// Its output.
    pub(crate) output: u64,
    /// Held from forward to backward, without the output; the input counts where it is saved.
    pub(crate) kept: u64,
    /// The same by part.
    pub(crate) parts: Vec<(Part, u64)>,
    /// The highest that forward reaches.
    pub(crate) forward_peak: u64,
    /// The highest that backward reaches, the gradient of its output and new parameter gradients
    /// included.
    pub(crate) backward_peak: u64,
    /// New parameter gradients.
    pub(crate) gradients: u64,
    /// Held on when its backward is done: what the program has a name for.
    pub(crate) held: u64,
}

/// Bytes of a block that holds `bytes`.
pub(crate) fn rounded(bytes: u64) -> u64 {
    bytes.checked_next_multiple_of(SMALLEST_BLOCK).unwrap_or(u64::MAX)
}

impl Tape {
    /// Before the first operation.
    pub(crate) fn new(keeps_gradients: bool) -> Tape {
        Tape { keeps_gradients, ..Tape::default() }
    }

    /// The same with its events kept, and with or without a graph.
    pub(crate) fn logged(self, records_graph: bool) -> Tape {
        Tape { log: Some(Vec::new()), without_graph: !records_graph, ..self }
    }

    fn note(&mut self, event: Event) {
        if let Some(log) = &mut self.log {
            log.push(event);
        }
    }

    /// A tensor from outside: the stage's input.
    pub(crate) fn input(&mut self, elements: u64, element: u64, grad: bool) -> Tensor {
        self.part = "inputs";
        self.make(elements, element, grad)
    }

    /// A tensor that an operation without a backward makes.
    pub(crate) fn make(&mut self, elements: u64, element: u64, grad: bool) -> Tensor {
        let bytes = rounded(elements.saturating_mul(element));
        self.storages.push(Storage { bytes, references: 1, part: self.part });
        self.live = self.live.saturating_add(bytes);
        self.peak = self.peak.max(self.live);
        let id = self.storages.len() - 1;
        self.note(Event::Make(id, bytes));
        Tensor { id, elements, element, grad }
    }

    /// Runs an operation whose output has `elements` of `element` bytes.
    pub(crate) fn run(&mut self, elements: u64, element: u64, operation: Operation<'_>) -> Tensor {
        let flows = operation.weight_gradient > 0 || operation.inputs.iter().any(|i| i.grad);
        let grad = flows && !self.without_graph;
        let output = self.make(elements, element, grad);
        self.note(Event::Scratch(operation.scratch));
        self.peak = self.peak.max(self.live.saturating_add(operation.scratch));
        if grad {
            self.record(output, operation);
        }
        output
    }

    fn record(&mut self, output: Tensor, operation: Operation<'_>) {
        let mut inputs: Inputs = [None; 3];
        let flows = operation.inputs.iter().filter(|input| input.grad);
        for (place, input) in inputs.iter_mut().zip(flows) {
            *place = Some(input.id);
        }
        for saved in operation.saved {
            if let Some(storage) = self.storages.get_mut(saved.id) {
                storage.references += 1;
            }
        }
        self.nodes.push(Node {
            output: output.id,
            inputs,
            saved: operation.saved.iter().map(|tensor| tensor.id).collect(),
            passes: operation.passes,
            scratch: operation.backward_scratch,
            weight_gradient: operation.weight_gradient,
        });
    }

    /// The last operation saves one more tensor, its own result, where backward runs it.
    pub(crate) fn save_in_last(&mut self, tensor: Tensor) {
        if !tensor.grad {
            return;
        }
        if let (Some(node), Some(storage)) =
            (self.nodes.last_mut(), self.storages.get_mut(tensor.id))
        {
            node.saved.push(tensor.id);
            storage.references += 1;
        }
    }

    /// The program's last name for a tensor goes.
    pub(crate) fn drop(&mut self, tensor: Tensor) {
        self.release(tensor.id);
    }

    /// Drops a name unless it is that of `kept`.
    pub(crate) fn drop_unless(&mut self, tensor: Tensor, kept: Tensor) {
        if tensor.id != kept.id {
            self.release(tensor.id);
        }
    }

    /// Another name for a tensor's memory, with fewer elements.
    pub(crate) fn view(&mut self, tensor: Tensor, elements: u64) -> Tensor {
        if let Some(storage) = self.storages.get_mut(tensor.id) {
            storage.references += 1;
        }
        Tensor { elements, ..tensor }
    }

    /// A tensor of another stage, which holds its memory.
    pub(crate) fn outside(&mut self, elements: u64, element: u64, grad: bool) -> Tensor {
        self.storages.push(Storage { bytes: 0, references: 1, part: self.part });
        Tensor { id: self.storages.len() - 1, elements, element, grad }
    }

    fn release(&mut self, id: Id) {
        if let Some(storage) = self.storages.get_mut(id).filter(|storage| storage.references > 0) {
            storage.references -= 1;
            if storage.references == 0 {
                self.live = self.live.saturating_sub(storage.bytes);
                self.note(Event::Free(id));
            }
        }
    }

    /// Ends forward with `output`, runs backward, and says what the stage needed.
    ///
    /// `holds_output`: the program keeps a name of the output through backward (logits).
    pub(crate) fn finish(mut self, input: Tensor, output: Tensor, holds_output: bool) -> Stage {
        let bytes = |tape: &Tape, tensor: Tensor| {
            tape.storages.get(tensor.id).map_or(0, |storage| storage.bytes)
        };
        let (input_bytes, output_bytes) =
            (rounded(input.elements * input.element), bytes(&self, output));
        let forward_peak = self.peak;
        let kept = self.live.saturating_sub(if holds_output { 0 } else { output_bytes });
        let parts = self.parts(output, holds_output);
        if !holds_output {
            self.release(output.id);
        }
        let ([backward_peak, gradients, held], _) = self.backward(input, output);
        Stage {
            input: input_bytes,
            output: if holds_output { 0 } else { output_bytes },
            kept,
            parts,
            forward_peak,
            backward_peak,
            gradients,
            held,
        }
    }

    /// The events of forward with `output`, and of backward.
    pub(crate) fn events(mut self, input: Tensor, output: Tensor, holds_output: bool) -> Events {
        if !holds_output {
            self.release(output.id);
        }
        let forward = self.log.replace(Vec::new()).unwrap_or_default();
        let ends = [input.id, output.id];
        let (_, incoming) = self.backward(input, output);
        let backward = self.log.take().unwrap_or_default();
        Events { forward, backward, ends, incoming }
    }

    /// A gradient, as large as what it is the gradient of.
    fn gradient_for(&mut self, id: Id) -> Id {
        let bytes = self.storages.get(id).map_or(0, |storage| storage.bytes);
        self.make(bytes, 1, false).id
    }

    fn parts(&self, output: Tensor, holds_output: bool) -> Vec<(Part, u64)> {
        let mut parts: Vec<(Part, u64)> = Vec::new();
        for (id, storage) in self.storages.iter().enumerate() {
            let is_output = id == output.id && !holds_output && storage.references == 1;
            if storage.references == 0 || is_output {
                continue;
            }
            match parts.iter_mut().find(|(part, _)| *part == storage.part) {
                Some((_, bytes)) => *bytes += storage.bytes,
                None => parts.push((storage.part, storage.bytes)),
            }
        }
        parts
    }

    /// The highest that backward reaches, the new parameter gradients, and what is still held;
    /// and what carried the gradient of the output.
    fn backward(&mut self, input: Tensor, output: Tensor) -> ([u64; 3], Id) {
        // Of each tensor, the storage of its gradient.
        let mut gradient_of: Vec<Option<Id>> = vec![None; self.storages.len()];
        self.peak = self.live;
        let first = self.make(output.elements, output.element, false);
        if let Some(place) = gradient_of.get_mut(output.id) {
            *place = Some(first.id);
        }
        let mut gradients = 0u64;
        while let Some(node) = self.nodes.pop() {
            let Some(incoming) = gradient_of.get_mut(node.output).and_then(Option::take) else {
                node.saved.iter().for_each(|id| self.release(*id));
                continue;
            };
            let new = if self.keeps_gradients { 0 } else { node.weight_gradient };
            let added = node.weight_gradient - new;
            self.live = self.live.saturating_add(new);
            gradients = gradients.saturating_add(node.weight_gradient);
            self.note(Event::Gradient(node.weight_gradient));
            for input in node.inputs.into_iter().flatten() {
                let made = if node.passes {
                    if let Some(storage) = self.storages.get_mut(incoming) {
                        storage.references += 1;
                    }
                    incoming
                } else {
                    self.gradient_for(input)
                };
                let place = gradient_of.get_mut(input);
                match place {
                    Some(Some(_)) => self.release(made), // added in place
                    Some(place) => *place = Some(made),
                    None => {}
                }
            }
            self.peak = self.peak.max(self.live.saturating_add(node.scratch).saturating_add(added));
            self.note(Event::Scratch(node.scratch.saturating_add(added)));
            node.saved.iter().for_each(|id| self.release(*id));
            self.release(incoming);
        }
        if let Some(gradient) = gradient_of.get_mut(input.id).and_then(Option::take) {
            self.note(Event::Hands(gradient));
            self.release(gradient);
        }
        let held = self.live.saturating_sub(if self.keeps_gradients { 0 } else { gradients });
        ([self.peak, gradients, held], first.id)
    }
}
