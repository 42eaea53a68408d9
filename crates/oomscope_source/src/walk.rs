//! The state of the walk over one function, and what it knows of the rest of the project.

use std::sync::Arc;

use ruff_python_ast::{Expr, Stmt};
use ruff_text_size::{Ranged, TextRange};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::environment::{Binding, Environment};
use crate::facts::{Container, Facts, Mode, Summary};
use crate::imports::{last_of_dotted, path_in};
use crate::index::{ClassId, FileId, FunctionId, Index};
use crate::rounds::{Notes, Reads};
use crate::value::{Bits, Graph, Kind, Value};

/// Deeper expressions than this are unknown values.
pub(crate) const DEEPEST_EXPRESSION: usize = 160;

/// Walks start inside expressions that are not deeper than this.
const SHALLOW_EXPRESSION: usize = 24;

/// The walk over one function.
pub(crate) struct Walker<'a, 'p> {
    pub(crate) index: &'p Index<'a>,
    /// What is known of the rest of the project, and what this walk adds.
    pub(crate) notes: Notes<'a, 'p>,
    pub(crate) id: FunctionId,
    pub(crate) file: FileId,
    pub(crate) class: Option<ClassId>,
    pub(crate) names: Environment<'a>,
    /// The file's text.
    pub(crate) text: &'a str,
    pub(crate) facts: Facts<'a>,
    pub(crate) summary: Summary<'a>,
    pub(crate) mode: Mode,
    pub(crate) in_loop: Option<usize>,
    pub(crate) in_except: Option<usize>,
    pub(crate) depth: usize,
    pub(crate) parameters: Vec<&'a str>,
    pub(crate) attribute_containers: FxHashMap<&'a str, usize>,
    pub(crate) globals: FxHashSet<&'a str>,
}

/// Walks one function and returns what it found, and what it read of others.
pub(crate) fn walk_function<'a>(
    index: &Index<'a>,
    notes: Notes<'a, '_>,
    id: FunctionId,
) -> (Facts<'a>, Reads<'a>) {
    let Some(function) = index.function(id) else { return Default::default() };
    let mode = notes.mode();
    let mut walker = Walker {
        index,
        notes,
        id,
        file: function.file,
        class: function.class,
        names: Environment::default(),
        text: index.file(function.file).map_or("", |file| &file.text),
        facts: Facts::default(),
        summary: Summary::default(),
        mode,
        in_loop: None,
        in_except: None,
        depth: 0,
        parameters: Vec::new(),
        attribute_containers: FxHashMap::default(),
        globals: FxHashSet::default(),
    };
    walker.bind_parameters();
    walker.walk_body(function.body);
    walker.finish()
}

