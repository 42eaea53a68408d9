//! OOM503: a forward hook keeps every output with its graph.

use oomscope_model::{Cause, Finding, FixSafety, Held, Severity};
use ruff_python_ast::{Expr, ExprCall, ExprLambda};
use ruff_text_size::{Ranged, TextRange};

use crate::edit::{fix, suffix};
use crate::facts::StoreKind;
use crate::index::{FileId, FunctionId};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::Rule;
use crate::search::{called_name, each_expr};
use crate::value::Kind;

pub(crate) const RULE: Rule = Rule {
    id: "OOM503",
    name: "hook-keeps-outputs",
    cause: Cause::ReferencesHeld,
    severity: Severity::Warning,
    doc: include_str!("hook_keeps_outputs.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if project.is_unit_test(function) {
            continue;
        }
        for call in &facts.calls {
            if !matches!(
                called_name(call.call),
                "register_forward_hook"
                    | "register_module_forward_hook"
                    | "register_forward_pre_hook"
            ) {
                continue;
            }
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
}

fn keeps_in_function(
    project: &Project<'_>,
    registrar: FunctionId,
    hook: FunctionId,
    registered: &ExprCall,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(facts) = project.facts.get(hook.0 as usize) else { return };
    let Some(file) = project.index.function(hook).and_then(|f| project.index.file(f.file)) else {
        return;
    };
    for store in facts.stores.iter().filter(|store| store.kind == StoreKind::Append) {
        let consumed = project.consumed_attributes.contains(&store.target_name);
        let cleared = project.facts.iter().any(|f| {
            f.containers.iter().any(|c| c.cleared && c.name.ends_with(&store.target_name))
        });
        let Some(piece) = store.pieces.iter().find(|piece| !piece.value.params.is_empty()) else {
            continue;
        };
        if consumed || cleared || piece.value.params.0 == 1 {
            continue;
        }
        let value = short(file.slice(piece.expr));
        report_hook(
            project,
            hook,
            store.range,
            &store.target,
            &value,
            (registrar, registered.range()),
            suffix(piece.expr, ".detach().cpu()"),
            findings,
        );
    }
}

fn keeps_in_lambda(
    project: &Project<'_>,
    id: FunctionId,
    registered: &ExprCall,
    lambda: &ExprLambda,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(file) = project.index.function(id).and_then(|f| project.index.file(f.file)) else {
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
            suffix(argument, ".detach().cpu()"),
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
    edits: Vec<oomscope_model::Edit>,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let path = [
        step(project, registered.0, registered.1, "the hook runs at every forward".to_owned()),
        step(project, function, range, format!("`{target}` keeps `{value}` with its graph")),
    ];
    let finding = Report {
        function,
        range,
        severity: Severity::Warning,
        held: Held::Activations,
        message: format!("the forward hook appends `{value}` to `{target}` at every forward"),
        path: path.into_iter().flatten().collect(),
        fix: Some(fix(FixSafety::Unsafe, format!("keep `{value}.detach().cpu()`"), edits)),
    };
    report(project, &RULE, finding, findings);
}
