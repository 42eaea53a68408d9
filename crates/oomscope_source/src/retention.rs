//! When a stored value keeps its graph alive beyond one iteration: shared by the rules on retention.

use oomscope_model::{GradMode, Held, PathStep, Severity};

use crate::facts::{Facts, Owner, Store, StoreKind};
use crate::index::{Function, FunctionId};
use crate::project::{Project, feeds_backward};
use crate::report::{short, step};
use crate::value::{Bits, Graph, Value};

/// A graph is kept.
pub(crate) struct Retained {
    pub(crate) severity: Severity,
    pub(crate) held: Held,
    pub(crate) path: Vec<PathStep>,
}

/// Whether a store keeps a graph, and how bad it is.
pub(crate) fn retained(
    project: &Project<'_>,
    id: FunctionId,
    function: &Function<'_>,
    facts: &Facts<'_>,
    store: &Store<'_>,
) -> Option<Retained> {
    let may = certain_graphs(facts, attached_graphs(facts, store)?);
    let container = store.container.and_then(|number| facts.containers.get(number));
    if container.is_some_and(|c| c.consumed) || function.is_unit_test || function.name == "__init__"
    {
        return None;
    }
    if project.runs_without_grad(id) {
        return None;
    }
    let evaluates = project.evaluates(id);
    let freed = facts.consumed_at_end.union(store.consumed).contains_all(may);
    let handed_on = facts.returned.contains_all(may);
    let loops = loop_steps(project, id, facts, store)?;
    if store.owner == Owner::Local {
        if feeds_backward(function, facts) {
            return None;
        }
        let relevant = facts.loops_around(store.in_loop).find(|(number, this)| {
            container.is_none_or(|c| !facts.loop_within(c.made_in, *number))
                && (this.has_backward || this.over_data || evaluates)
        });
        let (_, this) = relevant?;
        let returned = container.is_some_and(|c| c.returned);
        let surely_data = this.what.to_ascii_lowercase().contains("loader");
        if returned && !evaluates && !this.has_backward && !surely_data {
            return None;
        }
        // Where some paths run the backward here, the others return what theirs will go through.
        let freed_on_some_path =
            facts.backwards.iter().any(|b| !b.value.may.intersection(may).is_empty());
        if returned && !freed && freed_on_some_path {
            return None;
        }
        // A network's own method hands on what its caller decides about.
        let of_network = function.class.is_some_and(|class| project.index.is_module_class(class));
        if of_network && !facts.runs_backward && (returned || !surely_data) {
            return None;
        }
        // Nobody is known to call it, and nothing in it says in which mode it runs.
        let known = evaluates
            || facts.runs_backward
            || project.grad_mode(id) == GradMode::Recording
            || !returned;
        if !known {
            return None;
        }
        if !freed
            && !evaluates
            && !this.has_backward
            && !facts.runs_backward
            && escapes(project, facts, store)
        {
            return None;
        }
    } else {
        if project.consumed_attributes.contains(&store.target_name) {
            return None;
        }
        // A network's state within one sequence, which something sets anew.
        let of_network = function.class.is_some_and(|class| project.index.is_module_class(class));
        if of_network && !freed && project.reassigned.contains(&store.target_name) {
            return None;
        }
        if feeds_backward(function, facts) && !freed {
            return None;
        }
        if handed_on && !evaluates && !freed && store.owner != Owner::Object {
            return None;
        }
    }
    let nodes = freed || handed_on && !evaluates;
    let mut path = source_steps(project, id, facts, store);
    path.extend(loops);
    let kept = match store.kind {
        StoreKind::Accumulate => format!("`{}` keeps the graph of every addition", store.target),
        _ => format!("`{}` keeps it", store.target),
    };
    path.extend(step(project, id, store.range, kept));
    Some(Retained {
        severity: match nodes {
            _ if project.is_benchmark(function) => Severity::Note,
            true => Severity::Warning,
            false => Severity::Error,
        },
        held: if nodes { Held::Nodes } else { Held::Activations },
        path,
    })
}

