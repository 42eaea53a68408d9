//! Whether a store gathers device tensors over a data set, and over what: shared by the rules on
//! lists of outputs.

use oomscope_model::PathStep;
use ruff_python_ast::Expr;

use crate::facts::{Facts, Mode, Owner, Piece, Store, StoreKind};
use crate::index::{Function, FunctionId};
use crate::parse::Parsed;
use crate::project::{Project, feeds_backward};
use crate::report::{short, step};
use crate::retention::{attached_graphs, repeated_steps};
use crate::search::called_name;
use crate::value::{Graph, Kind};

/// Device tensors are gathered.
pub(super) struct Gathered<'s, 'a> {
    pub(super) store: &'s Store<'a>,
    pub(super) piece: &'s Piece<'a>,
    /// What makes it happen again and again.
    pub(super) again: Vec<PathStep>,
    pub(super) endless: bool,
}

/// Every store of a function that gathers device tensors without a graph.
pub(super) fn gathered<'s, 'a>(
    project: &Project<'a>,
    id: FunctionId,
    function: &Function<'a>,
    facts: &'s Facts<'a>,
) -> Vec<Gathered<'s, 'a>> {
    let is_off = project.modes.get(&id) == Some(&Mode::Off);
    if feeds_backward(function, facts) && !is_off || project.is_unit_test(function) {
        return Vec::new();
    }
    let Some(file) = project.index.file(function.file) else { return Vec::new() };
    let stores = facts.stores.iter().filter(|store| {
        matches!(store.kind, StoreKind::Append | StoreKind::Subscript)
            && !project.bounded.contains(store.target_name.as_str())
            && attached_graphs(facts, store).is_none()
    });
    stores.filter_map(|store| gathers(project, id, facts, file, store)).collect()
}

fn gathers<'s, 'a>(
    project: &Project<'_>,
    id: FunctionId,
    facts: &'s Facts<'a>,
    file: &Parsed,
    store: &'s Store<'a>,
) -> Option<Gathered<'s, 'a>> {
    let piece = store.pieces.iter().find(|piece| {
        is_on_device(project, id, facts, store, piece)
            && !names_a_small_value(file.slice(piece.expr))
    })?;
    let container = store.container.and_then(|number| facts.containers.get(number));
    if container.is_some_and(|c| c.consumed || c.cleared) {
        return None;
    }
    let around = facts.loops_around(store.in_loop).find(|(number, this)| {
        this.over_data
            && !chunks_one_batch(&this.what)
            && (store.owner != Owner::Local
                || container.is_none_or(|c| !facts.loop_within(c.made_in, *number)))
    });
    // Parts of one batch that are joined and handed back are not a data set.
    let handed_back = container.is_some_and(|c| c.returned) && store.owner == Owner::Local;
    let over_loader = around
        .is_some_and(|(_, this)| this.endless || this.what.to_ascii_lowercase().contains("loader"));
    if handed_back && !over_loader && !project.evaluates(id) {
        return None;
    }
    let again = match around {
        Some((_, around)) => {
            let what = format!("every iteration over `{}`", short(&around.what));
            step(project, id, around.range, what).into_iter().collect()
        }
        None if store.owner == Owner::Local => return None,
        None => repeated_steps(project, id)?,
    };
    let endless = around.is_some_and(|(_, around)| around.endless);
    Some(Gathered { store, piece, again, endless })
}

/// Whether a stored part is a tensor on the device: the output of a network, or a batch moved there.
fn is_on_device(
    project: &Project<'_>,
    id: FunctionId,
    facts: &Facts<'_>,
    store: &Store<'_>,
    piece: &Piece<'_>,
) -> bool {
    let value = &piece.value;
    if value.host || value.scalar || value.small || matches!(value.kind, Kind::Plain) {
        return false;
    }
    let is_off = || {
        project.modes.get(&id) == Some(&Mode::Off)
            || facts.grad_off.iter().any(|range| range.contains_range(store.range))
    };
    match value.graph {
        Graph::No => value.output || value.device && store.owner != Owner::Local,
        Graph::Maybe => {
            (value.output || value.device && store.owner != Owner::Local) && is_off()
                || is_proven_output(facts, store, piece) && is_off()
        }
        Graph::Yes => false,
    }
}

/// The result of an unknown call in a function that puts its network into `eval()`, and joins those
/// results by `torch.cat`: tensors that the network made.
fn is_proven_output(facts: &Facts<'_>, store: &Store<'_>, piece: &Piece<'_>) -> bool {
    let Some(number) = store.container.filter(|number| *number < 63) else { return false };
    let Expr::Call(made_by) = piece.expr else { return false };
    let given = facts.calls.iter().find(|call| std::ptr::eq(call.call, made_by));
    facts.calls_eval
        && matches!(piece.value.kind, Kind::Unknown)
        && made_by.func.is_attribute_expr()
        && given.is_some_and(|call| call.arguments.iter().all(|(_, value)| !value.host))
        && facts.calls.iter().any(|call| {
            matches!(called_name(call.call), "cat" | "stack" | "concat" | "vstack")
                && call.path.as_deref().is_some_and(|path| path.starts_with("torch."))
                && call.arguments.first().is_some_and(|(_, v)| v.containers.contains(number))
        })
}

/// Losses, ids, labels and the like, by the name of what is stored.
fn names_a_small_value(text: &str) -> bool {
    let stem = text.split(['(', '[']).next().unwrap_or(text).to_ascii_lowercase();
    let stem = stem.trim_end_matches(".detach").trim_end_matches(".mean").trim_end_matches(".sum");
    let last = stem.rsplit('.').next().unwrap_or(stem);
    last.split('_').any(|word| {
        matches!(
            word,
            "loss"
                | "losses"
                | "id"
                | "ids"
                | "token"
                | "tokens"
                | "label"
                | "labels"
                | "mask"
                | "idx"
                | "index"
                | "indices"
                | "len"
                | "lens"
                | "length"
                | "lengths"
                | "count"
                | "acc"
                | "accuracy"
                | "metric"
                | "metrics"
                | "reward"
                | "rewards"
                | "score"
                | "scores"
        )
    }) || last.ends_with("loss")
}

/// `range(0, x.shape[0], step)`, `range(batch_size)`: the parts of one tensor, which is there already.
fn chunks_one_batch(what: &str) -> bool {
    let Some((_, arguments)) = what.split_once("range(") else { return false };
    let mut parts = arguments.split(',');
    let (first, second) = (parts.next().unwrap_or_default(), parts.next());
    let stop = second.unwrap_or(first);
    ["batch_size", "bsz", ".shape[", ".size("].iter().any(|part| stop.contains(part))
}
