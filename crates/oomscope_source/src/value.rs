//! The abstract value of an expression: what it is, and whether it carries an autograd graph.

use std::sync::Arc;

use crate::index::{ClassId, FunctionId};

/// Whether a value carries a graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Graph {
    /// It does not: a number, a detached tensor.
    No,
    /// Nothing is known.
    #[default]
    Maybe,
    /// It does.
    Yes,
}

/// What a value is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Unknown,
    /// A number, string, shape: no tensor.
    Plain,
    Tensor,
    /// A list, set or deque; its elements are described by the value's own flags.
    List,
    /// A mapping.
    Dict,
    /// A tuple whose elements are known one by one.
    Tuple(Arc<[Value]>),
    /// A neural module: calling it makes a graph.
    Module,
    /// A module without parameters: its result carries a graph where its inputs do.
    Transform,
    /// A loss function.
    Criterion,
    Optimizer,
    Function(FunctionId),
    Class(ClassId),
    Instance(ClassId),
    /// A caught exception.
    Exception,
}

/// Set of small numbers below 64; larger ones share the last place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits(pub(crate) u64);

impl Bits {
    pub(crate) fn one(index: usize) -> Bits {
        Bits(1 << index.min(63))
    }

    pub(crate) fn union(self, other: Bits) -> Bits {
        Bits(self.0 | other.0)
    }

    pub(crate) fn intersection(self, other: Bits) -> Bits {
        Bits(self.0 & other.0)
    }

    pub(crate) fn contains_all(self, other: Bits) -> bool {
        other.0 & !self.0 == 0
    }

    pub(crate) fn contains(self, index: usize) -> bool {
        self.0 & (1 << index.min(63)) != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn retain(self, keep: impl Fn(usize) -> bool) -> Bits {
        self.iter()
            .filter(|index| keep(*index))
            .fold(Bits::default(), |all, index| all.union(Bits::one(index)))
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        (0..64).filter(move |index| self.contains(*index))
    }
}

/// An abstract value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags of an analysis")]
pub(crate) struct Value {
    pub(crate) kind: Kind,
    pub(crate) graph: Graph,
    /// On the host: `.cpu()` was called.
    pub(crate) host: bool,
    /// On an accelerator: `.cuda()` or `.to(device)` was called, or it was made with `device=`.
    pub(crate) device: bool,
    /// One number: a reduced loss.
    pub(crate) scalar: bool,
    /// Integer ids, masks, labels, or a reduction: small beside activations.
    pub(crate) small: bool,
    /// Comes out of a model, whether or not recorded.
    pub(crate) output: bool,
    /// Graphs that it holds on some path.
    pub(crate) may: Bits,
    /// Graphs that it holds on every path.
    pub(crate) must: Bits,
    /// Parameters of the function that flow into it with their graph.
    pub(crate) params: Bits,
    /// Containers and accumulators that it was read from with their graph.
    pub(crate) containers: Bits,
    /// Unknown calls that it is the result of: a backward through it proves that they made a graph.
    pub(crate) latent: Bits,
}

impl Value {
    /// A number, string or other thing that is no tensor.
    pub(crate) fn plain() -> Value {
        Value { kind: Kind::Plain, graph: Graph::No, ..Value::default() }
    }

    /// A tensor without a graph.
    pub(crate) fn detached() -> Value {
        Value { kind: Kind::Tensor, graph: Graph::No, ..Value::default() }
    }

    pub(crate) fn of_kind(kind: Kind) -> Value {
        Value { kind, graph: Graph::No, ..Value::default() }
    }

    pub(crate) fn is_attached(&self) -> bool {
        self.graph == Graph::Yes
    }

    /// The same data without its graph.
    pub(crate) fn without_graph(&self) -> Value {
        Value {
            kind: if matches!(self.kind, Kind::Tuple(_)) {
                Kind::Tensor
            } else {
                self.kind.clone()
            },
            graph: Graph::No,
            host: self.host,
            device: self.device,
            scalar: self.scalar,
            small: self.small,
            output: self.output,
            ..Value::default()
        }
    }

