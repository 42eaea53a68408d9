//! OOM105: a metric, tracker or handler keeps what it is given without detaching it.
//!
//! Speaks where the callers are not given; where they are, `graph-in-meter` looks at each call.

use oomscope_model::{Cause, Finding, FixSafety, GradMode, Held, Severity};
use ruff_python_ast::Expr;

use crate::edit::{fix, suffix, suffixed};
use crate::facts::{Call, Facts, Owner, Piece, Store, StoreKind};
use crate::imports::{dotted, last_part};
use crate::index::{Class, FileId, Function, FunctionId};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};
use crate::search::contains;
use crate::torch_api;
use crate::value::Graph;

pub(crate) const RULE: Rule = Rule {
    id: "OOM105",
    name: "metric-state-attached",
    group: Group::GraphRetention,
    cause: Cause::GraphRetained,
    severity: Severity::Warning,
    doc: include_str!("metric_state_attached.md"),
    check,
};

/// Why a class is known to be handed tensors with their graph.
#[derive(Clone, Copy)]
enum Protocol {
    /// A metric whose `update` gets a network's output.
    Metric,
    /// A metric whose framework switches autograd off around it unless told otherwise: what it
    /// computes with a network of its own is recorded all the same.
    DifferentiableMetric,
    /// A handler that reads the output of an engine.
    Handler,
    /// A class that tracks losses, by its name.
    Tracker,
}

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if facts.stores.is_empty() || facts.runs_backward {
            continue;
        }
        let Some(protocol) = protocol(project, id, function) else { continue };
        // Who detaches a part of what it gets knows which part needs it.
        if facts.calls.iter().any(detaches) {
            continue;
        }
        for store in facts.stores.iter().filter(|store| is_state(project, store)) {
            let piece = store.pieces.iter().find(|piece| {
                piece.value.graph == Graph::Maybe
                    && may_carry(protocol, function, facts, store, piece)
            });
            if let Some(piece) = piece {
                report_kept(project, id, function, store, piece, findings);
            }
        }
    }
}

fn detaches(call: &Call<'_>) -> bool {
    matches!(call.name, "detach" | "detach_")
        && call.receiver.as_ref().is_some_and(|receiver| !receiver.params.is_empty())
}

fn protocol(project: &Project<'_>, id: FunctionId, function: &Function<'_>) -> Option<Protocol> {
    let name = function.name;
    let updates = name == "__call__"
        || ["update", "add", "log", "record", "track", "accumulate", "append", "push", "put"]
            .iter()
            .any(|verb| {
                name.strip_prefix(verb).is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with('_') || rest.starts_with(char::is_uppercase)
                })
            });
    if !updates || function.is_unit_test || project.grad_mode(id) == GradMode::Off {
        return None;
    }
    let class_id = function.class?;
    let class = project.index.class(class_id)?;
    let is_called = project.sites.get(&id).is_some_and(|sites| {
        let mut callers = sites.iter().filter_map(|site| project.index.function(site.caller));
        callers.any(|caller| !caller.is_unit_test)
    });
    let trains = class.methods.values().any(|method| {
        project.facts.get(method.0 as usize).is_some_and(|facts| facts.runs_backward)
    });
    if is_called || trains {
        return None;
    }
    if name == "__call__" {
        let takes_engine = function.numbered_parameters().any(|p| p.name.as_str() == "engine");
        return takes_engine.then_some(Protocol::Handler);
    }
    if let Some(base) = class.bases.iter().find(|base| is_metric_base(base)) {
        let root = base.split('.').next().unwrap_or(base);
        return match root {
            "ignite" => Some(Protocol::Metric),
            "torchmetrics" | "lightning" | "pytorch_lightning" => {
                Some(Protocol::DifferentiableMetric)
            }
            _ if class.methods.contains_key("compute") => Some(Protocol::DifferentiableMetric),
            _ => None,
        };
    }
    // Calls of that name may be its calls: `graph-in-meter` follows those that it can resolve.
    let is_called_somewhere = project.calls_named(&[name]).any(|site| site.id != id);
    let speaks = !is_called_somewhere && !project.index.is_module_class(class_id);
    (speaks && tracks(project, class)).then_some(Protocol::Tracker)
}

fn is_metric_base(base: &str) -> bool {
    last_part(base).ends_with("Metric")
}

