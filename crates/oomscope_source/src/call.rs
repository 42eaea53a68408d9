//! What a call does: module calls make graphs, backward frees them, functions have summaries.

use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::Ranged;

use crate::facts::{Backward, Call, Kept, Mode, ModelCall};
use crate::imports::dotted;
use crate::index::FunctionId;
use crate::torch_api as api;
use crate::value::{Bits, Graph, Kind, Value, combine};
use crate::walk::Walker;

/// What is known of the called thing.
struct Callee {
    path: Option<String>,
    /// As written, where it is a dotted name.
    written: Option<String>,
    name: String,
    receiver: Option<Value>,
    function: Option<FunctionId>,
    value: Value,
}

impl<'a> Walker<'a, '_> {
    pub(crate) fn evaluate_call(&mut self, call: &'a ExprCall) -> Value {
        let callee = self.resolve_callee(call);
        let mut arguments: Vec<(&'a Expr, Value)> = Vec::new();
        let keywords = call.arguments.keywords.iter().map(|keyword| &keyword.value);
        for argument in call.arguments.args.iter().chain(keywords) {
            let value = self.evaluate(argument);
            arguments.push((argument, value));
        }
        if self.facts.calls.len() < 100_000 {
            self.facts.calls.push(Call {
                call,
                path: callee.path.clone(),
                callee: callee.function,
                receiver_class: callee.receiver.as_ref().and_then(Self::class_of),
                receiver: callee.receiver.clone(),
                arguments: arguments.clone(),
                in_loop: self.in_loop,
                mode: self.mode,
                in_except: self.in_except,
                consumed: self.names.consumed,
                is_statement: false,
            });
        }
        if let Some(mode) = self.grad_mode_of_statement(&callee, call) {
            self.mode = mode;
            return Value::plain();
        }
        let result = self.apply(call, &callee, &arguments);
        self.store_by_method(call, &arguments);
        result
    }

    fn grad_mode_of_statement(&self, callee: &Callee, call: &'a ExprCall) -> Option<Mode> {
        if callee.name != "set_grad_enabled" {
            return None;
        }
        // As a statement it switches; as a `with` item the block restores it afterwards.
        let wrapper: &Expr = &call.func;
        let _ = wrapper;
        match call.arguments.args.first() {
            Some(Expr::BooleanLiteral(b)) if b.value => Some(Mode::On),
            Some(Expr::BooleanLiteral(_)) => Some(Mode::Off),
            _ => None,
        }
    }

    fn resolve_callee(&mut self, call: &'a ExprCall) -> Callee {
        let path = self.index.names(self.file).and_then(|names| names.imports.resolve(&call.func));
        let written = dotted(&call.func);
        match &*call.func {
            Expr::Attribute(attribute) => {
                let name = attribute.attr.to_string();
                if path.as_deref().is_some_and(|p| self.is_module_path(p)) {
                    let function = path.as_deref().and_then(|p| self.index.function_at(p));
                    let class = path.as_deref().and_then(|p| self.index.class_at(p));
                    let value = match (function, class) {
                        (Some(id), _) => Value::of_kind(Kind::Function(id)),
                        (None, Some(class)) => Value::of_kind(Kind::Class(class)),
                        (None, None) => Value::default(),
                    };
                    return Callee { path, written, name, receiver: None, function, value };
                }
                let is_super = matches!(&*attribute.value, Expr::Call(inner)
                    if matches!(&*inner.func, Expr::Name(n) if n.id.as_str() == "super"));
                let receiver = self.evaluate(&attribute.value);
                let mut function = Self::class_of(&receiver)
                    .filter(|_| !is_super)
                    .and_then(|class| self.index.method(class, &name));
                if function.is_none() && Self::class_of(&receiver).is_none() && !is_super {
                    function = self.guess_method(&attribute.value, &receiver, &name);
                }
                let value = match function {
                    Some(id) => Value::of_kind(Kind::Function(id)),
                    None => Self::class_of(&receiver)
                        .and_then(|class| {
                            self.knowledge.attributes.get(&(class, name.clone())).cloned()
                        })
                        .or_else(|| {
                            let written = written.as_deref()?;
                            self.names.lookup(written).map(|binding| binding.value.clone())
                        })
                        .unwrap_or_default(),
                };
                Callee { path, written, name, receiver: Some(receiver), function, value }
            }
            Expr::Name(name) => {
                let value = self.read_name(name.id.as_str());
                let function = match value.kind {
                    Kind::Function(id) => Some(id),
                    _ => None,
                };
                let name = name.id.to_string();
                Callee { path, written, name, receiver: None, function, value }
            }
            other => {
                let value = self.evaluate(other);
                // `self.model["generator"](x)` is named by what it is taken from.
                let base = match other {
                    Expr::Subscript(subscript) => dotted(&subscript.value),
                    _ => None,
                };
                let name = base.as_deref().and_then(|b| b.rsplit('.').next()).unwrap_or_default();
                let name = name.to_owned();
                Callee { path, written, name, receiver: None, function: None, value }
            }
        }
    }

    /// Whether a resolved path names something in a module rather than a method of an imported object.
    fn is_module_path(&self, path: &str) -> bool {
        let Some((parent, _)) = path.rsplit_once('.') else { return false };
        path.starts_with("torch.")
            || path.starts_with("numpy.")
            || self.index.class_at(parent).is_none()
                && parent.chars().all(|c| !c.is_ascii_uppercase())
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
            let holder = dotted(receiver)?.to_ascii_lowercase();
            let last = holder.rsplit('.').next().unwrap_or(&holder);
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
        self.index.unique_method(name)
    }

    fn apply(
        &mut self,
        call: &'a ExprCall,
        callee: &Callee,
        arguments: &[(&'a Expr, Value)],
    ) -> Value {
        let name = callee.name.as_str();
        if let Some(value) = self.apply_training(call, callee, arguments) {
            return value;
        }
        if let Some(id) = callee.function {
            return self.apply_function(call, id, callee, arguments);
        }
        if let Some(path) = &callee.path
            && let Some(value) = self.apply_torch(call, path, arguments)
        {
            return value;
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
            Kind::Module | Kind::Criterion => {
                return self.apply_module(call, None, callee, arguments);
            }
            _ => {}
        }
        if let Some(receiver) = &callee.receiver
            && let Some(value) = self.apply_method(
                call,
                &callee.name,
                callee.written.as_deref(),
                receiver,
                arguments,
            )
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
            let own = callee.written.as_deref().is_some_and(|w| w.starts_with("self."));
            let known_plain = matches!(callee.value.kind, Kind::Plain);
            if !known_plain
                && !name.starts_with(|c: char| c.is_ascii_uppercase())
                && (api::names_a_network(name)
                    || callee.receiver.is_some() && self.is_forward_of_network(call, name)
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
    fn unknown_result(
        &mut self,
        call: &'a ExprCall,
        callee: &Callee,
        arguments: &[(&'a Expr, Value)],
    ) -> Value {
        let mut value = combine(arguments.iter().map(|(_, value)| value));
        (value.kind, value.graph) = (Kind::Unknown, Graph::Maybe);
        (value.scalar, value.host, value.latent) = (false, false, Bits::default());
        if let Some(receiver) = &callee.receiver {
            value.containers = value.containers.union(receiver.containers);
            value.params = value.params.union(receiver.params);
            value.may = value.may.union(receiver.may);
            value.must = value.must.union(receiver.must);
        }
        if self.facts.graphs.len() < 40 && self.mode != Mode::Off && value.params.is_empty() {
            value.latent = Bits::one(self.facts.graphs.len());
            self.facts.graphs.push(call.range());
            value.may = value.may.union(value.latent);
            value.must = value.must.union(value.latent);
        }
        value
    }

    /// `encoder.forward_pass(x)`.
    fn is_forward_of_network(&self, call: &ExprCall, name: &str) -> bool {
        let Expr::Attribute(attribute) = &*call.func else { return false };
        let holder = dotted(&attribute.value).unwrap_or_default();
        name.starts_with("forward")
            && api::names_a_network(holder.rsplit('.').next().unwrap_or_default())
    }

    fn is_layer(&self, name: &str) -> bool {
        let Some(class) = self.class else { return false };
        self.index.method(class, name).is_none()
            && self
                .knowledge
                .attributes
                .get(&(class, name.to_owned()))
                .is_some_and(|value| matches!(value.kind, Kind::Module))
    }

    /// `backward`, `zero_grad`, `eval`, `train`: what steers training.
    fn apply_training(
        &mut self,
        call: &'a ExprCall,
        callee: &Callee,
        arguments: &[(&'a Expr, Value)],
    ) -> Option<Value> {
        let keyword_true = |name: &str| {
            call.arguments.keywords.iter().any(|keyword| {
                keyword.arg.as_ref().is_some_and(|arg| arg.as_str() == name)
                    && matches!(&keyword.value, Expr::BooleanLiteral(b) if b.value)
            })
        };
        match callee.name.as_str() {
            "backward" | "manual_backward" | "backward_step" => {
                let receiver = callee.receiver.clone().unwrap_or_default();
                let first = arguments.first().map(|(_, value)| value.clone());
                let of_receiver = receiver.is_attached()
                    || (!receiver.params.is_empty() || !receiver.containers.is_empty())
                        && first.as_ref().is_none_or(|v| !v.is_attached())
                    || arguments.is_empty();
                let value = if of_receiver { receiver } else { first.unwrap_or_default() };
                let path_of_autograd =
                    callee.path.as_deref().is_some_and(|p| p.starts_with("torch.autograd"));
                if callee.function.is_none() || value.is_attached() || path_of_autograd {
                    self.run_backward(
                        call,
                        value,
                        keyword_true("retain_graph"),
                        keyword_true("create_graph"),
                        of_receiver,
                    );
                    return Some(Value::plain());
                }
                None
            }
            "grad" if callee.path.as_deref() == Some("torch.autograd.grad") => {
                self.facts.wants_grad = true;
                let value = arguments.first().map(|(_, value)| value.clone()).unwrap_or_default();
                let creates = call.arguments.keywords.iter().any(|k| {
                    k.arg
                        .as_ref()
                        .is_some_and(|a| matches!(a.as_str(), "create_graph" | "retain_graph"))
                        && !matches!(&k.value, Expr::BooleanLiteral(b) if !b.value)
                });
                self.consume(&value, creates);
                Some(if creates {
                    Value { kind: Kind::List, graph: Graph::Maybe, ..value }
                } else {
                    Value { kind: Kind::List, ..Value::detached() }
                })
            }
            "zero_grad" => {
                self.facts.clears_grads = true;
                Some(Value::plain())
            }
            "step" if callee.receiver.is_some() && callee.function.is_none() => {
                let holder = callee.written.clone().unwrap_or_default().to_ascii_lowercase();
                if holder.contains("opt")
                    || matches!(callee.receiver.as_ref().map(|r| &r.kind), Some(Kind::Optimizer))
                {
                    self.summary.steps_optimizer = true;
                }
                // `optimizer.step(closure)` may hand the loss back.
                None
            }
            "eval" if arguments.is_empty() && callee.function.is_none() => {
                self.facts.calls_eval = true;
                callee.receiver.clone().map(as_module)
            }
            "train" if arguments.len() <= 1 && callee.function.is_none() => {
                let off =
                    matches!(arguments.first(), Some((Expr::BooleanLiteral(b), _)) if !b.value);
                if off {
                    self.facts.calls_eval = true;
                } else {
                    self.facts.calls_train = true;
                }
                callee.receiver.clone().map(as_module)
            }
            "requires_grad_" if !matches!(arguments.first(), Some((Expr::BooleanLiteral(b), _)) if !b.value) =>
            {
                self.facts.wants_grad = true;
                None
            }
            "clear" => {
                if let Expr::Attribute(attribute) = &*call.func {
                    self.clear_container(&attribute.value);
                }
                Some(Value::plain())
            }
            name if callee.receiver.is_none()
                && name.contains("scaler")
                && arguments.len() >= 2
                && callee.function.is_none() =>
            {
                let value = arguments.first().map(|(_, value)| value.clone()).unwrap_or_default();
                self.run_backward(call, value, false, false, false);
                Some(Value::plain())
            }
            _ => None,
        }
    }

    fn run_backward(
        &mut self,
        call: &'a ExprCall,
        value: Value,
        retain_graph: bool,
        create_graph: bool,
        direct: bool,
    ) {
        self.facts.runs_backward = true;
        self.mark_loops_with_backward();
        self.consume(&value, retain_graph || create_graph);
        self.facts.backwards.push(Backward {
            call,
            value,
            in_loop: self.in_loop,
            retain_graph,
            create_graph,
            direct,
        });
    }

    fn mark_loops_with_backward(&mut self) {
        let mut at = self.in_loop;
        while let Some(number) = at {
            let Some(this) = self.facts.loops.get_mut(number) else { return };
            this.has_backward = true;
            at = this.parent;
        }
    }

    /// Calls of networks and loss functions.
    fn apply_module(
        &mut self,
        call: &'a ExprCall,
        class: Option<crate::index::ClassId>,
        callee: &Callee,
        arguments: &[(&'a Expr, Value)],
    ) -> Value {
        let criterion = matches!(callee.value.kind, Kind::Criterion)
            || class.is_none() && api::names_a_criterion(&callee.name);
        let inputs = combine(arguments.iter().map(|(_, value)| value));
        if criterion && inputs.graph == Graph::No && !arguments.is_empty() {
            return Value { scalar: true, output: inputs.output, ..Value::detached() };
        }
        if !criterion || inputs.graph != Graph::Yes {
            self.facts.model_calls.push(ModelCall {
                range: call.range(),
                in_loop: self.in_loop,
                mode: self.mode,
                criterion,
                in_except: self.in_except,
            });
        }
        let fresh = self.new_graph(call.range());
        let mut result = fresh.clone();
        if let Some(id) = class.and_then(|class| self.index.method(class, "forward"))
            && let Some(returns) = self.knowledge.summaries.get(&id).and_then(|s| s.returns.clone())
        {
            result = shaped(&returns, &fresh, 0);
        }
        result.may = result.may.union(inputs.may);
        result.must = result.must.union(inputs.must);
        result.params = result.params.union(inputs.params);
        result.containers = result.containers.union(inputs.containers);
        result.scalar |= criterion && !asks_no_reduction(call);
        result
    }

    /// Functions of the given files, by their summaries.
    fn apply_function(
        &mut self,
        call: &'a ExprCall,
        id: FunctionId,
        callee: &Callee,
        arguments: &[(&'a Expr, Value)],
    ) -> Value {
        let offset = usize::from(
            callee.receiver.is_some() && self.index.function(id).is_some_and(|f| f.class.is_some()),
        );
        let parameter_values = self.match_parameters(call, id, arguments, offset);
        self.record_kept(id, arguments, offset);
        let Some(summary) = self.knowledge.summaries.get(&id).cloned() else {
            let mut value = combine(arguments.iter().map(|(_, v)| v));
            (value.kind, value.graph, value.scalar) = (Kind::Unknown, Graph::Maybe, false);
            return value;
        };
        if callee.name == "forward" && !summary.runs_backward {
            self.facts.model_calls.push(ModelCall {
                range: call.range(),
                in_loop: self.in_loop,
                mode: self.mode,
                criterion: false,
                in_except: self.in_except,
            });
        }
        if summary.runs_backward {
            self.facts.runs_backward = true;
            self.mark_loops_with_backward();
        }
        if summary.clears_grads {
            self.facts.clears_grads = true;
        }
        for number in summary.backward_of.iter() {
            if let Some(value) = parameter_values.get(number).cloned() {
                self.consume(&value, false);
            }
        }
        let Some(returns) = summary.returns else { return Value::plain() };
        let fresh =
            if has_graph(&returns, 0) { self.new_graph(call.range()) } else { Value::plain() };
        let mut value = instantiate(&returns, &fresh, &parameter_values, 0);
        if self.mode == Mode::Off {
            value = strip(&value, 0);
        }
        value
    }

    fn match_parameters(
        &self,
        call: &'a ExprCall,
        id: FunctionId,
        arguments: &[(&'a Expr, Value)],
        offset: usize,
    ) -> Vec<Value> {
        let Some(parameters) = self.index.function(id).and_then(|f| f.parameters) else {
            return Vec::new();
        };
        let names: Vec<&str> = parameters
            .iter_non_variadic_params()
            .map(|p| p.parameter.name.as_str())
            .chain(parameters.vararg.iter().map(|p| p.name.as_str()))
            .chain(parameters.kwarg.iter().map(|p| p.name.as_str()))
            .collect();
        let mut values = vec![Value::plain(); names.len()];
        let positional = call.arguments.args.len();
        let rest = |values: &mut Vec<Value>, at: usize, value: &Value| {
            if let Some(slot) = values.get_mut(at) {
                *slot = combine([&*slot, value].into_iter());
            }
        };
        let vararg = parameters
            .vararg
            .as_ref()
            .and_then(|p| names.iter().position(|n| *n == p.name.as_str()));
        let kwarg = parameters
            .kwarg
            .as_ref()
            .and_then(|p| names.iter().position(|n| *n == p.name.as_str()));
        let plain = parameters.posonlyargs.len() + parameters.args.len();
        for (number, (_, value)) in arguments.iter().take(positional).enumerate() {
            let at = number + offset;
            if at < plain {
                if let Some(slot) = values.get_mut(at) {
                    *slot = value.clone();
                }
            } else if let Some(vararg) = vararg {
                rest(&mut values, vararg, value);
            }
        }
        for (keyword, (_, value)) in
            call.arguments.keywords.iter().zip(arguments.iter().skip(positional))
        {
            let named =
                keyword.arg.as_ref().and_then(|arg| names.iter().position(|n| *n == arg.as_str()));
            match (named, kwarg) {
                (Some(at), _) => {
                    if let Some(slot) = values.get_mut(at) {
                        *slot = value.clone();
                    }
                }
                (None, Some(at)) => rest(&mut values, at, value),
                (None, None) => {}
            }
        }
        values
    }

    /// If the callee keeps what it is given, so does this function for its own parameters.
    fn record_kept(&mut self, id: FunctionId, arguments: &[(&'a Expr, Value)], offset: usize) {
        if id == self.id || self.summary.keeps.len() > 64 {
            return;
        }
        let Some(callee) = self.knowledge.summaries.get(&id) else { return };
        let mut new: Vec<Kept> = Vec::new();
        for kept in &callee.keeps {
            let Some(number) = kept.parameter.checked_sub(offset) else { continue };
            let Some((_, value)) = arguments.get(number) else { continue };
            for parameter in value.params.iter() {
                new.push(Kept { parameter, ..kept.clone() });
            }
        }
        self.summary.keeps.extend(new);
    }
}

fn as_module(value: Value) -> Value {
    match value.kind {
        Kind::Unknown => Value { kind: Kind::Module, ..value },
        _ => value,
    }
}

/// `reduction="none"`, `reduce=False`.
pub(crate) fn asks_no_reduction(call: &ExprCall) -> bool {
    call.arguments.keywords.iter().any(|keyword| match &keyword.arg {
        Some(arg) if arg.as_str() == "reduction" => match &keyword.value {
            Expr::StringLiteral(text) => text.value.to_str() == "none",
            _ => true,
        },
        Some(arg) => arg.as_str() == "reduce",
        None => false,
    })
}

fn has_graph(value: &Value, depth: usize) -> bool {
    if let Kind::Tuple(items) = &value.kind
        && depth < 8
    {
        return items.iter().any(|item| has_graph(item, depth + 1));
    }
    value.graph == Graph::Yes
}

/// A callee's return value in the caller's terms.
fn instantiate(returns: &Value, fresh: &Value, parameters: &[Value], depth: usize) -> Value {
    if let Kind::Tuple(items) = &returns.kind
        && depth < 8
    {
        let items: Vec<Value> =
            items.iter().map(|item| instantiate(item, fresh, parameters, depth + 1)).collect();
        let joint = combine(items.iter());
        return Value { kind: Kind::Tuple(items.into()), ..joint };
    }
    let mut value = Value {
        kind: returns.kind.clone(),
        graph: returns.graph,
        host: returns.host,
        scalar: returns.scalar,
        small: returns.small,
        output: returns.output,
        ..Value::default()
    };
    if returns.graph == Graph::Yes {
        value.graph = fresh.graph;
        (value.may, value.must, value.origin) = (fresh.may, fresh.must, fresh.origin);
    }
    let given = combine(returns.params.iter().filter_map(|number| parameters.get(number)));
    if !returns.params.is_empty() {
        value.may = value.may.union(given.may);
        value.must = value.must.union(given.must);
        value.params = given.params;
        value.containers = given.containers;
        value.origin = value.origin.or(given.origin);
        value.output |= given.output;
        value.graph = match (value.graph, given.graph) {
            (Graph::Yes, _) | (_, Graph::Yes) => Graph::Yes,
            (Graph::Maybe, Graph::No) => Graph::No,
            (graph, _) => graph,
        };
    }
    value
}

/// A module's output: shaped like its forward's return value, attached unless detached there.
fn shaped(returns: &Value, fresh: &Value, depth: usize) -> Value {
    if let Kind::Tuple(items) = &returns.kind
        && depth < 8
    {
        let items: Vec<Value> = items.iter().map(|item| shaped(item, fresh, depth + 1)).collect();
        let joint = combine(items.iter());
        return Value { kind: Kind::Tuple(items.into()), ..joint };
    }
    if returns.graph == Graph::No {
        return Value { output: true, ..returns.without_graph() };
    }
    Value {
        kind: match returns.kind {
            Kind::List | Kind::Dict => returns.kind.clone(),
            _ => Kind::Tensor,
        },
        scalar: returns.scalar,
        ..fresh.clone()
    }
}

fn strip(value: &Value, depth: usize) -> Value {
    match &value.kind {
        Kind::Tuple(items) if depth < 8 => {
            let items: Vec<Value> = items.iter().map(|item| strip(item, depth + 1)).collect();
            Value { kind: Kind::Tuple(items.into()), ..value.without_graph() }
        }
        _ => value.without_graph(),
    }
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
