//! What the walk over one function found; the rules read this and nothing else.

use compact_str::CompactString;
use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::{Ranged, TextRange};
use rustc_hash::FxHashMap;

use crate::imports::{dotted, last_part};
use crate::index::{ClassId, FunctionId};
use crate::torch_api;
use crate::value::{Bits, Value};

/// Whether autograd records, as far as the function's own text says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As the caller has it.
    #[default]
    Inherited,
    /// Switched off here.
    Off,
    /// Switched on here.
    On,
    /// Switched by a value that is not known.
    Unknown,
}

/// How a value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreKind {
    /// `x += v`, `x = x + v`.
    Accumulate,
    /// `x.append(v)`, `x.extend(..)`, `x += [v]`.
    Append,
    /// `x[key] = v` with a key that changes.
    Subscript,
    /// `x[key] = v` with a constant key.
    FixedKey,
    /// `x.attr = v`.
    Attribute,
    /// `x = torch.cat((x, v))`.
    Cat,
}

/// Who owns what a value is stored in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Local,
    /// `self.…`, or an attribute of another object.
    Object,
    /// A module-level name, written from a function.
    Global,
    /// A parameter.
    Parameter,
}

/// One stored part of a value: the element of an appended tuple that carries a graph.
#[derive(Clone, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) expr: &'a Expr,
    pub(crate) value: Value,
}

/// A value is kept somewhere.
#[derive(Clone, Debug)]
pub(crate) struct Store<'a> {
    pub(crate) kind: StoreKind,
    pub(crate) owner: Owner,
    /// The container as written: `self.history`, `losses`.
    pub(crate) target: &'a str,
    /// Its last name: `history`.
    pub(crate) target_name: &'a str,
    pub(crate) container: Option<usize>,
    pub(crate) value: Value,
    pub(crate) pieces: Vec<Piece<'a>>,
    /// The statement or call.
    pub(crate) range: TextRange,
    /// The stored expression.
    pub(crate) value_range: TextRange,
    pub(crate) in_loop: Option<usize>,
    /// Whether the container was made outside the innermost loop that is inside the function.
    pub(crate) outlives_loop: bool,
    /// Graphs consumed when it is stored.
    pub(crate) consumed: Bits,
    /// Whether the value was computed from what the container held before, with its graph:
    /// a moving average, a hidden state.
    pub(crate) is_carried: bool,
}

/// A key of a dict or a member of a set that may be a tensor.
#[derive(Clone, Debug)]
pub(crate) struct TensorKey<'a> {
    /// The dict or set.
    pub(crate) container: &'a Expr,
    pub(crate) key: &'a Expr,
    pub(crate) value: Value,
}

/// A call, with what is known of it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "`call.call` is the syntax of the call")]
pub(crate) struct Call<'a> {
    pub(crate) call: &'a ExprCall,
    /// The last name of what is called, empty where it has none.
    pub(crate) name: &'a str,
    /// Dotted path through imports, `torch.load`.
    pub(crate) path: Option<CompactString>,
    /// The function of the given files that it runs.
    pub(crate) callee: Option<FunctionId>,
    /// The class of the receiver, for methods.
    pub(crate) receiver_class: Option<ClassId>,
    pub(crate) receiver: Option<Value>,
    /// Arguments in source order with their values.
    pub(crate) arguments: Vec<(&'a Expr, Value)>,
    pub(crate) in_loop: Option<usize>,
    pub(crate) mode: Mode,
    pub(crate) consumed: Bits,
    /// Whether its receiver is made anew in every iteration of the loop: a batch, a sentence.
    pub(crate) fleeting: bool,
    /// Whether the statement is the call alone.
    pub(crate) is_statement: bool,
}

/// A call of a module that records or would record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ModelCall {
    pub(crate) range: TextRange,
    pub(crate) in_loop: Option<usize>,
    pub(crate) mode: Mode,
    /// A loss function, not a network.
    pub(crate) criterion: bool,
    pub(crate) in_except: Option<usize>,
}

/// `backward()`, however spelt.
#[derive(Clone, Debug)]
pub(crate) struct Backward<'a> {
    pub(crate) call: &'a ExprCall,
    pub(crate) value: Value,
    pub(crate) in_loop: Option<usize>,
    pub(crate) retain_graph: bool,
    pub(crate) create_graph: bool,
    /// `loss.backward()`; not an engine's or a user function's.
    pub(crate) direct: bool,
}

