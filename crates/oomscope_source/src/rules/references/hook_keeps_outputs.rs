//! OOM503: a forward hook keeps every output, with its graph or on the device.

use oomscope_model::{Cause, Finding, FixSafety, Held, Severity};
use ruff_python_ast::{Expr, ExprCall, ExprLambda};
use ruff_text_size::{Ranged, TextRange};

use crate::edit::{fix, suffix, suffixed};
use crate::facts::{Owner, Piece, Store, StoreKind};
use crate::index::{FileId, FunctionId};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};
use crate::search::{called_name, each_expr};
use crate::sites::Site;
use crate::value::{Graph, Kind};

pub(crate) const RULE: Rule = Rule {
    id: "OOM503",
    name: "hook-keeps-outputs",
    group: Group::References,
    cause: Cause::ReferencesHeld,
    severity: Severity::Warning,
    doc: include_str!("hook_keeps_outputs.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    let hooks =
        ["register_forward_hook", "register_module_forward_hook", "register_forward_pre_hook"];
    for Site { id, facts, call, .. } in project.calls_named(&hooks) {
        let Some((expr, value)) = call.arguments.first() else { continue };
        match (expr, &value.kind) {
            (Expr::Lambda(lambda), _) => {
                keeps_in_lambda(project, id, call.call, lambda, findings);
            }
            (_, Kind::Function(hook)) => {
                keeps_in_function(project, id, *hook, call.call, findings);
            }
            (Expr::Call(factory), _) => {
                let made = facts.calls.iter().find(|c| std::ptr::eq(c.call, factory));
                let Some(factory) = made.and_then(|c| c.callee) else { continue };
                let inner = project.functions().filter(|(_, f, _)| f.parent == Some(factory));
                for (hook, ..) in inner {
                    keeps_in_function(project, id, hook, call.call, findings);
                }
            }
            _ => {}
        }
    }
}

fn keeps_in_function(
    project: &Project<'_>,
    registrar: FunctionId,
    hook: FunctionId,
    registered: &ExprCall,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(facts) = project.facts.get(hook.0 as usize) else { return };
    let Some(file) = project.index.file_of(hook) else {
        return;
    };
    let removed_at_once = project
        .facts
        .get(registrar.0 as usize)
        .is_some_and(|facts| facts.calls.iter().any(|call| call.name == "remove"));
    for store in facts.stores.iter().filter(|store| store.kind == StoreKind::Append) {
        if store.owner == Owner::Local
            || removed_at_once
            || project.consumed_attributes.contains(&store.target_name)
            || project.emptied.contains(&store.target_name)
            || project.bounded.contains(&store.target_name)
        {
            continue;
        }
        let Some(piece) = store.pieces.iter().find(|piece| kept_as(store, piece).is_some()) else {
            continue;
        };
        let Some(kept) = kept_as(store, piece) else { continue };
        let value = short(file.slice(piece.expr));
        report_hook(
            project,
            hook,
            store.range,
            store.target,
            &value,
            (registrar, registered.range()),
            kept,
            piece.expr,
            findings,
        );
    }
}

/// How a hook keeps an output.
#[derive(Clone, Copy)]
enum KeptAs {
    Graph,
    Tensor,
}

/// How a stored part is kept, if it is an output at all. Its own first parameter is the module.
fn kept_as(store: &Store<'_>, piece: &Piece<'_>) -> Option<KeptAs> {
    let value = &piece.value;
    if !value.latent.is_empty() {
        return None; // what an unknown function makes of it may be a number
    }
    if !value.params.is_empty() && value.params.0 != 1 {
        return Some(KeptAs::Graph);
    }
    // What has surely no graph and is no number was detached.
    let is_tensor = matches!(value.kind, Kind::Tensor | Kind::Unknown) && value.graph == Graph::No;
    let is_large = !value.host && !value.scalar && !value.small;
    (is_tensor && is_large && store.owner == Owner::Object).then_some(KeptAs::Tensor)
}

fn keeps_in_lambda(
    project: &Project<'_>,
    id: FunctionId,
    registered: &ExprCall,
    lambda: &ExprLambda,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(file) = project.index.file_of(id) else {
        return;
    };
    let output = lambda
        .parameters
        .as_ref()
        .and_then(|parameters| parameters.iter_non_variadic_params().last())
        .map(|parameter| parameter.parameter.name.as_str());
    let mut kept: Vec<(&Expr, &ExprCall, String)> = Vec::new();
    each_expr(&lambda.body, &mut |inner| {
        if let Expr::Call(call) = inner
            && called_name(call) == "append"
            && let Expr::Attribute(list) = &*call.func
            && let Some(argument @ Expr::Name(name)) = call.arguments.args.first()
            && Some(name.id.as_str()) == output
        {
            kept.push((argument, call, short(file.slice(&*list.value))));
        }
    });
    for (argument, call, list) in kept {
        let value = short(file.slice(argument));
        report_hook(
            project,
            id,
            call.range(),
            &list,
            &value,
            (id, registered.range()),
            KeptAs::Graph,
            argument,
            findings,
        );
    }
}

#[expect(clippy::too_many_arguments, reason = "two call sites; a struct would only rename them")]
fn report_hook(
    project: &Project<'_>,
    function: FunctionId,
    range: TextRange,
    target: &str,
    value: &str,
    registered: (FunctionId, TextRange),
    kept: KeptAs,
    expr: &Expr,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let (held, how, ending) = match kept {
        KeptAs::Graph => (Held::Activations, "with its graph", ".detach().cpu()"),
        KeptAs::Tensor => (Held::Tensors, "on the device", ".cpu()"),
    };
    let path = [
        step(project, registered.0, registered.1, "the hook runs at every forward".to_owned()),
        step(project, function, range, format!("`{target}` keeps `{value}` {how}")),
    ];
    let finding = Report {
        function,
        range,
        severity: Severity::Warning,
        held,
        message: format!("the forward hook appends `{value}` to `{target}` at every forward"),
        path: path.into_iter().flatten().collect(),
        fix: Some(fix(
            FixSafety::Unsafe,
            format!("keep `{}`", suffixed(expr, value, ending)),
            suffix(expr, ending),
        )),
    };
    report(project, &RULE, finding, findings);
}
