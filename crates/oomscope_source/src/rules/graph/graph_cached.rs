//! OOM107: a memoised function returns tensors with their graph.

use oomscope_model::{Cause, Finding, GradMode, Held, Severity};
use ruff_python_ast::{Decorator, Expr};

use crate::imports::{dotted, last_part};
use crate::index::{FileId, Function};
use crate::project::Project;
use crate::report::{Report, report, step};
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM107",
    name: "graph-cached",
    group: Group::GraphRetention,
    cause: Cause::GraphRetained,
    severity: Severity::Error,
    doc: include_str!("graph_cached.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, _) in project.functions() {
        let Some(cache) = function.decorators.iter().find(|d| memoises(d)) else { continue };
        let attached = project
            .summaries
            .get(&id)
            .and_then(|summary| summary.returns.as_ref())
            .is_some_and(crate::value::Value::is_attached);
        if !attached || project.grad_mode(id) == GradMode::Off || holds_one(cache, function) {
            continue;
        }
        let range = ruff_text_size::Ranged::range(cache);
        let what = format!("keeps every result of `{}` with its graph", function.qualified);
        let finding = Report {
            function: id,
            range,
            severity: Severity::Error,
            held: Held::Activations,
            message: format!(
                "the cache of `{}` keeps tensors with their graph: detach the result, or compute \
                 it under `no_grad`",
                function.qualified
            ),
            path: step(project, id, range, what).into_iter().collect(),
            fix: None,
        };
        report(project, &RULE, finding, findings);
    }
}

fn memoises(decorator: &Decorator) -> bool {
    let callee = match &decorator.expression {
        Expr::Call(call) => &*call.func,
        other => other,
    };
    dotted(callee).is_some_and(|path| {
        matches!(last_part(&path), "lru_cache" | "cache" | "memoize" | "memoise" | "cached")
    })
}

/// A function without arguments has one result.
fn holds_one(cache: &Decorator, function: &Function<'_>) -> bool {
    let size_one = matches!(&cache.expression, Expr::Call(call)
    if call.arguments.keywords.iter().map(|k| &k.value).chain(&call.arguments.args).any(|size| {
        matches!(size, Expr::NumberLiteral(n) if n.value.as_int().is_some_and(|i| i.as_u8() == Some(1)))
    }));
    size_one || function.numbered_parameters().next().is_none()
}