/// What a fix appends to a kept value: `.item()` for one number, unless it is read as a tensor
/// later; `other` for the rest.
pub(crate) fn ending(
    project: &Project<'_>,
    facts: &Facts<'_>,
    store: &Store<'_>,
    value: &Value,
    other: &'static str,
) -> &'static str {
    if !value.scalar {
        return other;
    }
    let here = store.container.is_some_and(|number| facts.read_as_tensors.contains(number));
    let elsewhere =
        store.owner != Owner::Local && project.read_as_tensors.contains(&store.target_name);
    if here || elsewhere { ".detach()" } else { ".item()" }
}

/// The graphs of the stored parts that are attached; none where nothing is.
pub(crate) fn attached_graphs(facts: &Facts<'_>, store: &Store<'_>) -> Option<Bits> {
    let mut attached =
        store.pieces.iter().filter(|piece| is_attached(facts, &piece.value)).peekable();
    attached.peek()?;
    Some(attached.fold(Bits::default(), |all, piece| all.union(piece.value.may)))
}

/// Leaves out the results of unknown calls that nothing proves to have made a graph: inputs.
pub(crate) fn certain_graphs(facts: &Facts<'_>, may: Bits) -> Bits {
    let certain = Bits(may.0 & (!facts.latents.0 | facts.proven.0));
    if certain.is_empty() { may } else { certain }
}

/// Whether a value carries a graph: known, or proven by a backward through it.
pub(crate) fn is_attached(facts: &Facts<'_>, value: &Value) -> bool {
    value.is_attached()
        || value.graph == Graph::Maybe && !value.latent.intersection(facts.proven).is_empty()
}

/// Where the graph comes from.
pub(crate) fn source_steps(
    project: &Project<'_>,
    id: FunctionId,
    facts: &Facts<'_>,
    store: &Store<'_>,
) -> Vec<PathStep> {
    let file = project.index.file_of(id);
    let graphs = attached_graphs(facts, store).unwrap_or_default();
    let mut steps = Vec::new();
    for range in graphs.iter().filter_map(|number| facts.graphs.get(number)).take(3) {
        let text = file.map_or_else(String::new, |file| short(file.slice(range)));
        steps.extend(step(project, id, *range, format!("`{text}` records a graph")));
    }
    steps
}

/// The loop that makes the store happen again and again; none where nothing says that it does.
fn loop_steps(
    project: &Project<'_>,
    id: FunctionId,
    facts: &Facts<'_>,
    store: &Store<'_>,
) -> Option<Vec<PathStep>> {
    if store.in_loop.is_some() && store.outlives_loop {
        let around = store.in_loop.and_then(|number| facts.loops.get(number))?;
        let what = format!("every iteration over `{}`", short(around.what));
        return Some(step(project, id, around.range, what).into_iter().collect());
    }
    if store.owner == Owner::Local {
        // The innermost loop makes its own container; an outer one cannot see it.
        return None;
    }
    repeated_steps(project, id)
}

/// Why a function runs again and again; none where nothing says that it does.
pub(crate) fn repeated_steps(project: &Project<'_>, id: FunctionId) -> Option<Vec<PathStep>> {
    if let Some(site) = project.repeated.get(&id) {
        let range = ruff_text_size::TextRange::empty(site.at);
        let what = if site.in_loop { "called in a loop" } else { "called from what a loop calls" };
        return Some(step(project, site.caller, range, what.to_owned()).into_iter().collect());
    }
    let function = project.index.function(id)?;
    let unknown_callers = !project.sites.contains_key(&id);
    let repeats_by_name = ["step", "update", "batch", "iteration", "every", "observe", "record"]
        .iter()
        .any(|word| function.name.to_ascii_lowercase().contains(word));
    (unknown_callers && repeats_by_name).then(Vec::new)
}

/// Whether the container is handed to code that is not given.
fn escapes(project: &Project<'_>, facts: &Facts<'_>, store: &Store<'_>) -> bool {
    let Some(number) = store.container else { return true };
    facts.calls.iter().any(|call| {
        let known = call.callee.is_some_and(|callee| project.summaries.contains_key(&callee))
            || call.path.as_deref().is_some_and(|p| {
                p.starts_with("torch.") || p.starts_with("numpy.")
            })
            || matches!(&*call.call.func, ruff_python_ast::Expr::Name(n)
                if matches!(n.id.as_str(), "print" | "len" | "sum" | "float" | "str" | "list" | "zip" | "enumerate"));
        !known
            && call
                .arguments
                .iter()
                .any(|(_, value)| value.containers.contains(number) && number < 63)
    })
}
