//! OOM404: an item of a cached data set is changed to hold its device copy, so that the whole set
//! moves to the device one item at a time.

use oomscope_model::{Cause, Finding, Held, PathStep, Severity};
use ruff_python_ast::{Expr, ExprCall, ExprSubscript};
use ruff_text_size::{Ranged, TextRange};

use crate::facts::{Assignment, Facts};
use crate::imports::dotted;
use crate::index::{FileId, Function, FunctionId};
use crate::placement::{Placement, moved_to};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM404",
    name: "cached-item-moved-to-device",
    group: Group::Accumulation,
    cause: Cause::OutputsAccumulated,
    severity: Severity::Error,
    doc: include_str!("cached_item_moved_to_device.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if function.class.is_none() || function.name == "__init__" || moves_on_purpose(function) {
            continue;
        }
        let mut moved = facts.assignments.iter().filter_map(|assignment| {
            let Expr::Call(call) = assignment.value else { return None };
            let is_part = matches!(assignment.target, Expr::Subscript(_) | Expr::Attribute(_));
            (is_part && moved_to(call) == Some(Placement::Device)).then_some((assignment, call))
        });
        // Most methods move nothing.
        let Some(first) = moved.next() else { continue };
        for (assignment, call) in std::iter::once(first).chain(moved) {
            let Some(cached) = cached_item(facts, function, assignment, call) else { continue };
            if comes_back(project, function, &cached.container) || function.is_unit_test {
                continue;
            }
            report_moved(project, id, assignment, &cached, findings);
        }
    }
}

/// An item of a container that outlives the method.
struct Cached {
    /// `self.cached_train`.
    container: String,
    taken: Option<TextRange>,
}

/// The container whose item an assignment `item[key] = item[key].to(device)` changes.
fn cached_item(
    facts: &Facts<'_>,
    function: &Function<'_>,
    assignment: &Assignment<'_>,
    call: &ExprCall,
) -> Option<Cached> {
    let Expr::Attribute(method) = &*call.func else { return None };
    if !is_same(&method.value, assignment.target) {
        return None;
    }
    let holder = match assignment.target {
        Expr::Subscript(target) => {
            // `self.images[i] = self.images[i].cuda()`.
            if let Some(container) = item_of_self(target, function) {
                return Some(Cached { container, taken: None });
            }
            &*target.value
        }
        Expr::Attribute(target) => &*target.value,
        _ => return None,
    };
    if let Expr::Subscript(item) = holder {
        let container = item_of_self(item, function)?;
        return Some(Cached { container, taken: None });
    }
    let Expr::Name(name) = holder else { return None };
    let before = facts.assignments.iter().rev().find(|earlier| {
        earlier.range.end() <= assignment.range.start()
            && matches!(earlier.target, Expr::Name(n) if n.id == name.id)
    })?;
    let Expr::Subscript(item) = before.value else { return None };
    let container = item_of_self(item, function)?;
    Some(Cached { container, taken: Some(before.range) })
}

/// `self.items[index]` where the index comes from the caller or changes with each call.
fn item_of_self(item: &ExprSubscript, function: &Function<'_>) -> Option<String> {
    if !matches!(&*item.slice, Expr::Name(_) | Expr::Attribute(_) | Expr::BinOp(_)) {
        return None;
    }
    let container = dotted(&item.value)?;
    let mut parts = container.split('.');
    let is_own = parts.next() == Some("self") && parts.clone().count() == 1;
    let name = parts.next()?.to_ascii_lowercase();
    // States follow their parameters, layers are parts of a network.
    let is_model = [
        "state",
        "layer",
        "module",
        "param",
        "model",
        "block",
        "expert",
        "key_cache",
        "value_cache",
    ]
    .iter()
    .any(|word| name.contains(word));
    let is_data = [
        "cache", "data", "sample", "item", "image", "batch", "example", "scene", "frame", "graph",
        "view", "record", "episode",
    ]
    .iter()
    .any(|word| name.contains(word))
        || function.name == "__getitem__";
    (is_own && is_data && !is_model).then(|| container.to_string())
}

/// Whether two expressions are the same names, attributes and constant or named subscripts.
fn is_same(left: &Expr, right: &Expr) -> bool {
    match (left, right) {
        (Expr::Name(a), Expr::Name(b)) => a.id == b.id,
        (Expr::Attribute(a), Expr::Attribute(b)) => {
            a.attr.as_str() == b.attr.as_str() && is_same(&a.value, &b.value)
        }
        (Expr::Subscript(a), Expr::Subscript(b)) => {
            is_same(&a.slice, &b.slice) && is_same(&a.value, &b.value)
        }
        (Expr::StringLiteral(a), Expr::StringLiteral(b)) => a.value.to_str() == b.value.to_str(),
        (Expr::NumberLiteral(a), Expr::NumberLiteral(b)) => a.value == b.value,
        _ => false,
    }
}

/// `to`, `cuda`, `preload_to_gpu`: the caller asks for the whole set to be moved.
fn moves_on_purpose(function: &Function<'_>) -> bool {
    let lower = function.name.to_ascii_lowercase();
    matches!(function.name, "to" | "cuda" | "_apply")
        || ["to_device", "to_gpu", "to_cuda", "preload", "prefetch", "onload", "move"]
            .iter()
            .any(|word| lower.contains(word))
}

/// Whether the class moves items of the container back to the host, or drops them.
fn comes_back(project: &Project<'_>, function: &Function<'_>, container: &str) -> bool {
    let name = crate::imports::last_part(container);
    if project.emptied.contains(name) {
        return false;
    }
    let class = function.class.and_then(|class| project.index.class(class));
    let methods = class.into_iter().flat_map(|class| class.methods.values());
    let facts = methods.filter_map(|method| project.facts.get(method.0 as usize));
    facts.flat_map(|facts| &facts.assignments).any(|assignment| {
        let to_item = matches!(assignment.target, Expr::Subscript(target)
            if dotted(&target.value).as_deref() == Some(container));
        to_item
            && matches!(assignment.value, Expr::Call(call) if moved_to(call) == Some(Placement::Host))
    })
}

fn report_moved(
    project: &Project<'_>,
    id: FunctionId,
    assignment: &Assignment<'_>,
    cached: &Cached,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(file) = project.index.file_of(id) else { return };
    let target = short(file.slice(assignment.target));
    let mut path: Vec<PathStep> = Vec::new();
    if let Some(taken) = cached.taken {
        path.extend(step(
            project,
            id,
            taken,
            format!("an item of `{}`, not a copy", cached.container),
        ));
    }
    path.extend(step(
        project,
        id,
        assignment.range,
        "the item now holds the device copy".to_owned(),
    ));
    let finding = Report {
        function: id,
        range: assignment.target.range(),
        severity: Severity::Error,
        held: Held::Tensors,
        message: format!(
            "`{target}` changes the item that `{}` keeps: the whole set moves to the device",
            cached.container
        ),
        path,
        fix: None,
    };
    report(project, &RULE, finding, findings);
}
