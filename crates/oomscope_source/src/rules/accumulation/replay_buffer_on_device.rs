//! OOM403: a replay buffer keeps transitions on the device.

use oomscope_model::{Cause, Finding, FixSafety, Held, PathStep, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::Ranged;

use crate::edit::{fix, suffix};
use crate::facts::{Owner, Piece, Store, StoreKind};
use crate::index::{FileId, Function, FunctionId};
use crate::placement::{Placement, moved_to};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};
use crate::value::Kind;

pub(crate) const RULE: Rule = Rule {
    id: "OOM403",
    name: "replay-buffer-on-device",
    group: Group::Accumulation,
    cause: Cause::OutputsAccumulated,
    severity: Severity::Warning,
    doc: include_str!("replay_buffer_on_device.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if !matches!(function.name, "append" | "push" | "add" | "store" | "put" | "remember")
            || !is_replay_buffer(project, function)
            || function.is_unit_test
        {
            continue;
        }
        for store in &facts.stores {
            if store.owner != Owner::Object
                || !matches!(store.kind, StoreKind::Append | StoreKind::Subscript)
            {
                continue;
            }
            let kept = store
                .pieces
                .iter()
                .find_map(|piece| Some((piece, given_on_device(project, id, function, piece)?)));
            if let Some((piece, source)) = kept {
                report_kept(project, id, store, piece, source, findings);
            }
        }
    }
}

/// A class that is named for what it replays, and moves nothing to a device when it is sampled.
fn is_replay_buffer(project: &Project<'_>, function: &Function<'_>) -> bool {
    let Some(class) = function.class else { return false };
    let name = function.qualified.rsplit_once('.').map_or("", |(class, _)| class);
    let lower = name.to_ascii_lowercase();
    let is_named = ["replay", "experience", "rolloutbuffer"].iter().any(|w| lower.contains(w));
    let methods = project.index.class(class).map(|class| class.methods.values());
    is_named
        && !methods.into_iter().flatten().any(|method| {
            let facts = project.facts.get(method.0 as usize);
            facts.into_iter().flat_map(|facts| &facts.calls).any(|call| {
                moved_to(call.call) == Some(Placement::Device)
                    || crate::placement::device_keyword(call.call).is_some()
            })
        })
}

/// Where a stored part is known to be a tensor that nobody moved to the host.
fn given_on_device(
    project: &Project<'_>,
    id: FunctionId,
    function: &Function<'_>,
    piece: &Piece<'_>,
) -> Option<Vec<PathStep>> {
    let value = &piece.value;
    if value.host || value.scalar || matches!(value.kind, Kind::Plain) {
        return None;
    }
    let root = root_of(piece.expr)?;
    let parameter = function.numbered_parameters().position(|p| p.name.as_str() == root)?;
    let sites = project.sites.get(&id);
    for site in sites.into_iter().flatten() {
        let caller = project.facts.get(site.caller.0 as usize)?;
        let Some(call) = caller.calls.iter().find(|c| c.call.start() == site.at) else {
            continue;
        };
        let offset = usize::from(call.receiver.is_some() && function.class.is_some());
        let given = parameter.checked_sub(offset).and_then(|number| call.arguments.get(number));
        let Some((given, value)) = given else { continue };
        if value.device && !value.host && !value.small && !value.scalar {
            let range = given.range();
            let given = step(project, site.caller, range, "given on the device".to_owned());
            return Some(given.into_iter().collect());
        }
    }
    // No caller is given: arithmetic that only tensors have says that it keeps tensors as they come.
    (sites.is_none() && is_tensor_arithmetic(piece.expr)).then(Vec::new)
}

/// The name that an expression starts with: `state` of `state[-1].byte()`.
fn root_of(expr: &Expr) -> Option<&str> {
    let mut at = expr;
    for _ in 0..32 {
        at = match at {
            Expr::Name(name) => return Some(name.id.as_str()),
            Expr::Attribute(attribute) => &attribute.value,
            Expr::Subscript(subscript) => &subscript.value,
            Expr::Call(call) => &call.func,
            _ => return None,
        };
    }
    None
}

/// `state.mul(255).byte()`.
fn is_tensor_arithmetic(expr: &Expr) -> bool {
    let Expr::Call(call) = expr else { return false };
    let Expr::Attribute(method) = &*call.func else { return false };
    matches!(method.attr.as_str(), "byte" | "half" | "detach" | "clone" | "unsqueeze" | "squeeze")
        && !matches!(&*method.value, Expr::Call(inner)
            if crate::imports::dotted(&inner.func).is_some_and(|path| path.starts_with("torch.")))
}

fn report_kept(
    project: &Project<'_>,
    id: FunctionId,
    store: &Store<'_>,
    piece: &Piece<'_>,
    source: Vec<PathStep>,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(file) = project.index.file_of(id) else { return };
    let value = short(file.slice(piece.expr));
    let mut path = source;
    let keeps = format!("`{}` keeps `{value}` where it is", store.target);
    path.extend(step(project, id, store.range, keeps));
    let finding = Report {
        function: id,
        range: store.range,
        severity: Severity::Warning,
        held: Held::Tensors,
        message: format!(
            "the replay buffer keeps `{value}` of every step on the agent's device, up to its capacity"
        ),
        path,
        fix: Some(fix(
            FixSafety::Unsafe,
            format!("move `{value}` to the host first"),
            suffix(piece.expr, ".cpu()"),
        )),
    };
    report(project, &RULE, finding, findings);
}
