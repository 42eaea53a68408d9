//! The value of an expression.

use ruff_python_ast::{Comprehension, Expr, InterpolatedStringElement, Number};
use ruff_text_size::Ranged;

use crate::facts::{DictLiteral, Mode};
use crate::imports::last_of_dotted;
use crate::value::{Bits, Graph, Kind, Value, combine, join};
use crate::walk::{DEEPEST_EXPRESSION, Walker};

impl<'a> Walker<'a, '_> {
    /// Evaluates an expression and records the calls and stores in it.
    pub(crate) fn evaluate(&mut self, expr: &'a Expr) -> Value {
        if self.depth > DEEPEST_EXPRESSION {
            return Value::default();
        }
        self.depth += 1;
        let value = self.evaluate_inner(expr);
        self.depth -= 1;
        value
    }

    /// Evaluates without recording anything.
    pub(crate) fn evaluate_quietly(&mut self, expr: &'a Expr) -> Value {
        let facts = &self.facts;
        let lengths =
            (facts.stores.len(), facts.calls.len(), facts.model_calls.len(), facts.backwards.len());
        let value = self.evaluate(expr);
        self.facts.stores.truncate(lengths.0);
        self.facts.calls.truncate(lengths.1);
        self.facts.model_calls.truncate(lengths.2);
        self.facts.backwards.truncate(lengths.3);
        value
    }

    /// The result of an operation: without a graph where grad mode is off.
    pub(crate) fn as_recorded(&self, value: Value) -> Value {
        let is_one_tensor = matches!(value.kind, Kind::Tensor | Kind::Unknown);
        if self.mode == Mode::Off && is_one_tensor && value.is_attached() {
            return value.without_graph();
        }
        value
    }

    fn evaluate_all(&mut self, elements: &'a [Expr]) -> Vec<Value> {
        elements.iter().map(|element| self.evaluate(element)).collect()
    }

    fn evaluate_inner(&mut self, expr: &'a Expr) -> Value {
        match expr {
            Expr::Name(name) => self.read_name(name.id.as_str()),
            Expr::Attribute(attribute) => {
                self.read_attribute(expr, &attribute.value, attribute.attr.as_str())
            }
            Expr::Call(call) => self.evaluate_call(call),
            Expr::BinOp(op) => {
                let left = self.evaluate(&op.left);
                let right = self.evaluate(&op.right);
                let mut value = combine([&left, &right].into_iter());
                if !left.latent.is_empty() && !right.latent.is_empty() {
                    // A backward through the result proves one of them, not which.
                    value.latent = Bits::default();
                }
                value.scalar = (left.scalar && (right.scalar || matches!(right.kind, Kind::Plain)))
                    || (right.scalar && matches!(left.kind, Kind::Plain));
                if matches!(left.kind, Kind::List) && matches!(right.kind, Kind::List) {
                    value.kind = Kind::List;
                }
                self.as_recorded(value)
            }
            Expr::UnaryOp(op) => {
                let value = self.evaluate(&op.operand);
                if matches!(op.op, ruff_python_ast::UnaryOp::Not) { Value::plain() } else { value }
            }
            Expr::BoolOp(op) => {
                let values = self.evaluate_all(&op.values);
                let mut values = values.into_iter();
                let first = values.next().unwrap_or_default();
                values.fold(first, |all, value| join(&all, &value))
            }
            Expr::Compare(compare) => {
                let left = self.evaluate(&compare.left);
                let right = self.evaluate_all(&compare.comparators);
                let tensor = std::iter::once(&left)
                    .chain(&right)
                    .any(|v| !matches!(v.kind, Kind::Plain) && v.graph != Graph::No);
                if tensor {
                    Value { small: true, graph: Graph::No, ..Value::default() }
                } else {
                    Value::plain()
                }
            }
            Expr::If(choice) => {
                self.evaluate(&choice.test);
                let body = self.evaluate(&choice.body);
                let orelse = self.evaluate(&choice.orelse);
                // `x.item() if torch.is_tensor(x) else x`: the `x` at the end is a number.
                let tested = self.tensor_test(&choice.test);
                let is_plain = |expr: &Expr, of_tensor: bool| {
                    let tested = tested.as_ref().filter(|(_, tensor)| *tensor == of_tensor);
                    tested.is_some_and(|(name, _)| self.path(expr) == Some(*name))
                };
                match (is_plain(&choice.body, false), is_plain(&choice.orelse, true)) {
                    (true, _) => orelse,
                    (_, true) => body,
                    _ => join(&body, &orelse),
                }
            }
            Expr::Tuple(tuple) => {
                let values = self.evaluate_all(&tuple.elts);
                let joint = combine(values.iter());
                Value { kind: Kind::Tuple(values.into()), ..joint }
            }
            Expr::List(list) => {
                let values = self.evaluate_all(&list.elts);
                Value { kind: Kind::List, ..combine(values.iter()) }
            }
            Expr::Set(set) => {
                let values = self.evaluate_all(&set.elts);
                Value { kind: Kind::List, ..combine(values.iter()) }
            }
            Expr::Dict(dict) => {
                let mut items = Vec::new();
                for item in &dict.items {
                    if let Some(key) = &item.key {
                        self.evaluate(key);
                    }
                    items.push((&item.value, self.evaluate(&item.value)));
                }
                let joint = combine(items.iter().map(|(_, value)| value));
                if joint.graph != Graph::No && self.facts.dicts.len() < 1000 {
                    self.facts.dicts.push(DictLiteral { range: dict.range(), items });
                }
                Value { kind: Kind::Dict, ..joint }
            }
            Expr::Subscript(subscript) => {
                let base = self.evaluate(&subscript.value);
                self.evaluate(&subscript.slice);
                let index = match &*subscript.slice {
                    Expr::NumberLiteral(number) => match &number.value {
                        Number::Int(int) => int.as_usize(),
                        _ => None,
                    },
                    _ => None,
                };
                base.element(index)
            }
            Expr::Starred(starred) => self.evaluate(&starred.value),
            Expr::Named(named) => {
                let value = self.evaluate(&named.value);
                self.bind_target(&named.target, value.clone());
                value
            }
            Expr::Await(wait) => self.evaluate(&wait.value),
            Expr::Yield(yielded) => {
                if let Some(inner) = &yielded.value {
                    let value = self.evaluate(inner);
                    let value = Value { kind: Kind::List, ..value };
                    self.leave_with(value);
                }
                Value::default()
            }
            Expr::YieldFrom(yielded) => {
                let value = self.evaluate(&yielded.value);
                self.leave_with(value);
                Value::default()
            }
            Expr::Lambda(lambda) => {
                let outer_loop = self.in_loop.take();
                self.evaluate(&lambda.body);
                self.in_loop = outer_loop;
                Value::default()
            }
            Expr::ListComp(comp) => {
                self.bind_generators(&comp.generators);
                let value = self.evaluate(&comp.elt);
                Value { kind: Kind::List, scalar: false, ..value }
            }
            Expr::SetComp(comp) => {
                self.bind_generators(&comp.generators);
                let value = self.evaluate(&comp.elt);
                Value { kind: Kind::List, scalar: false, ..value }
            }
            Expr::Generator(comp) => {
                self.bind_generators(&comp.generators);
                let value = self.evaluate(&comp.elt);
                Value { kind: Kind::List, scalar: false, ..value }
            }
            Expr::DictComp(comp) => {
                self.bind_generators(&comp.generators);
                let value = self.evaluate(&comp.value);
                Value { kind: Kind::Dict, scalar: false, ..value }
            }
            Expr::FString(text) => {
                for part in text.value.elements() {
                    if let InterpolatedStringElement::Interpolation(part) = part {
                        self.evaluate(&part.expression);
                    }
                }
                Value::plain()
            }
            Expr::TString(_)
            | Expr::StringLiteral(_)
            | Expr::BytesLiteral(_)
            | Expr::NumberLiteral(_)
            | Expr::BooleanLiteral(_)
            | Expr::NoneLiteral(_)
            | Expr::EllipsisLiteral(_) => Value::plain(),
            Expr::Slice(slice) => {
                for part in [&slice.lower, &slice.upper, &slice.step].into_iter().flatten() {
                    self.evaluate(part);
                }
                Value::plain()
            }
            Expr::IpyEscapeCommand(_) => Value::default(),
        }
    }

    fn bind_generators(&mut self, generators: &'a [Comprehension]) {
        for generator in generators {
            let element = self.evaluate(&generator.iter).element(None);
            let element = match &generator.iter {
                Expr::Call(call) if matches!(&*call.func, Expr::Name(n) if n.id.as_str() == "zip" || n.id.as_str() == "enumerate") => {
                    Value { kind: Kind::Unknown, ..element }
                }
                Expr::Call(call) if matches!(&*call.func, Expr::Attribute(a) if a.attr.as_str() == "items") =>
                {
                    let key = Value::plain();
                    Value { kind: Kind::Tuple([key, element.clone()].into()), ..element }
                }
                _ => element,
            };
            self.bind_target(&generator.target, element);
            for condition in &generator.ifs {
                self.evaluate(condition);
            }
        }
    }

    /// The value of a bare name.
    pub(crate) fn read_name(&mut self, name: &'a str) -> Value {
        if let Some(binding) = self.names.lookup(name) {
            let mut value = binding.value.clone();
            if let Some(number) = binding.container {
                value = self.read_container(number, value);
            }
            return value;
        }
        if let Some(number) = self.attribute_containers.get(name).copied() {
            return self.read_container(number, Value::default());
        }
        if let Some(value) = self.outer_value(name) {
            return value;
        }
        if let Some(id) = self.index.function_named(self.file, name) {
            return Value::of_kind(Kind::Function(id));
        }
        if let Some(id) = self.index.class_named(self.file, name) {
            return Value::of_kind(Kind::Class(id));
        }
        Value::default()
    }

    /// What reading a container gives: what was stored, and the container's own number.
    pub(crate) fn read_container(&mut self, number: usize, mut value: Value) -> Value {
        let Some(container) = self.facts.containers.get_mut(number) else { return value };
        // An accumulator's binding already holds what was added, path by path.
        if matches!(value.kind, Kind::Tensor | Kind::Plain) {
            value.containers = value.containers.union(Bits::one(number));
            return value;
        }
        let stored = &container.stored;
        value.graph = value.graph.max(stored.graph);
        value.may = value.may.union(stored.may);
        value.must = value.must.union(stored.must);
        value.params = value.params.union(stored.params);
        value.output |= stored.output;
        value.host |= stored.host;
        value.containers = value.containers.union(Bits::one(number)).union(stored.containers);
        value
    }

    fn read_attribute(&mut self, expr: &'a Expr, base: &'a Expr, name: &'a str) -> Value {
        if let Some(path) = self.path(expr) {
            if let Some(binding) = self.names.lookup(path) {
                let mut value = binding.value.clone();
                if let Some(number) = self.attribute_containers.get(path).copied() {
                    value = self.read_container(number, value);
                }
                return value;
            }
            // A parameter of the caller's (`self` or another object): what its class keeps there.
            let owner = self.evaluate(base);
            if let Some(class) = Self::class_of(&owner) {
                if let Some(known) = self.notes.attribute(class, name) {
                    let mut value = known;
                    if value.graph == Graph::Yes {
                        let fresh = self.new_graph(expr.range());
                        (value.may, value.must) = (fresh.may, fresh.must);
                        value.graph = fresh.graph;
                    }
                    let number = self.attribute_container(path);
                    let value_read = self.read_container(number, value);
                    self.bind(path, value_read.clone());
                    return value_read;
                }
                if let Some(id) = self.index.method(class, name) {
                    return self.property_or_method(id);
                }
            }
            if matches!(
                name,
                "data"
                    | "shape"
                    | "device"
                    | "dtype"
                    | "requires_grad"
                    | "grad"
                    | "grad_fn"
                    | "ndim"
            ) {
                if name == "data" {
                    self.facts.detached = self.facts.detached.union(owner.latent);
                }
                return if matches!(name, "data" | "grad") {
                    Value::detached()
                } else {
                    Value::plain()
                };
            }
            if owner.is_attached() || !owner.params.is_empty() && owner.graph == Graph::Maybe {
                // What an engine's process function returned.
                let output = owner.output || name == "output" && path.ends_with(".state.output");
                return Value { kind: Kind::Unknown, scalar: name == "loss", output, ..owner };
            }
            if self.index.names(self.file).is_some_and(|n| n.imports.resolves(expr)) {
                return Value::default();
            }
            let number = self.attribute_container(path);
            let value = Value {
                graph: if owner.graph == Graph::No && owner.output {
                    Graph::No
                } else {
                    Graph::Maybe
                },
                output: owner.output,
                ..Value::default()
            };
            return self.read_container(number, value);
        }
        let owner = self.evaluate(base);
        match name {
            "data" | "grad" => owner.without_graph(),
            "shape" | "device" | "dtype" | "requires_grad" | "grad_fn" | "ndim" => Value::plain(),
            _ if matches!(owner.kind, Kind::Plain) => Value::plain(),
            _ => Value { kind: Kind::Unknown, scalar: name == "loss", ..owner },
        }
    }

    fn property_or_method(&mut self, id: crate::index::FunctionId) -> Value {
        let is_property = self.index.function(id).is_some_and(|f| {
            f.decorators
                .iter()
                .any(|d| last_of_dotted(&d.expression).is_some_and(|p| p.ends_with("property")))
        });
        if !is_property {
            return Value::of_kind(Kind::Function(id));
        }
        let returns = self.summary_of(id).and_then(|s| s.returns.clone());
        let mut value = returns.unwrap_or_default();
        (value.may, value.must) = (Bits::default(), Bits::default());
        (value.params, value.containers) = (Bits::default(), Bits::default());
        if value.graph == Graph::Yes {
            value.graph = Graph::Maybe;
        }
        value
    }
}