    /// A tensor computed from this one.
    pub(crate) fn derived(&self) -> Value {
        let mut value = self.clone();
        if !matches!(value.kind, Kind::Unknown) {
            value.kind = Kind::Tensor;
        }
        value.scalar = false;
        value
    }

    /// An element of it: of a tuple, a list, a batch.
    pub(crate) fn element(&self, index: Option<usize>) -> Value {
        match (&self.kind, index) {
            (Kind::Tuple(items), Some(index)) => items.get(index).cloned().unwrap_or_default(),
            (Kind::Tuple(items), None) => combine(items.iter()),
            (Kind::List | Kind::Dict, _) => Value { kind: Kind::Unknown, ..self.clone() },
            (Kind::Plain, _) => Value::default(),
            _ => Value { scalar: false, ..self.clone() },
        }
    }
}

/// A value made from several together: arithmetic, `cat`, a literal. It carries a graph when one does.
pub(crate) fn combine<'v>(values: impl Iterator<Item = &'v Value>) -> Value {
    let mut result = Value { kind: Kind::Plain, graph: Graph::No, small: true, ..Value::default() };
    // What is known to carry a graph explains a backward; beside it nothing else is proven.
    let mut explained = Bits::default();
    let mut all_host = true;
    let mut any = false;
    for value in values {
        any = true;
        if !matches!(value.kind, Kind::Plain) {
            result.small &= value.small || value.scalar;
            all_host &= value.host;
        }
        result.kind = match (&result.kind, &value.kind) {
            (Kind::Plain, Kind::Plain) => Kind::Plain,
            (Kind::Plain | Kind::Tensor, Kind::Tensor) | (Kind::Tensor, _) => Kind::Tensor,
            _ => Kind::Unknown,
        };
        result.graph = match (result.graph, value.graph) {
            (Graph::Yes, _) | (_, Graph::Yes) => Graph::Yes,
            (Graph::No, Graph::No) => Graph::No,
            _ => Graph::Maybe,
        };
        result.output |= value.output;
        result.device |= value.device;
        result.may = result.may.union(value.may);
        result.must = result.must.union(value.must);
        result.params = result.params.union(value.params);
        result.containers = result.containers.union(value.containers);
        result.latent = result.latent.union(value.latent);
        if value.graph == Graph::Yes {
            explained = explained.union(value.latent);
        }
    }
    if result.graph == Graph::Yes {
        result.latent = explained;
        result.kind = Kind::Tensor;
    }
    let tensor = !matches!(result.kind, Kind::Plain);
    result.host = any && tensor && all_host;
    result.small &= any && tensor;
    result.device &= !result.host;
    result
}

/// The value where two paths meet.
pub(crate) fn join(left: &Value, right: &Value) -> Value {
    let kind = match (&left.kind, &right.kind) {
        (Kind::Tuple(a), Kind::Tuple(b)) if a.len() == b.len() => {
            Kind::Tuple(a.iter().zip(b.iter()).map(|(a, b)| join(a, b)).collect())
        }
        (Kind::Plain | Kind::Unknown, other) | (other, Kind::Plain | Kind::Unknown) => {
            other.clone()
        }
        (a, b) if std::mem::discriminant(a) == std::mem::discriminant(b) => a.clone(),
        _ => Kind::Unknown,
    };
    Value {
        kind,
        graph: left.graph.max(right.graph),
        host: left.host && right.host,
        device: left.device || right.device,
        scalar: left.scalar && right.scalar,
        small: left.small && right.small,
        output: left.output || right.output,
        may: left.may.union(right.may),
        must: left.must.intersection(right.must),
        params: left.params.union(right.params),
        containers: left.containers.union(right.containers),
        latent: left.latent.union(right.latent),
    }
}