/// A loop.
#[derive(Clone, Debug)]
pub(crate) struct Loop<'a> {
    pub(crate) range: TextRange,
    pub(crate) parent: Option<usize>,
    /// Goes over a data set, steps or epochs, by what it iterates.
    pub(crate) over_data: bool,
    /// Goes on until something ends it.
    pub(crate) endless: bool,
    /// What it iterates, as written.
    pub(crate) what: &'a str,
    /// Whether a backward runs inside.
    pub(crate) has_backward: bool,
    /// Containers whose elements it goes over.
    pub(crate) goes_over: Bits,
}

/// A list, dict, or accumulator.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags of an analysis")]
pub(crate) struct Container<'a> {
    pub(crate) name: &'a str,
    /// Made in this loop.
    pub(crate) made_in: Option<usize>,
    /// Reaches a backward with its graph.
    pub(crate) consumed: bool,
    /// Reaches a backward in this loop; whether that can be with its graph depends on where it is
    /// filled.
    pub(crate) consumed_in: Option<usize>,
    /// The last loop in which something was stored.
    pub(crate) filled_in: Option<usize>,
    /// Is returned, or what was made of it.
    pub(crate) returned: bool,
    /// Emptied or reset inside a loop.
    pub(crate) cleared: bool,
    /// Whether something was stored that is not on the host.
    pub(crate) off_host: bool,
    /// Joint flags of what was stored.
    pub(crate) stored: Value,
}

/// `except E as name:` and what it holds.
#[derive(Clone, Debug)]
pub(crate) struct ExceptBlock<'a> {
    pub(crate) range: TextRange,
    pub(crate) kind: Option<&'a Expr>,
    pub(crate) body: &'a [ruff_python_ast::Stmt],
    pub(crate) tried: &'a [ruff_python_ast::Stmt],
}

/// A plain assignment, for rules about how a name was made.
#[derive(Clone, Debug)]
pub(crate) struct Assignment<'a> {
    pub(crate) target: &'a Expr,
    pub(crate) value: &'a Expr,
    pub(crate) range: TextRange,
}

/// `out, state = network(x, state)` in a loop that the state was made outside of.
#[derive(Clone, Debug)]
pub(crate) struct Carried<'a> {
    pub(crate) name: &'a str,
    pub(crate) range: TextRange,
    pub(crate) in_loop: usize,
}

/// A dict literal with something in it that may carry a graph.
#[derive(Clone, Debug)]
pub(crate) struct DictLiteral<'a> {
    pub(crate) range: TextRange,
    pub(crate) items: Vec<(&'a Expr, Value)>,
}

/// Everything about one function.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags of an analysis")]
pub(crate) struct Facts<'a> {
    pub(crate) stores: Vec<Store<'a>>,
    pub(crate) calls: Vec<Call<'a>>,
    pub(crate) model_calls: Vec<ModelCall>,
    pub(crate) backwards: Vec<Backward<'a>>,
    pub(crate) loops: Vec<Loop<'a>>,
    pub(crate) containers: Vec<Container<'a>>,
    pub(crate) excepts: Vec<ExceptBlock<'a>>,
    pub(crate) assignments: Vec<Assignment<'a>>,
    pub(crate) tensor_keys: Vec<TensorKey<'a>>,
    /// What each `return` hands over.
    pub(crate) returns: Vec<&'a Expr>,
    pub(crate) carried: Vec<Carried<'a>>,
    pub(crate) dicts: Vec<DictLiteral<'a>>,
    /// `module.requires_grad = False`: sets an attribute that nothing reads.
    pub(crate) inert_freezes: Vec<TextRange>,
    /// Containers whose elements are read as tensors: `torch.stack(kept)`, `kept[-1].item()`.
    pub(crate) read_as_tensors: Bits,
    /// Last names of containers that are made anew or lose elements.
    pub(crate) emptied: Vec<&'a str>,
    /// Origins by graph number.
    pub(crate) graphs: Vec<TextRange>,
    /// Graphs consumed when the function ends.
    pub(crate) consumed_at_end: Bits,
    /// Results of unknown calls, graph or not.
    pub(crate) latents: Bits,
    /// Results of unknown calls that a backward went through.
    pub(crate) proven: Bits,
    /// Results of unknown calls that something detaches.
    pub(crate) detached: Bits,
    /// Graphs that leave through `return` or `yield`.
    pub(crate) returned: Bits,
    pub(crate) runs_backward: bool,
    pub(crate) calls_eval: bool,
    pub(crate) calls_train: bool,
    /// Whether grads are cleared here: `zero_grad`, `.grad = None`.
    pub(crate) clears_grads: bool,
    /// Blocks inside which autograd is switched off, `with torch.no_grad():` and the like.
    pub(crate) grad_off: Vec<TextRange>,
    /// Blocks under `torch.autocast`.
    pub(crate) autocasts: Vec<TextRange>,
    /// `requires_grad_()`, `autograd.grad`: grad is wanted.
    pub(crate) wants_grad: bool,
}

