//! Calls of functions of the given files, by their summaries.

use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::Ranged;

use crate::call::Callee;
use crate::facts::{Kept, Mode, ModelCall};
use crate::index::FunctionId;
use crate::value::{Graph, Kind, Value, combine};
use crate::walk::Walker;

impl<'a> Walker<'a, '_> {
    /// Functions of the given files, by their summaries.
    pub(crate) fn apply_function(
        &mut self,
        call: &'a ExprCall,
        id: FunctionId,
        callee: &Callee<'a>,
        arguments: &[(&'a Expr, Value)],
    ) -> Value {
        let offset = usize::from(
            callee.receiver.is_some() && self.index.function(id).is_some_and(|f| f.class.is_some()),
        );
        let parameter_values = self.match_parameters(call, id, arguments, offset);
        if !callee.fleeting {
            self.record_kept(id, arguments, offset);
        }
        let Some(summary) = self.summary_of(id) else {
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
        let Some(returns) = &summary.returns else {
            if self.index.function(id).is_some_and(crate::index::Function::is_abstract) {
                return self.unknown_result(call, callee, arguments);
            }
            return Value::plain();
        };
        let fresh =
            if has_graph(returns, 0) { self.new_graph(call.range()) } else { Value::plain() };
        if summary.returns_freed {
            self.names.consumed = self.names.consumed.union(fresh.must);
        }
        let mut value = instantiate(returns, &fresh, &parameter_values, 0);
        if self.mode == Mode::Off {
            value = strip(&value, 0);
        }
        value
    }

    pub(crate) fn match_parameters(
        &self,
        call: &'a ExprCall,
        id: FunctionId,
        arguments: &[(&'a Expr, Value)],
        offset: usize,
    ) -> Vec<Value> {
        let Some(function) = self.index.function(id) else { return Vec::new() };
        let Some(parameters) = function.parameters else { return Vec::new() };
        let names = &function.parameter_names;
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
    pub(crate) fn record_kept(
        &mut self,
        id: FunctionId,
        arguments: &[(&'a Expr, Value)],
        offset: usize,
    ) {
        if id == self.id || self.summary.keeps.len() > 64 {
            return;
        }
        let Some(callee) = self.summary_of(id) else { return };
        let mut new: Vec<Kept<'a>> = Vec::new();
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
        device: returns.device,
        scalar: returns.scalar,
        small: returns.small,
        output: returns.output,
        ..Value::default()
    };
    if returns.graph == Graph::Yes {
        value.graph = fresh.graph;
        (value.may, value.must) = (fresh.may, fresh.must);
    }
    let given = combine(returns.params.iter().filter_map(|number| parameters.get(number)));
    if !returns.params.is_empty() {
        value.may = value.may.union(given.may);
        value.must = value.must.union(given.must);
        value.params = given.params;
        value.containers = given.containers;
        value.output |= given.output;
        value.graph = match (value.graph, given.graph) {
            (Graph::Yes, _) | (_, Graph::Yes) => Graph::Yes,
            (Graph::Maybe, Graph::No) => Graph::No,
            (graph, _) => graph,
        };
    }
    value
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
