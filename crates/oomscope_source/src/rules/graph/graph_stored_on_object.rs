//! OOM103: a tensor with its graph grows in an attribute or a module-level container.

use oomscope_model::{Cause, Finding, Fix, FixSafety, Held, Severity};

use crate::edit::{fix, suffix, suffixed};
use crate::facts::{Facts, Owner, Piece, Store, StoreKind};
use crate::index::{FileId, Function};
use crate::project::Project;
use crate::report::{Report, report, short};
use crate::retention::{ending, is_attached, retained};
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM103",
    name: "graph-stored-on-object",
    group: Group::GraphRetention,
    cause: Cause::GraphRetained,
    severity: Severity::Error,
    doc: include_str!("graph_stored_on_object.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        for store in &facts.stores {
            let is_state = is_endless_state(project, function, store);
            if !grows(store) && !is_state {
                continue;
            }
            let Some(kept) = retained(project, id, function, facts, store) else { continue };
            if is_state && kept.held == Held::Nodes {
                // A second backward through a freed graph raises: the program would have ended.
                continue;
            }
            let Some(file) = project.index.file(function.file) else { continue };
            let Some(piece) = store.pieces.iter().find(|piece| is_attached(facts, &piece.value))
            else {
                continue;
            };
            let value = short(file.slice(piece.expr));
            let message = if is_state {
                format!(
                    "`{}` is computed from its own last value, and nothing detaches it: the graphs of all steps form one chain",
                    store.target
                )
            } else {
                format!("`{}` outlives the step and keeps `{value}` with its graph", store.target)
            };
            let edits = detached(project, facts, store, piece, &value);
            let finding = Report {
                function: id,
                range: store.range,
                severity: kept.severity,
                held: kept.held,
                message,
                path: kept.path,
                fix: (!is_state).then_some(edits),
            };
            report(project, &RULE, finding, findings);
        }
    }
}

/// `self.sum += v`, `self.mean[k] = m * self.mean[k] + v`, `LOG.append(v)`.
fn grows(store: &Store<'_>) -> bool {
    match store.owner {
        Owner::Object => {
            store.kind == StoreKind::Accumulate
                || store.is_carried
                    && matches!(store.kind, StoreKind::Subscript | StoreKind::FixedKey)
        }
        Owner::Global | Owner::Parameter => {
            matches!(store.kind, StoreKind::Append | StoreKind::Subscript)
        }
        Owner::Local => false,
    }
}

/// `out, self.state = network(x, self.state)`, where nothing in the project gives the attribute
/// another value or cuts it, and no network owns it: its caller decides about that one.
fn is_endless_state(project: &Project<'_>, function: &Function<'_>, store: &Store<'_>) -> bool {
    let of_network = function.class.is_some_and(|class| project.index.is_module_class(class));
    store.is_carried
        && store.kind == StoreKind::Attribute
        && store.owner == Owner::Object
        && !of_network
        && !project.rewritten.contains(&store.target_name)
}

fn detached(
    project: &Project<'_>,
    facts: &Facts<'_>,
    store: &Store<'_>,
    piece: &Piece<'_>,
    value: &str,
) -> Fix {
    let ending = ending(project, facts, store, &piece.value, ".detach()");
    let title = format!("keep `{}` instead", suffixed(piece.expr, value, ending));
    fix(FixSafety::Unsafe, title, suffix(piece.expr, ending))
}
