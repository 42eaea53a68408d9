//! Where values are kept: accumulators, lists, dicts, attributes.

use ruff_python_ast::{Expr, ExprCall, Operator};
use ruff_text_size::{Ranged, TextRange};

use crate::environment::Binding;
use crate::facts::{Kept, Owner, Store, StoreKind, TensorKey};
use crate::imports::{last_of_dotted, path_in};
use crate::search::called_name;
use crate::torch_api;
use crate::value::{Bits, Graph, Kind, Value, combine};
use crate::walk::Walker;

impl<'a> Walker<'a, '_> {
    /// `x += v`.
    pub(crate) fn store_augmented(
        &mut self,
        target: &'a Expr,
        value_expr: &'a Expr,
        value: &Value,
        range: TextRange,
    ) {
        let old = self.evaluate_quietly(target);
        let is_list = matches!(value_expr, Expr::List(_) | Expr::ListComp(_))
            || matches!(old.kind, Kind::List)
            || matches!(value.kind, Kind::List);
        let kind = if is_list { StoreKind::Append } else { StoreKind::Accumulate };
        let value = value.clone();
        self.record_store(kind, target, value_expr, &value, range);
        let mut new = combine([&old, &value].into_iter());
        new.scalar = value.scalar;
        if is_list {
            new.kind = Kind::List;
        }
        if let Some(number) = self.container_of(target) {
            new.containers = new.containers.union(Bits::one(number));
        }
        self.rebind(target, new);
    }

    /// `x = x + v`, `x = m * x + v`, `x = torch.cat((x, v))`: true if it was one and has been
    /// recorded.
    pub(crate) fn store_rebound(
        &mut self,
        target: &'a Expr,
        value_expr: &'a Expr,
        range: TextRange,
    ) -> bool {
        // `x = x + v if x else v`
        let sum = match value_expr {
            Expr::If(choice) if choice.body.is_bin_op_expr() => &*choice.body,
            Expr::If(choice) => &*choice.orelse,
            other => other,
        };
        if let Expr::BinOp(op) = sum
            && matches!(op.op, Operator::Add)
            && let Some(path) = self.path(target)
            && let Some(added) = added_to(self.text, path, op)
        {
            if mentions(self.text, added, path) {
                return false;
            }
            let value = self.evaluate(added);
            self.store_augmented(target, added, &value, range);
            return true;
        }
        if let Expr::Call(call) = value_expr
            && let Some(parts) = concatenated(call)
            && let Some(path) = self.path(target)
            && parts.iter().any(|part| self.path(part) == Some(path))
        {
            let new = self.evaluate(value_expr);
            // What NumPy joins is no tensor.
            let is_tensor = !matches!(new.kind, Kind::Plain);
            for part in parts.iter().filter(|_| is_tensor) {
                if self.path(part) == Some(path) {
                    continue;
                }
                let value = self.evaluate_quietly(part);
                self.record_store(StoreKind::Cat, target, part, &value, range);
            }
            let mut new = new;
            if let Some(number) = self.container_of(target) {
                new.containers = new.containers.union(Bits::one(number));
            }
            self.rebind(target, new);
            return true;
        }
        false
    }

    /// `self.x = v`, `x[k] = v`.
    pub(crate) fn store_assigned(
        &mut self,
        target: &'a Expr,
        value_expr: &'a Expr,
        value: &Value,
        range: TextRange,
    ) {
        match target {
            Expr::Subscript(subscript) => {
                let base = self.evaluate(&subscript.value);
                let key = self.evaluate(&subscript.slice);
                if matches!(base.kind, Kind::Dict) {
                    self.note_key(&subscript.value, &subscript.slice, key);
                }
                if !matches!(base.kind, Kind::List | Kind::Dict) {
                    // Writing into a tensor copies: nothing is kept but the graph, if any.
                    if matches!(base.kind, Kind::Tensor) && value.is_attached() {
                        let scalar = base.scalar;
                        let written = Value { scalar, ..combine([&base, value].into_iter()) };
                        self.rebind(&subscript.value, written);
                    }
                    return;
                }
                let fixed = matches!(
                    &*subscript.slice,
                    Expr::StringLiteral(_) | Expr::NumberLiteral(_) | Expr::BooleanLiteral(_)
                );
                let kind = if fixed { StoreKind::FixedKey } else { StoreKind::Subscript };
                self.record_store(kind, &subscript.value, value_expr, value, range);
            }
            Expr::Attribute(attribute) => {
                let Some(path) = self.path(target) else { return };
                let owner = self.evaluate(&attribute.value);
                match attribute.attr.as_str() {
                    "grad" => {
                        self.facts.clears_grads = true;
                        return;
                    }
                    "requires_grad" if self.is_network(&owner) && path != "self.requires_grad" => {
                        self.facts.inert_freezes.push(range);
                        return;
                    }
                    _ => {}
                }
                let mut learnt = value.clone();
                if let Some(container) = self.container_for_literal(path, value_expr, value) {
                    self.attribute_containers.insert(path, container);
                    if let Some(container) = self.facts.containers.get_mut(container) {
                        container.made_in = None;
                    }
                    self.facts.emptied.push(attribute.attr.as_str());
                    learnt = Value { kind: value.kind.clone(), ..Value::of_kind(Kind::Unknown) };
                }
                if let Some(class) = Self::class_of(&owner) {
                    self.learn_attribute(class, attribute.attr.as_str(), &learnt);
                }
                self.record_store(StoreKind::Attribute, target, value_expr, value, range);
                let bound =
                    Binding { value: value.clone(), bound_in: self.in_loop, container: None };
                self.names.bind(path, bound);
            }
            Expr::Name(_) => {
                self.record_store(StoreKind::Attribute, target, value_expr, value, range);
            }
            _ => {}
        }
    }

    /// `x.append(v)` and its kin.
    pub(crate) fn store_by_method(&mut self, call: &'a ExprCall, arguments: &[(&'a Expr, Value)]) {
        let Expr::Attribute(attribute) = &*call.func else { return };
        let receiver = &*attribute.value;
        let stored = match attribute.attr.as_str() {
            "append" | "extend" | "appendleft" | "add" => arguments.first(),
            "insert" if matches!(arguments, [(Expr::NumberLiteral(_), _), _]) => arguments.get(1),
            "pop" | "popleft" | "popitem" | "remove" => {
                self.facts.emptied.push(last_name(container_base(receiver)));
                return;
            }
            _ => return,
        };
        let Some((expr, value)) = stored else { return };
        let (expr, value) = (*expr, value.clone());
        let base = container_base(receiver);
        if attribute.attr.as_str() == "add" {
            let known = self.evaluate_quietly(base);
            if !matches!(known.kind, Kind::List) {
                return;
            }
            self.note_key(base, expr, value.clone());
        }
        if let Expr::Subscript(subscript) = receiver
            && !matches!(&*subscript.slice, Expr::StringLiteral(_) | Expr::NumberLiteral(_))
            && matches!(self.evaluate_quietly(&subscript.value).kind, Kind::Dict)
        {
            let key = self.evaluate_quietly(&subscript.slice);
            self.note_key(&subscript.value, &subscript.slice, key);
        }
        self.record_store(StoreKind::Append, base, expr, &value, call.range());
    }

    /// Remembers a key that is a tensor, or may be one by what callers give.
    fn note_key(&mut self, container: &'a Expr, key: &'a Expr, value: Value) {
        let may_be = matches!(value.kind, Kind::Tensor)
            || matches!(value.kind, Kind::Unknown) && !value.params.is_empty();
        if may_be && key.is_name_expr() {
            self.facts.tensor_keys.push(TensorKey { container, key, value });
        }
    }

    /// `x.clear()`, `del x[:]`.
    pub(crate) fn clear_container(&mut self, receiver: &'a Expr) {
        let base = container_base(receiver);
        let name = last_name(base);
        self.facts.emptied.push(name);
        if let Some(number) = self.container_of(base)
            && let Some(container) = self.facts.containers.get_mut(number)
        {
            container.cleared = true;
        }
    }

    /// A container number for a name that is bound to an empty or literal container or a number.
    pub(crate) fn container_for_literal(
        &mut self,
        name: &'a str,
        expr: &Expr,
        value: &Value,
    ) -> Option<usize> {
        let is_container = match expr {
            Expr::List(_)
            | Expr::Dict(_)
            | Expr::Set(_)
            | Expr::NumberLiteral(_)
            | Expr::NoneLiteral(_) => true,
            Expr::Call(call) => {
                let last = last_of_dotted(&call.func).unwrap_or_default();
                !is_bounded_queue(expr)
                    && matches!(
                        last,
                        "list"
                            | "dict"
                            | "set"
                            | "defaultdict"
                            | "OrderedDict"
                            | "deque"
                            | "zeros"
                            | "tensor"
                            | "zeros_like"
                            | "Counter"
                            | "empty"
                    )
            }
            _ => false,
        };
        let is_container = is_container || matches!(value.kind, Kind::List | Kind::Dict);
        is_container.then(|| {
            let number = self.new_container(name, self.in_loop);
            if value.graph != Graph::No
                && let Some(container) = self.facts.containers.get_mut(number)
            {
                container.stored = value.clone();
            }
            number
        })
    }

    /// The container number of a target, made on first use.
    pub(crate) fn container_of(&mut self, target: &Expr) -> Option<usize> {
        let path = self.path(container_base(target))?;
        if let Some(number) = self.attribute_containers.get(path) {
            return Some(*number);
        }
        if path.contains('.') {
            return Some(self.attribute_container(path));
        }
        let Some(binding) = self.names.lookup(path).cloned() else {
            return Some(self.attribute_container(path));
        };
        if let Some(number) = binding.container {
            return Some(number);
        }
        let number = self.new_container(path, binding.bound_in);
        self.names.bind(path, Binding { container: Some(number), ..binding });
        Some(number)
    }

    fn owner_of(&self, path: &str) -> Owner {
        if path.contains('.') {
            return Owner::Object;
        }
        match self.names.lookup(path) {
            _ if self.globals.contains(path) => Owner::Global,
            Some(_) if self.parameters.contains(&path) && !self.is_reassigned(path) => {
                Owner::Parameter
            }
            Some(_) => Owner::Local,
            None => Owner::Global,
        }
    }

    /// Whether a parameter's name has been given another value.
    fn is_reassigned(&self, name: &str) -> bool {
        self.facts
            .assignments
            .iter()
            .any(|assignment| matches!(assignment.target, Expr::Name(n) if n.id.as_str() == name))
    }

    fn record_store(
        &mut self,
        kind: StoreKind,
        target: &'a Expr,
        value_expr: &'a Expr,
        value: &Value,
        range: TextRange,
    ) {
        if matches!(value.kind, Kind::Plain) {
            return;
        }
        let base = container_base(target);
        let Some(path) = self.path(base) else { return };
        let is_count = kind == StoreKind::Accumulate
            && last_of_dotted(value_expr).is_some_and(torch_api::names_a_count);
        if is_count {
            return;
        }
        let owner = self.owner_of(path);
        let container = self.container_of(target);
        let mut outlives_loop = owner != Owner::Local;
        // Higher numbers share a place in the set.
        let is_carried =
            matches!(kind, StoreKind::Attribute | StoreKind::Subscript | StoreKind::FixedKey)
                && container.is_some_and(|number| number < 63 && value.containers.contains(number));
        if let Some(number) = container
            && let Some(kept) = self.facts.containers.get_mut(number)
        {
            outlives_loop |= kept.made_in != self.in_loop;
            kept.filled_in = kept.filled_in.max(self.in_loop);
            if kind != StoreKind::Attribute {
                kept.off_host |= !value.host;
                let stored = &mut kept.stored;
                stored.host = !kept.off_host;
                stored.graph = stored.graph.max(value.graph);
                stored.may = stored.may.union(value.may);
                stored.must = stored.must.union(value.must);
                stored.params = stored.params.union(value.params);
                stored.containers =
                    stored.containers.union(value.containers).union(Bits::one(number));
                stored.output |= value.output;
            }
        }
        let target_name = last_name(base);
        if owner != Owner::Local {
            for parameter in value.params.iter() {
                self.summary.keeps.push(Kept {
                    parameter,
                    // What is mixed into a mean grows; a state that is handed on does not.
                    kind: if is_carried && kind != StoreKind::Attribute {
                        StoreKind::Accumulate
                    } else {
                        kind
                    },
                    target: path,
                    target_name,
                    range,
                    by: self.id,
                });
            }
        }
        if owner == Owner::Object
            && kind == StoreKind::Accumulate
            && let Expr::Attribute(attribute) = base
        {
            let holder = self.evaluate_quietly(&attribute.value);
            if let Some(class) = Self::class_of(&holder) {
                self.learn_attribute(class, attribute.attr.as_str(), value);
            }
        }
        let mut pieces = Vec::new();
        self.collect_pieces(value_expr, value, &mut pieces);
        self.facts.stores.push(Store {
            kind,
            owner,
            target: path,
            target_name,
            container,
            value: value.clone(),
            pieces,
            range,
            value_range: value_expr.range(),
            in_loop: self.in_loop,
            outlives_loop,
            consumed: self.names.consumed,
            is_carried,
        });
    }
}

