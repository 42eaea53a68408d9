//! Whether a store gathers device tensors over a data set, and over what: shared by the rules on
//! lists of outputs.

use oomscope_model::PathStep;
use ruff_python_ast::Expr;

use crate::facts::{Facts, Loop, Mode, Owner, Piece, Store, StoreKind};
use crate::index::{Function, FunctionId};
use crate::parse::Parsed;
use crate::placement::moved_to;
use crate::project::{Project, feeds_backward};
use crate::report::{short, step};
use crate::retention::{attached_graphs, repeated_steps};
use crate::value::{Graph, Kind};

/// Device tensors are gathered.
pub(super) struct Gathered<'s, 'a> {
    pub(super) store: &'s Store<'a>,
    pub(super) piece: &'s Piece<'a>,
    /// What makes it happen again and again.
    pub(super) again: Vec<PathStep>,
}

/// Every store of a function that gathers device tensors without a graph.
pub(super) fn gathered<'s, 'a>(
    project: &Project<'a>,
    id: FunctionId,
    function: &Function<'a>,
    facts: &'s Facts<'a>,
) -> Vec<Gathered<'s, 'a>> {
    if !facts.stores.iter().any(|s| matches!(s.kind, StoreKind::Append | StoreKind::Subscript)) {
        return Vec::new();
    }
    let is_off = project.modes.get(&id) == Some(&Mode::Off);
    if feeds_backward(function, facts) && !is_off || function.is_unit_test {
        return Vec::new();
    }
    let Some(file) = project.index.file(function.file) else { return Vec::new() };
    let stores = facts.stores.iter().filter(|store| {
        matches!(store.kind, StoreKind::Append | StoreKind::Subscript)
            && !project.bounded.contains(store.target_name)
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
    let says_small = store.target.split('.').next_back().is_some_and(is_small_word_in);
    let piece = store.pieces.iter().find(|piece| {
        !says_small
            && is_on_device(project, id, facts, store, piece)
            && !names_a_small_value(file.slice(piece.expr))
            && !is_placed(facts, piece.expr)
            && !is_a_list_at_times(file, facts, piece.expr)
    })?;
    let container = store.container.and_then(|number| facts.containers.get(number));
    if container.is_some_and(|c| c.consumed || c.cleared) {
        return None;
    }
    let around = facts.loops_around(store.in_loop).find(|(number, this)| {
        goes_over_data(file, this)
            && (store.owner != Owner::Local
                || container.is_none_or(|c| !facts.loop_within(c.made_in, *number)))
    });
    // Parts of one batch that are joined and handed back are not a data set.
    let handed_back = container.is_some_and(|c| c.returned) && store.owner == Owner::Local;
    let over_loader =
        around.is_some_and(|(_, this)| this.what.to_ascii_lowercase().contains("loader"));
    if handed_back && !over_loader && !project.evaluates(id) {
        return None;
    }
    let again = match around {
        Some((_, around)) => {
            let what = format!("every iteration over `{}`", short(around.what));
            step(project, id, around.range, what).into_iter().collect()
        }
        None if store.owner == Owner::Local => return None,
        None => repeated_steps(project, id)?,
    };
    Some(Gathered { store, piece, again })
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
    let is_predicted = project.index.function(id).is_some_and(|f| f.name == "on_predict_batch_end");
    match value.graph {
        Graph::No => value.output || value.device && is_predicted,
        Graph::Maybe => {
            is_off() && (value.output && is_predicted || is_proven_output(facts, store, piece))
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
            matches!(call.name, "cat" | "stack" | "concat" | "vstack")
                && call.path.as_deref().is_some_and(|path| path.starts_with("torch."))
                && call.arguments.first().is_some_and(|(_, v)| v.containers.contains(number))
        })
}

/// Losses, ids, labels and the like, by the names in what is stored.
fn names_a_small_value(text: &str) -> bool {
    let text = text.strip_prefix("detach(").unwrap_or(text);
    let stem = text.split(['(', '[', ')']).next().unwrap_or(text);
    stem.split('.').any(is_small_word_in)
}

fn is_small_word_in(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.split('_').any(|word| {
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
                | "log"
                | "logs"
                | "y"
                | "target"
                | "targets"
                | "gt"
                | "true"
                | "trues"
        )
    }) || lower.ends_with("loss")
}

/// Whether the storing line, or the assignment of the stored name, says where the value goes: some
/// metric's device, or the host in one of two cases.
fn is_placed(facts: &Facts<'_>, expr: &Expr) -> bool {
    let places = |expr: &Expr| matches!(expr, Expr::Call(call) if moved_to(call).is_some());
    let Expr::Name(name) = expr else { return places(expr) };
    facts.assignments.iter().any(|assignment| {
        matches!(assignment.target, Expr::Name(n) if n.id == name.id) && places(assignment.value)
    })
}

/// Whether the same name is handed to `extend`, and no one joins the parts: a list of results, which
/// may be arrays of the host.
fn is_a_list_at_times(file: &Parsed, facts: &Facts<'_>, expr: &Expr) -> bool {
    let Expr::Name(name) = expr else { return false };
    facts.stores.iter().any(|store| {
        store.kind == StoreKind::Append
            && file.slice(&store.value_range) == name.id.as_str()
            && file.slice(&store.range).contains(".extend(")
            && store
                .container
                .is_none_or(|number| number >= 63 || !facts.read_as_tensors.contains(number))
    })
}

/// Whether a loop goes over a data set: batches of a loader, or strides over a list. Time steps, the
/// parts of one tensor and micro-batches are none.
pub(super) fn goes_over_data(file: &Parsed, this: &Loop) -> bool {
    let header = file.slice(&this.range).lines().next().unwrap_or_default().to_ascii_lowercase();
    let what = this.what.to_ascii_lowercase();
    if ["loader", "dataset"].iter().any(|word| what.contains(word)) {
        return true;
    }
    let parts =
        ["minibatch", "micro", ".split(", ".chunk(", ".shape[", ".size(", "timestep", "num_steps"];
    if this.endless
        || parts.iter().any(|part| header.contains(part))
        || !header.trim_start().starts_with("for")
    {
        return false;
    }
    let strides = what.contains("range(0, len(");
    let stop = what.split_once("range(").map(|(_, arguments)| {
        let mut arguments = arguments.split(',');
        let first = arguments.next().unwrap_or_default();
        arguments.next().unwrap_or(first).to_owned()
    });
    match stop {
        Some(_) if strides => true,
        Some(stop) => {
            ["batches", "num_samples", "n_samples"].iter().any(|word| stop.contains(word))
        }
        None => header.contains("batch") || names_a_data_set(&what),
    }
}

/// `self.test_data`, `tqdm(sentences)`; not the items of one dict.
fn names_a_data_set(what: &str) -> bool {
    let is_mapping = [".items()", ".keys()", ".values()"].iter().any(|end| what.ends_with(end));
    !is_mapping
        && what.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| {
            matches!(
                word,
                "data"
                    | "iter"
                    | "iterator"
                    | "iterable"
                    | "batches"
                    | "samples"
                    | "sentences"
                    | "documents"
                    | "corpus"
                    | "passages"
            )
        })
}