/// `LossTracker`, `TrainingStats`: by the words of the class's name.
fn tracks(project: &Project<'_>, class: &Class<'_>) -> bool {
    let method = class.methods.values().next().and_then(|id| project.index.function(*id));
    let Some(name) = method.and_then(|m| m.qualified.rsplit('.').nth(1)) else { return false };
    let mut words = name.split('_').flat_map(camel_words);
    words.any(|word| {
        matches!(
            word.to_ascii_lowercase().as_str(),
            "meter"
                | "meters"
                | "metric"
                | "metrics"
                | "track"
                | "tracker"
                | "log"
                | "logger"
                | "stat"
                | "stats"
                | "statistics"
                | "average"
                | "averager"
                | "monitor"
                | "recorder"
                | "record"
                | "history"
                | "hist"
        )
    })
}

fn camel_words(name: &str) -> impl Iterator<Item = &str> {
    let mut rest = name;
    std::iter::from_fn(move || {
        let mut letters = rest.char_indices().skip(1);
        let end = letters.find(|(_, c)| c.is_ascii_uppercase()).map_or(rest.len(), |(at, _)| at);
        let (word, after) = rest.split_at_checked(end)?;
        rest = after;
        (!word.is_empty()).then_some(word)
    })
}

/// Something that adds up or gathers on the object itself, and that no backward reads.
fn is_state(project: &Project<'_>, store: &Store<'_>) -> bool {
    store.owner == Owner::Object
        && store.target.starts_with("self.")
        && matches!(store.kind, StoreKind::Accumulate | StoreKind::Append)
        && !project.consumed_attributes.contains(&store.target_name)
        && !torch_api::names_a_number(store.target_name)
}

fn may_carry(
    protocol: Protocol,
    function: &Function<'_>,
    facts: &Facts<'_>,
    store: &Store<'_>,
    piece: &Piece<'_>,
) -> bool {
    let given = |wanted: &dyn Fn(&str) -> bool| {
        let mut parameters = function.numbered_parameters().enumerate().skip(1);
        parameters.any(|(number, p)| piece.value.params.contains(number) && wanted(p.name.as_str()))
    };
    match protocol {
        Protocol::Metric => {
            store.kind == StoreKind::Accumulate
                && given(&|_| true)
                && contains(
                    piece.expr,
                    |e| matches!(e, Expr::Name(n) if !names_a_target(n.id.as_str())),
                )
        }
        Protocol::DifferentiableMetric => {
            store.kind == StoreKind::Accumulate
                && piece.value.may.iter().any(|graph| runs_network(facts, graph))
        }
        Protocol::Handler => {
            piece.value.output && given(&|name| name == "engine") && !takes_numbers(store)
        }
        Protocol::Tracker => {
            given(&|name| name.split('_').any(|word| matches!(word, "loss" | "losses")))
        }
    }
}

/// A handler that logs losses gets them as numbers from its transform.
fn takes_numbers(store: &Store<'_>) -> bool {
    store.target_name.contains("loss") || store.target_name.contains("metric")
}

/// What a network is compared with; it carries no graph.
fn names_a_target(name: &str) -> bool {
    let first = name.split('_').next().unwrap_or(name);
    matches!(
        first,
        "y" | "target"
            | "targets"
            | "label"
            | "labels"
            | "mask"
            | "weight"
            | "weights"
            | "gt"
            | "true"
            | "torch"
            | "F"
            | "len"
            | "sum"
            | "int"
            | "self"
            | "batch"
            | "n"
            | "num"
    ) && !name.contains("pred")
}

/// Whether the result of a call comes from a network handed to it.
fn runs_network(facts: &Facts<'_>, graph: usize) -> bool {
    let Some(range) = facts.graphs.get(graph) else { return false };
    facts.calls.iter().filter(|c| ruff_text_size::Ranged::range(c.call) == *range).any(|call| {
        let mut given = call.arguments.iter().filter_map(|(expr, _)| dotted(expr));
        given.any(|path| torch_api::names_a_network(last_part(&path)))
    })
}

fn report_kept(
    project: &Project<'_>,
    id: FunctionId,
    function: &Function<'_>,
    store: &Store<'_>,
    piece: &Piece<'_>,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(file) = project.index.file(function.file) else { return };
    let value = short(file.slice(piece.expr));
    let handed = format!("`{}` gets it with whatever graph it has", function.qualified);
    let at = ruff_text_size::TextRange::empty(function.def_start);
    let path = [
        step(project, id, at, handed),
        step(project, id, store.range, format!("`{}` keeps it", store.target)),
    ];
    let title = format!("keep `{}` instead", suffixed(piece.expr, &value, ".detach()"));
    let finding = Report {
        function: id,
        range: store.range,
        severity: Severity::Warning,
        held: Held::Activations,
        message: format!(
            "`{}` keeps `{value}` undetached: every update of a caller that records stays alive",
            store.target
        ),
        path: path.into_iter().flatten().collect(),
        fix: Some(fix(FixSafety::Unsafe, title, suffix(piece.expr, ".detach()"))),
    };
    report(project, &RULE, finding, findings);
}