impl<'a> Walker<'a, '_> {
    fn bind_parameters(&mut self) {
        let Some(function) = self.index.function(self.id) else { return };
        let is_static = function
            .decorators
            .iter()
            .any(|d| last_of_dotted(&d.expression).is_some_and(|name| name == "staticmethod"));
        let is_of_class = function
            .decorators
            .iter()
            .any(|d| last_of_dotted(&d.expression).is_some_and(|name| name == "classmethod"));
        for (number, parameter) in function.numbered_parameters().enumerate() {
            let name = parameter.name.as_str();
            self.parameters.push(name);
            let mut value = Value { params: Bits::one(number), ..Value::default() };
            if number == 0
                && !is_static
                && let Some(class) = self.class
            {
                let kind = if is_of_class { Kind::Class(class) } else { Kind::Instance(class) };
                value = Value::of_kind(kind);
            } else if function.name == "on_predict_batch_end" && matches!(name, "outputs" | "batch")
            {
                // Lightning hands over what the network made, under `no_grad`, and the batch.
                (value.graph, value.output, value.device) = (Graph::No, name == "outputs", true);
            } else if let Some(annotation) = parameter.annotation.as_deref() {
                self.apply_annotation(&mut value, annotation);
            }
            self.names.bind(name, Binding { value, ..Binding::default() });
        }
    }

    fn apply_annotation(&self, value: &mut Value, annotation: &Expr) {
        let Some(last) = last_of_dotted(annotation) else { return };
        match last {
            "int" | "float" | "str" | "bool" | "bytes" | "Path" => *value = Value::plain(),
            "Module" => value.kind = Kind::Module,
            "Optimizer" => value.kind = Kind::Optimizer,
            name => {
                if let Some(class) = self.index.class_named(self.file, name) {
                    value.kind = Kind::Instance(class);
                }
            }
        }
    }

    fn finish(mut self) -> (Facts<'a>, Reads<'a>) {
        self.facts.consumed_at_end = self.names.consumed;
        self.facts.settle_consumption();
        if !self.facts.detached.is_empty() {
            self.facts.find_proof_by_detach();
        }
        self.facts.find_tensor_reads();
        self.summary.runs_backward = self.facts.runs_backward;
        self.summary.clears_grads |= self.facts.clears_grads;
        let reads = self.notes.finish(self.summary, self.names.into_names());
        (self.facts, reads)
    }

    pub(crate) fn walk_body(&mut self, body: &'a [Stmt]) {
        for stmt in body {
            self.walk_stmt(stmt);
        }
    }

    /// A new graph that starts at `range`; a detached tensor where grad is off.
    pub(crate) fn new_graph(&mut self, range: TextRange) -> Value {
        if self.mode == Mode::Off {
            return Value { output: true, ..Value::detached() };
        }
        let number = self.facts.graphs.len().min(63);
        if self.facts.graphs.len() < 64 {
            self.facts.graphs.push(range);
        }
        Value {
            kind: Kind::Tensor,
            graph: Graph::Yes,
            output: true,
            may: Bits::one(number),
            must: Bits::one(number),
            ..Value::default()
        }
    }

    /// Runs backward on a value: frees its graphs unless told to retain them.
    pub(crate) fn consume(&mut self, value: &Value, retain: bool) {
        let once = self.in_loop.filter(|_| !retain).and_then(|number| {
            let around = self.facts.loops.get(number)?;
            // Each iteration has a graph of its own where the loop goes over them.
            let own = !around.goes_over.intersection(value.containers).is_empty()
                || value.containers.iter().any(|container| {
                    let container = self.facts.containers.get(container);
                    container.is_some_and(|c| around.what.contains(c.name))
                });
            (!own).then_some((number, around.range))
        });
        if !retain {
            let mut freed = value.must;
            if let Some((_, range)) = once {
                freed = freed.retain(|graph| {
                    self.facts.graphs.get(graph).is_none_or(|made| range.contains_range(*made))
                });
            }
            self.names.consumed = self.names.consumed.union(freed);
        }
        self.facts.proven = self.facts.proven.union(value.latent);
        self.summary.backward_of = self.summary.backward_of.union(value.params);
        self.mark_containers(value.containers, |container| match once {
            None => container.consumed = true,
            Some((number, _)) => {
                let first = container.consumed_in.map_or(number, |known| known.min(number));
                container.consumed_in = Some(first);
            }
        });
    }

    /// The summary of a function. One that still waits is walked now: who calls it need not be
    /// walked again.
    pub(crate) fn summary_of(&mut self, id: FunctionId) -> Option<Arc<Summary<'a>>> {
        self.notes.summary(self.index, id, self.depth < SHALLOW_EXPRESSION)
    }

    pub(crate) fn mark_containers(&mut self, which: Bits, mark: impl Fn(&mut Container<'a>)) {
        for number in which.iter() {
            if let Some(container) = self.facts.containers.get_mut(number) {
                mark(container);
            }
        }
    }

    pub(crate) fn new_container(&mut self, name: &'a str, made_in: Option<usize>) -> usize {
        self.facts.containers.push(Container { name, made_in, ..Container::default() });
        self.facts.containers.len() - 1
    }

    /// The container number of an attribute path, made on first use.
    pub(crate) fn attribute_container(&mut self, path: &'a str) -> usize {
        if let Some(number) = self.attribute_containers.get(path) {
            return *number;
        }
        let number = self.new_container(path, None);
        self.attribute_containers.insert(path, number);
        number
    }

    /// Looks a name up in the functions and the module around this one.
    pub(crate) fn outer_value(&mut self, name: &'a str) -> Option<Value> {
        let mut at = self.index.function(self.id)?.parent;
        for _ in 0..32 {
            let id = at?;
            let parent = self.index.function(id)?.parent;
            if let Some(value) = self.notes.outer(id, name) {
                return Some(value);
            }
            at = parent;
        }
        None
    }

    /// The class of a value, where it is an instance of a given file's class.
    pub(crate) fn class_of(value: &Value) -> Option<ClassId> {
        match value.kind {
            Kind::Instance(class) | Kind::Class(class) => Some(class),
            _ => None,
        }
    }

    /// Remembers what a class keeps under an attribute.
    pub(crate) fn learn_attribute(&mut self, class: ClassId, name: &'a str, value: &Value) {
        let mut kept = value.clone();
        (kept.may, kept.must) = (Bits::default(), Bits::default());
        (kept.params, kept.containers) = (Bits::default(), Bits::default());
        kept.latent = Bits::default();
        self.notes.learn_attribute(class, name, kept);
    }

    /// The source text of a node.
    pub(crate) fn source(&self, node: &impl Ranged) -> &'a str {
        self.text.get(node.range().to_std_range()).unwrap_or_default()
    }

    /// `a.b.c` as it stands in the text.
    pub(crate) fn path(&self, expr: &Expr) -> Option<&'a str> {
        path_in(self.text, expr)
    }
}
