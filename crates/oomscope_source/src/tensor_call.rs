//! PyTorch's own functions and the methods of tensors and modules.

use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::Ranged;

use crate::placement::{Placement, device_keyword, device_named_by, moved_to};
use crate::torch_api as api;
use crate::training_call::asks_no_reduction;
use crate::value::{Graph, Kind, Value, combine};
use crate::walk::Walker;

impl<'a> Walker<'a, '_> {
    /// A call whose callee is imported: `torch.*` and a few libraries.
    pub(crate) fn apply_torch(
        &mut self,
        call: &'a ExprCall,
        path: &str,
        arguments: &[(&'a Expr, Value)],
    ) -> Option<Value> {
        let name = path.rsplit('.').next().unwrap_or(path);
        let joint = || combine(arguments.iter().map(|(_, value)| value));
        if path.starts_with("torch.nn.functional.") {
            if api::NOT_DIFFERENTIABLE.contains(&name) {
                return Some(Value { small: true, ..Value::detached() });
            }
            let mut value = joint();
            value.kind = Kind::Tensor;
            if api::is_functional_loss(name) {
                if value.graph == Graph::Maybe && value.params.is_empty() {
                    let fresh = self.new_graph(call.range());
                    value.graph = fresh.graph;
                    value.may = value.may.union(fresh.may);
                    value.must = value.must.union(fresh.must);
                }
                value.scalar = !asks_no_reduction(call);
                value.small = false;
            }
            return Some(value);
        }
        if path.starts_with("torch.optim") {
            let is_scheduler = path.contains("lr_scheduler");
            return Some(if is_scheduler {
                Value::plain()
            } else {
                Value::of_kind(Kind::Optimizer)
            });
        }
        if path.starts_with("torch.nn.") {
            if path.starts_with("torch.nn.utils") || path.starts_with("torch.nn.init") {
                return Some(joint());
            }
            if name == "Parameter" {
                return Some(Value { kind: Kind::Tensor, ..Value::default() });
            }
            if !name.starts_with(|c: char| c.is_ascii_uppercase()) {
                return None;
            }
            return Some(Value::of_kind(match name {
                loss if loss.ends_with("Loss") => Kind::Criterion,
                layer if api::WITHOUT_PARAMETERS.contains(&layer) => Kind::Transform,
                _ => Kind::Module,
            }));
        }
        if path.starts_with("torchvision.models.")
            || matches!(
                path,
                "timm.create_model"
                    | "torch.compile"
                    | "torch.hub.load"
                    | "torch.jit.script"
                    | "torch.jit.load"
            )
        {
            return Some(match arguments.first() {
                Some((_, value)) if matches!(value.kind, Kind::Instance(_)) => value.clone(),
                _ => Value::of_kind(Kind::Module),
            });
        }
        if matches!(path, "copy.deepcopy" | "copy.copy") {
            return arguments.first().map(|(_, value)| value.clone());
        }
        if path == "torch.utils.checkpoint.checkpoint" {
            return Some(Value { graph: Graph::Yes, ..self.new_graph(call.range()) });
        }
        if path.starts_with("importlib.") {
            return Some(Value::of_kind(Kind::Unknown));
        }
        if path.starts_with("numpy.") {
            return Some(Value { host: true, ..Value::plain() });
        }
        if path.starts_with("torch.") {
            if api::CREATES.contains(&name) {
                let device = device_keyword(call).and_then(device_named_by);
                return Some(Value {
                    small: name == "multinomial",
                    device: device == Some(Placement::Device),
                    host: device == Some(Placement::Host),
                    ..Value::detached()
                });
            }
            if api::NOT_DIFFERENTIABLE.contains(&name) {
                return Some(Value { small: true, ..Value::detached() });
            }
            if path.starts_with("torch.cuda.")
                || path.starts_with("torch.distributed.")
                || path.starts_with("torch.backends")
                || matches!(name, "device" | "manual_seed" | "is_tensor" | "numel" | "save")
            {
                return Some(Value::plain());
            }
            if path.starts_with("torch.utils.data") {
                return Some(Value::default());
            }
            if name == "load" {
                return Some(Value { graph: Graph::No, ..Value::default() });
            }
            let mut value = joint();
            if matches!(value.kind, Kind::Plain) {
                return Some(Value::default());
            }
            value.kind = if matches!(name, "split" | "chunk" | "unbind") {
                Kind::List
            } else {
                Kind::Tensor
            };
            if matches!(name, "max" | "min" | "topk" | "sort") && arguments.len() > 1 {
                let ids = Value { small: true, ..value.without_graph() };
                return Some(Value { kind: Kind::Tuple([value.clone(), ids].into()), ..value });
            }
            value.scalar = api::REDUCES.contains(&name) && arguments.len() == 1;
            return Some(value);
        }
        if name == "from_pretrained" {
            let has = |words: &[&str]| words.iter().any(|word| path.contains(word));
            if has(&["Tokenizer", "Processor", "Extractor", "Config"]) {
                return Some(Value::plain());
            }
            // Pipelines run their networks under `no_grad` and hand out images and text.
            let kind = if has(&["Pipeline", "Scheduler"]) { Kind::Unknown } else { Kind::Module };
            return Some(Value::of_kind(kind));
        }
        None
    }

    /// A method whose receiver is no instance of a given class with that method.
    pub(crate) fn apply_method(
        &mut self,
        call: &'a ExprCall,
        name: &str,
        receiver: &Value,
        arguments: &[(&'a Expr, Value)],
    ) -> Option<Value> {
        if self.is_network(receiver) {
            return Some(match name {
                "to" | "cuda" | "cpu" | "half" | "float" | "double" | "bfloat16"
                | "requires_grad_" | "compile" | "apply" => receiver.clone(),
                "forward" => self.module_method(call, arguments),
                _ => return None,
            });
        }
        if api::TO_PLAIN.contains(&name) && (name != "type" || arguments.is_empty()) {
            return Some(match name {
                "numpy" => Value { host: true, ..Value::plain() },
                _ => Value::plain(),
            });
        }
        if matches!(name, "detach" | "detach_") {
            self.facts.detached = self.facts.detached.union(receiver.latent);
            return Some(receiver.without_graph());
        }
        if api::NOT_DIFFERENTIABLE.contains(&name) {
            return Some(Value {
                small: true,
                host: receiver.host,
                output: receiver.output,
                ..Value::detached()
            });
        }
        if name == "cpu" {
            return Some(Value { host: true, device: false, ..receiver.derived() });
        }
        if matches!(name, "cuda") {
            return Some(Value { host: false, device: true, ..receiver.derived() });
        }
        if name == "to" {
            let to = moved_to(call);
            return Some(Value {
                host: to == Some(Placement::Host) || receiver.host && to.is_none(),
                device: to == Some(Placement::Device) || receiver.device && to.is_none(),
                scalar: receiver.scalar,
                ..receiver.derived()
            });
        }
        if matches!(name, "max" | "min" | "topk" | "sort") && !arguments.is_empty() {
            let values = receiver.derived();
            let ids = Value { small: true, ..receiver.without_graph() };
            return Some(Value { kind: Kind::Tuple([values, ids].into()), ..receiver.clone() });
        }
        if api::REDUCES.contains(&name) {
            let mut value = receiver.derived();
            value.scalar = arguments.is_empty();
            value.small = true;
            return Some(self.as_recorded(value));
        }
        if api::PASSES.contains(&name) && !matches!(receiver.kind, Kind::List | Kind::Dict) {
            let mut all: Vec<&Value> = vec![receiver];
            all.extend(arguments.iter().map(|(_, value)| value));
            let keeps_shape = matches!(
                name,
                "clone" | "float" | "half" | "mul" | "div" | "add" | "sub" | "squeeze"
            );
            let mut value = if matches!(receiver.kind, Kind::Unknown | Kind::Instance(_))
                && receiver.graph != Graph::Yes
            {
                let mut value = receiver.clone();
                value.containers = all.iter().fold(value.containers, |b, v| b.union(v.containers));
                if combine(all.iter().copied()).graph == Graph::Yes {
                    value = combine(all.iter().copied());
                }
                value
            } else {
                combine(all.into_iter())
            };
            value.host = receiver.host;
            value.device = receiver.device && !receiver.host;
            value.small = receiver.small;
            value.scalar = keeps_shape && receiver.scalar;
            if matches!(name, "chunk" | "split" | "unbind") {
                value.kind = Kind::List;
            }
            return Some(value);
        }
        match name {
            "items" | "values" | "copy" | "get" | "pop" | "popleft"
                if !receiver.containers.is_empty()
                    || receiver.is_attached()
                    || !receiver.params.is_empty() =>
            {
                return Some(Value { scalar: false, ..receiver.clone() });
            }
            "scale" | "gather_for_metrics" | "reduce" | "all_reduce" => {
                let (_, first) = arguments.first()?;
                return Some(first.clone());
            }
            "prepare" => {
                let values: Vec<Value> = arguments.iter().map(|(_, value)| value.clone()).collect();
                return Some(match values.as_slice() {
                    [one] => one.clone(),
                    _ => Value { kind: Kind::Tuple(values.into()), ..Value::default() },
                });
            }
            _ => {}
        }
        None
    }

    /// Whether a value is a neural module.
    pub(crate) fn is_network(&self, value: &Value) -> bool {
        match value.kind {
            Kind::Module => true,
            Kind::Instance(class) => self.index.is_module_class(class),
            _ => false,
        }
    }

    fn module_method(&mut self, call: &'a ExprCall, arguments: &[(&'a Expr, Value)]) -> Value {
        let inputs = combine(arguments.iter().map(|(_, value)| value));
        let mut value = self.new_graph(call.range());
        value.may = value.may.union(inputs.may);
        value.must = value.must.union(inputs.must);
        value
    }
}
