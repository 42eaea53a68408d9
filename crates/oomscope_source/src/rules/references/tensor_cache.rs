//! OOM504: a cache that lives as long as the process keeps a model's outputs.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::Ranged;

use crate::facts::{Owner, StoreKind};
use crate::imports::dotted;
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, step};
use crate::retention::attached_graphs;
use crate::rules::{Group, Rule};
use crate::value::Kind;

pub(crate) const RULE: Rule = Rule {
    id: "OOM504",
    name: "tensor-cache",
    group: Group::References,
    cause: Cause::ReferencesHeld,
    severity: Severity::Warning,
    doc: include_str!("tensor_cache.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if project.is_unit_test(function) {
            continue;
        }
        let memo = function.decorators.iter().find(|decorator| {
            let expr = match &decorator.expression {
                Expr::Call(call) => &*call.func,
                other => other,
            };
            dotted(expr)
                .is_some_and(|path| matches!(path.rsplit('.').next(), Some("lru_cache" | "cache")))
        });
        let returns = project.summaries.get(&id).and_then(|summary| summary.returns.as_ref());
        if let Some(memo) = memo
            && returns.is_some_and(|value| {
                matches!(value.kind, Kind::Tensor | Kind::Unknown)
                    && value.output
                    && !value.is_attached()
                    && !value.host
                    && !value.scalar
            })
        {
            let what = "every distinct argument adds an entry".to_owned();
            let finding = Report {
                function: id,
                range: memo.range(),
                severity: Severity::Warning,
                held: Held::Tensors,
                message: format!(
                    "`{}` caches tensors for the life of the process",
                    function.qualified
                ),
                path: step(project, id, memo.range(), what).into_iter().collect(),
                fix: None,
            };
            report(project, &RULE, finding, findings);
        }
        for store in &facts.stores {
            let value = &store.value;
            if store.kind != StoreKind::Subscript
                || store.owner != Owner::Global
                || attached_graphs(facts, store).is_some()
                || !value.output
                || value.host
                || value.scalar
            {
                continue;
            }
            let what = format!("`{}` is never emptied", store.target);
            let finding = Report {
                function: id,
                range: store.range,
                severity: Severity::Warning,
                held: Held::Tensors,
                message: format!("`{}` caches tensors for the life of the process", store.target),
                path: step(project, id, store.range, what).into_iter().collect(),
                fix: None,
            };
            report(project, &RULE, finding, findings);
        }
    }
}