/// `deque(maxlen=n)`, or `deque(x, n)`.
pub(crate) fn is_bounded_queue(expr: &Expr) -> bool {
    let Expr::Call(call) = expr else { return false };
    let keywords = &call.arguments.keywords;
    keywords.iter().any(|k| k.arg.as_ref().is_some_and(|arg| arg.as_str() == "maxlen"))
        || called_name(call) == "deque" && call.arguments.args.len() > 1
}

/// `dict(..)` or a constructor, by its capital.
pub(crate) fn constructs(call: &ExprCall) -> bool {
    let Some(last) = last_of_dotted(&call.func) else { return false };
    last == "dict"
        || (last.starts_with(|c: char| c.is_ascii_uppercase()) && !last.ends_with("Loss"))
}

/// The name under subscripts and `setdefault`: the container itself.
fn container_base(expr: &Expr) -> &Expr {
    let mut at = expr;
    for _ in 0..16 {
        at = match at {
            Expr::Subscript(subscript) => &subscript.value,
            Expr::Call(call) => match &*call.func {
                Expr::Attribute(a) if matches!(a.attr.as_str(), "setdefault" | "get") => &a.value,
                _ => return at,
            },
            _ => return at,
        };
    }
    at
}

fn last_name(expr: &Expr) -> &str {
    match expr {
        Expr::Name(name) => name.id.as_str(),
        Expr::Attribute(attribute) => attribute.attr.as_str(),
        _ => "",
    }
}