impl<'a> Facts<'a> {
    /// Finds [`Facts::read_as_tensors`] from the calls.
    pub(crate) fn find_tensor_reads(&mut self) {
        for call in &self.calls {
            let is_torch = call.path.as_deref().is_some_and(|path| path.starts_with("torch."));
            let name = call.name;
            if is_torch && !torch_api::CREATES.contains(&name) {
                for (_, value) in &call.arguments {
                    self.read_as_tensors = self.read_as_tensors.union(value.containers);
                }
            } else if torch_api::ONLY_OF_TENSORS.contains(&name)
                && let Some(receiver) = &call.receiver
            {
                self.read_as_tensors = self.read_as_tensors.union(receiver.containers);
            }
        }
    }

    /// Decides which containers a backward in a loop consumes. A graph that was made before the
    /// loop cannot be freed in it twice: what is not filled there goes in without a graph.
    pub(crate) fn settle_consumption(&mut self) {
        for container in &mut self.containers {
            // Loops are numbered in source order: what is stored in a loop has its number or a
            // higher one.
            container.consumed |=
                container.consumed_in.is_some_and(|number| container.filled_in >= Some(number));
        }
    }

    /// What a network's method returns is attached where the function itself detaches the result
    /// of another call of that method.
    pub(crate) fn find_proof_by_detach(&mut self) {
        let numbers: FxHashMap<TextRange, usize> =
            self.graphs.iter().enumerate().map(|(number, range)| (*range, number)).collect();
        let mut methods: Vec<(usize, String)> = Vec::new();
        for call in &self.calls {
            if let Some(number) = numbers.get(&call.call.range())
                && let Some(method) = network_method(call.call)
            {
                methods.push((*number, method));
            }
        }
        let is_detached =
            |name: &String| methods.iter().any(|(n, m)| m == name && self.detached.contains(*n));
        let same = methods.iter().filter(|(_, method)| is_detached(method));
        let found = same.fold(Bits::default(), |all, (number, _)| all.union(Bits::one(*number)));
        self.proven = self.proven.union(found);
    }

    /// Whether `inner` is `outer` or inside it.
    pub(crate) fn loop_within(&self, inner: Option<usize>, outer: usize) -> bool {
        let mut at = inner;
        while let Some(number) = at {
            if number == outer {
                return true;
            }
            at = self.loops.get(number).and_then(|l| l.parent);
        }
        false
    }

    /// The loops around a place, innermost first.
    pub(crate) fn loops_around(
        &self,
        inner: Option<usize>,
    ) -> impl Iterator<Item = (usize, &Loop<'a>)> {
        std::iter::successors(inner, |number| self.loops.get(*number).and_then(|l| l.parent))
            .filter_map(|number| self.loops.get(number).map(|l| (number, l)))
    }
}

/// `self.critic.predict`, where the receiver is named as a network.
fn network_method(call: &ExprCall) -> Option<String> {
    let Expr::Attribute(attribute) = &*call.func else { return None };
    let holder = dotted(&attribute.value)?;
    torch_api::names_a_network(last_part(&holder))
        .then(|| format!("{holder}.{}", attribute.attr.as_str()))
}

/// What callers need to know of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags of an analysis")]
pub(crate) struct Summary<'a> {
    /// What it returns, in the terms of its own parameters and graphs.
    pub(crate) returns: Option<Value>,
    /// Whether a backward has freed every graph that it returns.
    pub(crate) returns_freed: bool,
    /// Parameters that it keeps, with the line's range and what keeps them.
    pub(crate) keeps: Vec<Kept<'a>>,
    /// Parameters whose backward it runs.
    pub(crate) backward_of: Bits,
    pub(crate) runs_backward: bool,
    pub(crate) clears_grads: bool,
    pub(crate) steps_optimizer: bool,
}

/// A parameter is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept<'a> {
    /// Number of the parameter, `self` included.
    pub(crate) parameter: usize,
    pub(crate) kind: StoreKind,
    /// `self.sum`
    pub(crate) target: &'a str,
    pub(crate) target_name: &'a str,
    pub(crate) range: TextRange,
    /// The function whose line it is.
    pub(crate) by: FunctionId,
}
