//! Calls that steer training: `backward`, `zero_grad`, `eval`, `train`; and those that run a network.

use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::Ranged;

use crate::call::Callee;
use crate::facts::{Backward, ModelCall};
use crate::torch_api as api;
use crate::value::{Graph, Kind, Value, combine};
use crate::walk::Walker;

impl<'a> Walker<'a, '_> {
    /// `backward`, `zero_grad`, `eval`, `train`: what steers training.
    pub(crate) fn apply_training(
        &mut self,
        call: &'a ExprCall,
        callee: &Callee<'a>,
        arguments: &[(&'a Expr, Value)],
    ) -> Option<Value> {
        let keyword_true = |name: &str| {
            call.arguments.keywords.iter().any(|keyword| {
                keyword.arg.as_ref().is_some_and(|arg| arg.as_str() == name)
                    && matches!(&keyword.value, Expr::BooleanLiteral(b) if b.value)
            })
        };
        match callee.name {
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
                let holder = self.path(&call.func).unwrap_or_default().to_ascii_lowercase();
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

    pub(crate) fn run_backward(
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

    pub(crate) fn mark_loops_with_backward(&mut self) {
        let mut at = self.in_loop;
        while let Some(number) = at {
            let Some(this) = self.facts.loops.get_mut(number) else { return };
            this.has_backward = true;
            at = this.parent;
        }
    }

    /// Calls of networks and loss functions.
    pub(crate) fn apply_module(
        &mut self,
        call: &'a ExprCall,
        class: Option<crate::index::ClassId>,
        callee: &Callee<'a>,
        arguments: &[(&'a Expr, Value)],
    ) -> Value {
        let criterion =
            matches!(callee.value.kind, Kind::Criterion) || api::names_a_criterion(callee.name);
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
        let mut fresh = self.new_graph(call.range());
        fresh.may = fresh.may.union(inputs.may);
        fresh.must = fresh.must.union(inputs.must);
        fresh.params = fresh.params.union(inputs.params);
        fresh.containers = fresh.containers.union(inputs.containers);
        let mut result = fresh.clone();
        if let Some(id) = class.and_then(|class| self.index.method(class, "forward"))
            && let Some(returns) = self.summary_of(id).and_then(|s| s.returns.clone())
        {
            result = shaped(&returns, &fresh, 0);
        }
        result.scalar |= criterion && !asks_no_reduction(call);
        result
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
