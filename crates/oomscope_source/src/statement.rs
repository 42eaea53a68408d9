//! Statements: branches, loops, grad mode, assignments.

use ruff_python_ast::{ExceptHandler, Expr, Operator, Stmt, StmtFor, StmtIf, StmtTry, StmtWith};
use ruff_text_size::Ranged;

use crate::environment::Binding;
use crate::facts::{Assignment, Carried, ExceptBlock, Loop, Mode};
use crate::imports::last_of_dotted;
use crate::search::called_name;
use crate::torch_api;
use crate::value::{Bits, Graph, Kind, Value};
use crate::walk::Walker;

impl<'a> Walker<'a, '_> {
    pub(crate) fn walk_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::Expr(s) => {
                self.evaluate(&s.value);
                if let Expr::Call(call) = &*s.value {
                    let recorded = self.facts.calls.iter_mut().rev();
                    if let Some(call) = recorded.take(8).find(|c| std::ptr::eq(c.call, call)) {
                        call.is_statement = true;
                    }
                }
            }
            Stmt::Assign(s) => {
                for target in &s.targets {
                    self.facts.assignments.push(Assignment {
                        target,
                        value: &s.value,
                        range: s.range(),
                    });
                }
                self.walk_assign(&s.targets, &s.value, stmt);
            }
            Stmt::AnnAssign(s) => {
                if let Some(value) = &s.value {
                    self.facts.assignments.push(Assignment {
                        target: &s.target,
                        value,
                        range: s.range(),
                    });
                    self.walk_assign(std::slice::from_ref(&*s.target), value, stmt);
                }
            }
            Stmt::AugAssign(s) => {
                let value = self.evaluate(&s.value);
                if matches!(s.op, Operator::Add | Operator::Sub) {
                    self.store_augmented(&s.target, &s.value, &value, stmt.range());
                } else {
                    let old = self.evaluate(&s.target);
                    let new = crate::value::combine([&old, &value].into_iter());
                    self.rebind(&s.target, new);
                }
            }
            Stmt::Return(s) => {
                if let Some(expr) = &s.value {
                    let value = self.evaluate(expr);
                    if value.graph != Graph::No {
                        self.facts.returns.push(expr);
                    }
                    self.leave_with(value);
                }
                self.names.ended = true;
            }
            Stmt::Raise(s) => {
                for expr in [&s.exc, &s.cause].into_iter().flatten() {
                    self.evaluate(expr);
                }
                self.names.ended = true;
            }
            Stmt::Break(_) | Stmt::Continue(_) => self.names.ended = true,
            Stmt::If(s) => self.walk_if(s),
            Stmt::For(s) => self.walk_for(s),
            Stmt::While(s) => {
                self.evaluate(&s.test);
                let endless = matches!(&*s.test, Expr::BooleanLiteral(b) if b.value)
                    || matches!(&*s.test, Expr::NumberLiteral(_));
                let what = self.source(&*s.test);
                self.enter_loop(Loop {
                    range: s.range(),
                    parent: self.in_loop,
                    over_data: endless || torch_api::names_data(what),
                    endless,
                    what,
                    has_backward: false,
                    goes_over: Bits::default(),
                });
                self.walk_body(&s.body);
                self.leave_loop();
                self.walk_body(&s.orelse);
            }
            Stmt::With(s) => self.walk_with(s),
            Stmt::Try(s) => self.walk_try(s),
            Stmt::Match(s) => {
                self.evaluate(&s.subject);
                let mark = self.names.mark(self.facts.graphs.len());
                let mut branches = Vec::new();
                for case in &s.cases {
                    self.walk_body(&case.body);
                    branches.push(self.names.take_branch(&mark));
                }
                branches.push(self.names.take_branch(&mark));
                self.names.join_branches(&mark, branches);
            }
            Stmt::FunctionDef(def) => {
                let key = (self.file, def.name.start().to_u32());
                if let Some(id) = self.index.by_start.get(&key) {
                    let value = Value::of_kind(Kind::Function(*id));
                    self.bind(def.name.as_str(), value);
                }
            }
            Stmt::ClassDef(def) => {
                if let Some(id) = self.index.class_named(self.file, def.name.as_str()) {
                    let value = Value::of_kind(Kind::Class(id));
                    self.bind(def.name.as_str(), value);
                    let statements: Vec<&'a Stmt> = self
                        .index
                        .class(id)
                        .map_or_else(Vec::new, |class| class.statements.clone());
                    for inner in statements {
                        if let Stmt::Assign(assign) = inner
                            && let [Expr::Name(name)] = assign.targets.as_slice()
                        {
                            let value = self.evaluate(&assign.value);
                            self.learn_attribute(id, name.id.as_str(), &value);
                        }
                    }
                }
            }
            Stmt::Delete(s) => {
                for target in &s.targets {
                    if let Some(path) = self.path(target) {
                        self.bind(path, Value::plain());
                    } else if let Expr::Subscript(subscript) = target {
                        self.clear_container(&subscript.value);
                    }
                }
            }
            Stmt::Assert(s) => {
                self.evaluate(&s.test);
            }
            Stmt::Global(s) => {
                self.globals.extend(s.names.iter().map(ruff_python_ast::Identifier::as_str));
            }
            Stmt::Nonlocal(s) => {
                self.globals.extend(s.names.iter().map(ruff_python_ast::Identifier::as_str));
            }
            _ => {}
        }
    }

    pub(crate) fn bind(&mut self, name: &'a str, value: Value) {
        self.names.bind(name, Binding { value, bound_in: self.in_loop, container: None });
    }

    /// A value leaves through `return` or `yield`.
    pub(crate) fn leave_with(&mut self, value: Value) {
        self.facts.returned = self.facts.returned.union(value.may);
        let freed = self.names.consumed.contains_all(value.may);
        self.summary.returns_freed =
            freed && (self.summary.returns_freed || self.summary.returns.is_none());
        self.mark_containers(value.containers, |container| container.returned = true);
        self.summary.returns = Some(match self.summary.returns.take() {
            None => value,
            Some(so_far) => crate::value::join(&so_far, &value),
        });
    }

    fn walk_if(&mut self, s: &'a StmtIf) {
        self.evaluate(&s.test);
        let mark = self.names.mark(self.facts.graphs.len());
        let tested = self.tensor_test(&s.test);
        if let Some((name, false)) = &tested {
            self.bind_plain(name);
        }
        self.walk_body(&s.body);
        let mut branches = vec![self.names.take_branch(&mark)];
        let mut exhaustive = false;
        let is_rest_plain = tested.filter(|(_, is_tensor)| *is_tensor).map(|(name, _)| name);
        for clause in &s.elif_else_clauses {
            if let Some(name) = &is_rest_plain {
                self.bind_plain(name);
            }
            match &clause.test {
                Some(test) => {
                    self.evaluate(test);
                }
                None => exhaustive = true,
            }
            self.walk_body(&clause.body);
            branches.push(self.names.take_branch(&mark));
        }
        if !exhaustive {
            if let Some(name) = &is_rest_plain {
                self.bind_plain(name);
            }
            branches.push(self.names.take_branch(&mark));
        }
        self.names.join_branches(&mark, branches);
    }

    /// A known name holds no tensor on this path.
    fn bind_plain(&mut self, name: &'a str) {
        if let Some(binding) = self.names.lookup(name).cloned() {
            self.names.bind(name, Binding { value: Value::plain(), ..binding });
        }
    }

    fn enter_loop(&mut self, new: Loop<'a>) {
        self.facts.loops.push(new);
        self.in_loop = Some(self.facts.loops.len() - 1);
    }

    fn leave_loop(&mut self) {
        let number = self.in_loop;
        self.in_loop = number.and_then(|n| self.facts.loops.get(n)).and_then(|l| l.parent);
        self.names.ended = false;
    }

    fn walk_for(&mut self, s: &'a StmtFor) {
        let iterable = self.evaluate(&s.iter);
        let what = self.source(&*s.iter);
        let target = self.source(&*s.target);
        let over_data = torch_api::names_data(what)
            || matches!(target, "step" | "epoch" | "iteration" | "batch" | "it")
            || target.contains("batch")
            || self.iterates_generator(&s.iter);
        self.enter_loop(Loop {
            range: s.range(),
            parent: self.in_loop,
            over_data,
            endless: false,
            what,
            has_backward: false,
            goes_over: iterable.containers,
        });
        let element = self.iteration_value(&s.iter, iterable.element(None));
        self.bind_target(&s.target, element);
        self.walk_body(&s.body);
        self.leave_loop();
        self.walk_body(&s.orelse);
    }

    fn walk_with(&mut self, s: &'a StmtWith) {
        let outer = self.mode;
        for item in &s.items {
            let value = self.evaluate(&item.context_expr);
            if let Expr::Call(call) = &item.context_expr
                && called_name(call) == "autocast"
            {
                self.facts.autocasts.push(s.range());
            }
            if let Some(mode) = self.grad_mode_of(&item.context_expr) {
                self.mode = mode;
            }
            if let Some(target) = &item.optional_vars {
                // `with amp.scale_loss(loss, opt) as scaled:` hands the loss on.
                let value = match &item.context_expr {
                    Expr::Call(call) => match call.arguments.args.first() {
                        Some(first) if value.graph == Graph::Maybe => self.evaluate(first),
                        _ => value,
                    },
                    _ => value,
                };
                self.bind_target(target, value);
            }
        }
        let entered = self.mode;
        self.walk_body(&s.body);
        // An `ExitStack` may have switched it off on the way.
        if entered == Mode::Off || self.mode == Mode::Off {
            self.facts.grad_off.push(s.range());
        }
        self.mode = outer;
    }

    fn walk_try(&mut self, s: &'a StmtTry) {
        self.walk_body(&s.body);
        self.walk_body(&s.orelse);
        let mark = self.names.mark(self.facts.graphs.len());
        let ended = self.names.ended;
        self.names.ended = false;
        let mut branches = Vec::new();
        for handler in &s.handlers {
            let ExceptHandler::ExceptHandler(handler) = handler;
            self.facts.excepts.push(ExceptBlock {
                range: handler.range(),
                kind: handler.type_.as_deref(),
                body: &handler.body,
                tried: &s.body,
            });
            let outer = self.in_except;
            self.in_except = Some(self.facts.excepts.len() - 1);
            if let Some(name) = &handler.name {
                self.bind(name.as_str(), Value::of_kind(Kind::Exception));
            }
            self.walk_body(&handler.body);
            self.in_except = outer;
            branches.push(self.names.take_branch(&mark));
        }
        self.names.ended = ended;
        branches.push(self.names.take_branch(&mark));
        self.names.join_branches(&mark, branches);
        self.walk_body(&s.finalbody);
    }

    fn walk_assign(&mut self, targets: &'a [Expr], value_expr: &'a Expr, stmt: &'a Stmt) {
        if let [target] = targets
            && self.store_rebound(target, value_expr, stmt.range())
        {
            return;
        }
        let value = self.evaluate(value_expr);
        self.note_carried(targets, value_expr, &value);
        for target in targets {
            match target {
                Expr::Attribute(_) | Expr::Subscript(_) => {
                    self.store_assigned(target, value_expr, &value, stmt.range());
                }
                Expr::Name(name) => {
                    let container =
                        self.container_for_literal(name.id.as_str(), value_expr, &value);
                    if self.globals.contains(name.id.as_str()) {
                        self.store_assigned(target, value_expr, &value, stmt.range());
                    }
                    self.names.bind(
                        name.id.as_str(),
                        Binding { value: value.clone(), bound_in: self.in_loop, container },
                    );
                }
                _ => self.bind_unpacked(target, value_expr, &value, stmt),
            }
        }
    }

    /// A name that a call in a loop reads and sets anew, and that was made before the loop.
    fn note_carried(&mut self, targets: &'a [Expr], value_expr: &'a Expr, value: &Value) {
        let (Some(in_loop), Expr::Call(call), [target]) = (self.in_loop, value_expr, targets)
        else {
            return;
        };
        if value.graph == Graph::No {
            return;
        }
        let elements = match target {
            Expr::Tuple(tuple) => tuple.elts.as_slice(),
            one => std::slice::from_ref(one),
        };
        let keywords = call.arguments.keywords.iter().map(|keyword| &keyword.value);
        for argument in call.arguments.args.iter().chain(keywords) {
            let Expr::Name(given) = argument else { continue };
            let name = given.id.as_str();
            let comes_back =
                elements.iter().any(|e| matches!(e, Expr::Name(n) if n.id.as_str() == name));
            if comes_back && self.names.lookup(name).is_some_and(|b| b.bound_in != self.in_loop) {
                self.facts.carried.push(Carried { name, range: value_expr.range(), in_loop });
            }
        }
    }

    fn bind_unpacked(&mut self, target: &'a Expr, source: &'a Expr, value: &Value, stmt: &'a Stmt) {
        let (Expr::Tuple(_) | Expr::List(_)) = target else {
            self.bind_target(target, value.clone());
            return;
        };
        let elements: &'a [Expr] = match target {
            Expr::Tuple(tuple) => &tuple.elts,
            Expr::List(list) => &list.elts,
            _ => &[],
        };
        let sources: Option<&'a [Expr]> = match source {
            Expr::Tuple(tuple) if tuple.elts.len() == elements.len() => Some(&tuple.elts),
            _ => None,
        };
        for (number, element) in elements.iter().enumerate() {
            let part = match sources {
                Some(_) => value.element(Some(number)),
                None => self.unpacked(element, value, number),
            };
            let part_source = sources.and_then(|s| s.get(number)).unwrap_or(source);
            match element {
                Expr::Attribute(_) | Expr::Subscript(_) => {
                    self.store_assigned(element, part_source, &part, stmt.range());
                }
                Expr::Name(name) if sources.is_some() => {
                    let container =
                        self.container_for_literal(name.id.as_str(), part_source, &part);
                    self.names.bind(
                        name.id.as_str(),
                        Binding { value: part, bound_in: self.in_loop, container },
                    );
                }
                _ => self.bind_target(element, part),
            }
        }
    }

    /// Binds names of a target without looking at stores: loop variables, `with … as`.
    pub(crate) fn bind_target(&mut self, target: &'a Expr, value: Value) {
        match target {
            Expr::Tuple(tuple) => self.bind_elements(&tuple.elts, &value),
            Expr::List(list) => self.bind_elements(&list.elts, &value),
            Expr::Starred(starred) => self.bind_target(&starred.value, value),
            _ => {
                if let Some(path) = self.path(target) {
                    self.bind(path, value);
                }
            }
        }
    }

    fn bind_elements(&mut self, elements: &'a [Expr], value: &Value) {
        for (number, element) in elements.iter().enumerate() {
            let part = self.unpacked(element, value, number);
            self.bind_target(element, part);
        }
    }

    /// One element of a value that is unpacked. Parts of an unknown result are proven one by one.
    fn unpacked(&mut self, element: &Expr, value: &Value, number: usize) -> Value {
        if matches!(value.kind, Kind::Tuple(_)) {
            return value.element(Some(number));
        }
        if let Some(name) = last_of_dotted(element) {
            if torch_api::names_a_number(name) {
                return Value::plain();
            }
            if torch_api::names_a_record(name) {
                return Value { latent: Bits::default(), ..Value::default() };
            }
        }
        let mut part = value.element(None);
        if !part.latent.is_empty() && self.facts.graphs.len() < 40 {
            let own = Bits::one(self.facts.graphs.len());
            self.facts.graphs.push(element.range());
            self.facts.latents = self.facts.latents.union(own);
            (part.latent, part.may, part.must) = (own, part.may.union(own), part.must.union(own));
        }
        part
    }

    pub(crate) fn rebind(&mut self, target: &'a Expr, value: Value) {
        if let Some(path) = self.path(target) {
            let (bound_in, container) = self
                .names
                .lookup(path)
                .map_or((self.in_loop, None), |binding| (binding.bound_in, binding.container));
            self.names.bind(path, Binding { value, bound_in, container });
        }
    }

    /// What a loop variable holds, for the iterables whose shape is known.
    fn iteration_value(&mut self, iter: &'a Expr, element: Value) -> Value {
        let Expr::Call(call) = iter else { return element };
        match &*call.func {
            Expr::Name(name) => match name.id.as_str() {
                "enumerate" => {
                    let inner = call.arguments.args.first();
                    let value = inner.map(|inner| {
                        let value = self.evaluate_quietly(inner).element(None);
                        self.iteration_value(inner, value)
                    });
                    Value {
                        kind: Kind::Tuple([Value::plain(), value.unwrap_or_default()].into()),
                        ..element
                    }
                }
                "zip" => {
                    let parts: Vec<Value> = call
                        .arguments
                        .args
                        .iter()
                        .map(|part| {
                            let value = self.evaluate_quietly(part).element(None);
                            self.iteration_value(part, value)
                        })
                        .collect();
                    Value { kind: Kind::Tuple(parts.into()), ..element }
                }
                "range" => Value::plain(),
                _ => element,
            },
            Expr::Attribute(attribute) if attribute.attr.as_str() == "items" => {
                Value { kind: Kind::Tuple([Value::plain(), element.clone()].into()), ..element }
            }
            _ => element,
        }
    }

    /// Whether a `for` goes over a generator function of the given files.
    fn iterates_generator(&self, iter: &Expr) -> bool {
        let Expr::Call(call) = iter else { return false };
        let name = match &*call.func {
            Expr::Name(name) => name.id.as_str(),
            _ => return false,
        };
        matches!(name, "enumerate" | "zip")
            && call.arguments.args.iter().any(|a| self.iterates_generator(a))
            || self
                .index
                .function_named(self.file, name)
                .and_then(|id| self.index.function(id))
                .is_some_and(crate::index::Function::is_generator)
    }
}