/// The other operand of `path + other` or `other + path`; the path may be scaled: `0.9 * path`.
fn added_to<'a>(text: &str, path: &str, op: &'a ruff_python_ast::ExprBinOp) -> Option<&'a Expr> {
    if is_scaled(text, path, &op.left) {
        return Some(&op.right);
    }
    is_scaled(text, path, &op.right).then_some(&*op.left)
}

fn is_scaled(text: &str, path: &str, expr: &Expr) -> bool {
    let is_path = |expr: &Expr| path_in(text, expr) == Some(path);
    match expr {
        Expr::BinOp(op) if matches!(op.op, Operator::Mult) => {
            is_path(&op.left) || is_path(&op.right)
        }
        other => is_path(other),
    }
}

/// Whether an expression reads a name.
fn mentions(text: &str, expr: &Expr, path: &str) -> bool {
    use ruff_python_ast::visitor::{Visitor, walk_expr};
    struct Search<'s> {
        text: &'s str,
        path: &'s str,
        found: bool,
    }
    impl<'a> Visitor<'a> for Search<'_> {
        fn visit_expr(&mut self, expr: &'a Expr) {
            if self.found {
                return;
            }
            if matches!(expr, Expr::Name(_) | Expr::Attribute(_))
                && path_in(self.text, expr) == Some(self.path)
            {
                self.found = true;
                return;
            }
            walk_expr(self, expr);
        }
    }
    let mut search = Search { text, path, found: false };
    search.visit_expr(expr);
    search.found
}

/// The tensors that `torch.cat((a, b))` and its kin join.
pub(crate) fn concatenated(call: &ExprCall) -> Option<&[Expr]> {
    let Expr::Attribute(attribute) = &*call.func else { return None };
    if !matches!(
        attribute.attr.as_str(),
        "cat" | "concat" | "concatenate" | "vstack" | "hstack" | "stack" | "append"
    ) {
        return None;
    }
    match call.arguments.args.first()? {
        Expr::Tuple(tuple) => Some(&tuple.elts),
        Expr::List(list) => Some(&list.elts),
        _ => None,
    }
}
