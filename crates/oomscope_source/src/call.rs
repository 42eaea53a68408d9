//! What a call does: module calls make graphs, backward frees them, functions have summaries.

use compact_str::CompactString;
use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::Ranged;

use crate::facts::{Call, Mode};
use crate::imports::{last_of_dotted, root_of_dotted};
use crate::index::FunctionId;
use crate::search::called_name;
use crate::torch_api as api;
use crate::value::{Bits, Graph, Kind, Value, combine};
use crate::walk::Walker;

/// More calls of one function than this are not kept.
const MOST_CALLS: usize = 100_000;

/// What is known of the called thing.
pub(crate) struct Callee<'a> {
    pub(crate) path: Option<CompactString>,
    pub(crate) name: &'a str,
    pub(crate) receiver: Option<Value>,
    pub(crate) function: Option<FunctionId>,
    pub(crate) value: Value,
    /// Whether the receiver lives for one iteration only.
    pub(crate) fleeting: bool,
}

impl<'a> Walker<'a, '_> {
    pub(crate) fn evaluate_call(&mut self, call: &'a ExprCall) -> Value {
        let mut callee = self.resolve_callee(call);
        let count = call.arguments.args.len() + call.arguments.keywords.len();
        let mut arguments: Vec<(&'a Expr, Value)> = Vec::with_capacity(count);
        let keywords = call.arguments.keywords.iter().map(|keyword| &keyword.value);
        for argument in call.arguments.args.iter().chain(keywords) {
            let value = self.evaluate(argument);
            arguments.push((argument, value));
        }
        callee.fleeting = self.is_fleeting(call);
        let (mode, consumed) = (self.mode, self.names.consumed);
        let result = self.called(call, &callee, &arguments);
        if self.facts.calls.len() < MOST_CALLS {
            self.facts.calls.push(Call {
                call,
                name: called_name(call),
                path: callee.path,
                callee: callee.function,
                receiver_class: callee.receiver.as_ref().and_then(Self::class_of),
                receiver: callee.receiver,
                arguments,
                in_loop: self.in_loop,
                mode,
                consumed,
                fleeting: callee.fleeting,
                is_statement: false,
            });
        }
        result
    }

    /// What a call gives and does, once its callee and arguments are known.
    fn called(
        &mut self,
        call: &'a ExprCall,
        callee: &Callee<'a>,
        arguments: &[(&'a Expr, Value)],
    ) -> Value {
        if let Some(mode) = switched_mode(callee, call) {
            self.mode = mode;
            return Value::plain();
        }
        // `stack.enter_context(torch.inference_mode())`.
        if callee.name == "enter_context"
            && let Some(mode) =
                call.arguments.args.first().and_then(|first| self.grad_mode_of(first))
        {
            self.mode = mode;
        }
        let mut result = self.apply(call, callee, arguments);
        // `move_to(x, "cpu")`, whoever defines it.
        if arguments.iter().any(|(argument, _)| names_the_host(argument)) {
            (result.host, result.device) = (!matches!(result.kind, Kind::Plain), false);
        }
        self.store_by_method(call, arguments);
        result
    }

    fn resolve_callee(&mut self, call: &'a ExprCall) -> Callee<'a> {
        let path = self.index.names(self.file).and_then(|names| names.imports.resolve(&call.func));
        match &*call.func {
            Expr::Attribute(attribute) => {
                let name = attribute.attr.as_str();
                if path.as_deref().is_some_and(|p| self.is_module_path(p)) {
                    let (function, class) =
                        path.as_deref().map_or((None, None), |path| self.index.defined_at(path));
                    let value = match (function, class) {
                        (Some(id), _) => Value::of_kind(Kind::Function(id)),
                        (None, Some(class)) => Value::of_kind(Kind::Class(class)),
                        (None, None) => Value::default(),
                    };
                    return Callee { path, name, receiver: None, function, value, fleeting: false };
                }
                let is_super = matches!(&*attribute.value, Expr::Call(inner)
                    if matches!(&*inner.func, Expr::Name(n) if n.id.as_str() == "super"));
                let receiver = self.evaluate(&attribute.value);
                let mut function = Self::class_of(&receiver)
                    .filter(|_| !is_super)
                    .and_then(|class| self.index.method(class, name));
                if function.is_none()
                    && path.is_none()
                    && Self::class_of(&receiver).is_none()
                    && !is_super
                {
                    function = self.guess_method(&attribute.value, &receiver, name);
                }
                let value = match function {
                    Some(id) => Value::of_kind(Kind::Function(id)),
                    None => Self::class_of(&receiver)
                        .and_then(|class| self.notes.attribute(class, name))
                        .or_else(|| {
                            let written = self.path(&call.func)?;
                            self.names.lookup(written).map(|binding| binding.value.clone())
                        })
                        .unwrap_or_default(),
                };
                Callee { path, name, receiver: Some(receiver), function, value, fleeting: false }
            }
            Expr::Name(name) => {
                let value = self.read_name(name.id.as_str());
                let function = match value.kind {
                    Kind::Function(id) => Some(id),
                    _ => None,
                };
                let name = name.id.as_str();
                Callee { path, name, receiver: None, function, value, fleeting: false }
            }
            other => {
                let value = self.evaluate(other);
                // `self.model["generator"](x)` is named by what it is taken from.
                let name = match other {
                    Expr::Subscript(subscript) => last_of_dotted(&subscript.value),
                    _ => None,
                };
                let name = name.unwrap_or_default();
                Callee { path, name, receiver: None, function: None, value, fleeting: false }
            }
        }
    }

    /// Whether a resolved path names something in a module rather than a method of an imported object.
    fn is_module_path(&self, path: &str) -> bool {
        let Some((parent, _)) = path.rsplit_once('.') else { return false };
        path.starts_with("torch.")
            || path.starts_with("numpy.")
            || parent.bytes().all(|c| !c.is_ascii_uppercase())
                && self.index.defined_at(parent).1.is_none()
    }

    /// A method by its name alone, where only one class of the given files has it.
    fn guess_method(&self, receiver: &Expr, value: &Value, name: &str) -> Option<FunctionId> {
        if matches!(
            value.kind,
            Kind::Plain
                | Kind::Tensor
                | Kind::List
                | Kind::Dict
                | Kind::Optimizer
                | Kind::Exception
        ) {
            return None;
        }
        let generic = matches!(
            name,
            "append"
                | "add"
                | "update"
                | "extend"
                | "insert"
                | "pop"
                | "get"
                | "items"
                | "keys"
                | "values"
                | "step"
                | "forward"
                | "to"
                | "cuda"
                | "cpu"
                | "train"
                | "eval"
                | "mean"
                | "sum"
                | "backward"
                | "reset"
                | "clear"
                | "copy"
                | "format"
                | "join"
                | "split"
                | "write"
                | "read"
                | "close"
                | "zero_grad"
                | "item"
                | "detach"
                | "clone"
                | "size"
                | "view"
                | "state_dict"
                | "load_state_dict"
                | "parameters"
                | "log"
                | "index"
                | "sort"
                | "count"
                | "run"
                | "start"
                | "save"
                | "load"
                | "set"
                | "next"
                | "apply"
                | "put"
                | "sample"
                | "norm"
                | "loss"
        );
        if generic {
            let last = last_of_dotted(receiver)?.to_ascii_lowercase();
            let is_meter = [
                "meter", "tracker", "metric", "avg", "average", "stats", "history", "logger",
                "recorder", "monitor", "buffer", "memory", "storage",
            ]
            .iter()
            .any(|word| last.contains(word));
            if !is_meter || !matches!(name, "add" | "update" | "append" | "log" | "put" | "push") {
                return None;
            }
        }
        self.index.unique_method(name).or_else(|| self.index.method_in_file(self.file, name))
    }

    fn apply(
        &mut self,
        call: &'a ExprCall,
        callee: &Callee<'a>,
        arguments: &[(&'a Expr, Value)],
    ) -> Value {
        let name = callee.name;
        if let Some(value) = self.apply_training(call, callee, arguments) {
            return value;
        }
        if let Some(id) = callee.function {
            return self.apply_function(call, id, callee, arguments);
        }
        if let Some(path) = &callee.path
            && let Some(value) = self.apply_torch(call, path, arguments)
        {
            return self.as_recorded(value);
        }
        match callee.value.kind {
            Kind::Class(class) => {
                if let Some(init) = self.index.method(class, "__init__") {
                    self.record_kept(init, arguments, 1);
                }
                return Value::of_kind(Kind::Instance(class));
            }
            Kind::Instance(class) => {
                if self.index.is_module_class(class)
                    || self.index.method(class, "forward").is_some()
                {
                    return self.apply_module(call, Some(class), callee, arguments);
                }
                if let Some(id) = self.index.method(class, "__call__") {
                    return self.apply_function(call, id, callee, arguments);
                }
            }
            Kind::Module
                if name.starts_with(|c: char| c.is_ascii_uppercase()) && name.len() > 1 =>
            {
                // A parameter that holds a class: this makes the network.
                return Value::of_kind(Kind::Module);
            }
            Kind::Transform => {
                let inputs = combine(arguments.iter().map(|(_, value)| value));
                return self.as_recorded(Value { kind: Kind::Tensor, scalar: false, ..inputs });
            }
            Kind::Module | Kind::Criterion => {
                return self.apply_module(call, None, callee, arguments);
            }
            _ => {}
        }
        if let Some(receiver) = &callee.receiver
            && let Some(value) = self.apply_method(call, name, receiver, arguments)
        {
            return value;
        }
        if callee.receiver.is_none()
            && let Some(value) = apply_builtin(name, arguments)
        {
            return value;
        }
        if callee.path.is_none() || callee.path.as_deref().is_some_and(|p| !p.starts_with("torch"))
        {
            let in_module = self.class.is_some_and(|class| self.index.is_module_class(class));
            let own = call.func.is_attribute_expr() && root_of_dotted(&call.func) == Some("self");
            let known_plain = matches!(callee.value.kind, Kind::Plain);
            if !known_plain
                && !name.starts_with(|c: char| c.is_ascii_uppercase())
                && (api::names_a_network(name) && !arguments.is_empty()
                    || callee.receiver.is_some() && is_forward_of_network(call, name)
                    || api::names_a_criterion(name)
                        && !(arguments.is_empty() && name.starts_with("get"))
                    || in_module && own && self.is_layer(name))
            {
                return self.apply_module(call, None, callee, arguments);
            }
        }
        self.unknown_result(call, callee, arguments)
    }

    /// What goes into an unknown call may come out. Its result has a number of its own, so that a
    /// backward through it proves what it is.
    pub(crate) fn unknown_result(
        &mut self,
        call: &'a ExprCall,
        callee: &Callee<'a>,
        arguments: &[(&'a Expr, Value)],
    ) -> Value {
        let mut value = combine(arguments.iter().map(|(_, value)| value));
        let name = callee.name;
        if name.contains("detach") || name.contains("repackage") {
            return Value { kind: Kind::Unknown, ..value.without_graph() };
        }
        if let [(_, only)] = arguments
            && matches!(only.kind, Kind::Dict)
            && (name.contains("dict") || name.contains("flatten"))
        {
            return only.clone();
        }
        (value.kind, value.graph) = (Kind::Unknown, Graph::Maybe);
        (value.scalar, value.host, value.device) = (false, false, false);
        value.latent = Bits::default();
        if let Some(receiver) = &callee.receiver {
            value.containers = value.containers.union(receiver.containers);
            value.params = value.params.union(receiver.params);
            value.may = value.may.union(receiver.may);
            value.must = value.must.union(receiver.must);
        }
        // An object is no tensor, whatever it was made from.
        let makes_object = name.len() > 1 && name.starts_with(|c: char| c.is_ascii_uppercase());
        if self.facts.graphs.len() < 40 && self.mode != Mode::Off && !makes_object {
            value.latent = Bits::one(self.facts.graphs.len());
            self.facts.graphs.push(call.range());
            self.facts.latents = self.facts.latents.union(value.latent);
            value.may = value.may.union(value.latent);
            value.must = value.must.union(value.latent);
        }
        value
    }

    /// Whether the receiver of a call lives for one iteration only.
    fn is_fleeting(&self, call: &ExprCall) -> bool {
        let Expr::Attribute(attribute) = &*call.func else { return false };
        let Some(root) = root_of_dotted(&attribute.value) else { return true };
        self.in_loop.is_some()
            && self.names.lookup(root).is_some_and(|binding| binding.bound_in == self.in_loop)
    }

    fn is_layer(&mut self, name: &'a str) -> bool {
        let Some(class) = self.class else { return false };
        self.index.method(class, name).is_none()
            && self
                .notes
                .attribute(class, name)
                .is_some_and(|value| matches!(value.kind, Kind::Module))
    }
}

/// `torch.set_grad_enabled(flag)`: as a statement it switches for the rest, as a `with` item the
/// block restores it.
fn switched_mode(callee: &Callee<'_>, call: &ExprCall) -> Option<Mode> {
    if callee.name != "set_grad_enabled" {
        return None;
    }
    match call.arguments.args.first() {
        Some(Expr::BooleanLiteral(flag)) if flag.value => Some(Mode::On),
        Some(Expr::BooleanLiteral(_)) => Some(Mode::Off),
        _ => None,
    }
}

fn names_the_host(argument: &Expr) -> bool {
    matches!(argument, Expr::StringLiteral(text) if text.value.to_str() == "cpu")
}

/// `encoder.forward_pass(x)`.
fn is_forward_of_network(call: &ExprCall, name: &str) -> bool {
    let Expr::Attribute(attribute) = &*call.func else { return false };
    name.starts_with("forward")
        && last_of_dotted(&attribute.value).is_some_and(api::names_a_network)
}

fn apply_builtin(name: &str, arguments: &[(&Expr, Value)]) -> Option<Value> {
    let first = arguments.first().map(|(_, value)| value);
    Some(match name {
        "float" | "int" | "bool" | "str" | "len" | "print" | "range" | "repr" | "isinstance"
        | "hasattr" | "type" | "id" | "round" | "format" | "hash" | "callable" | "open"
        | "input" | "ord" | "chr" => Value::plain(),
        "sum" | "max" | "min" | "abs" => {
            let mut value = first?.clone();
            if matches!(value.kind, Kind::List | Kind::Dict | Kind::Tuple(_)) {
                value.kind = Kind::Tensor;
            }
            value.scalar |= name == "sum";
            value
        }
        "list" | "tuple" | "sorted" | "set" | "reversed" | "iter" | "deque" => {
            let value = first.cloned().unwrap_or_else(Value::plain);
            Value { kind: Kind::List, ..value }
        }
        "dict" | "defaultdict" | "OrderedDict" => {
            Value { kind: Kind::Dict, ..combine(arguments.iter().map(|(_, value)| value)) }
        }
        "enumerate" | "zip" | "map" | "filter" | "tqdm" | "trange" | "next" | "getattr" => {
            let mut value = combine(arguments.iter().map(|(_, value)| value));
            value.kind = Kind::Unknown;
            if value.graph == Graph::No && !value.output {
                value.graph = Graph::Maybe;
            }
            value
        }
        _ => return None,
    })
}
