//! OOM515: a memo keeps a model's outputs, or the module whose method it wraps.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::{Decorator, Expr};
use ruff_text_size::Ranged;

use crate::imports::{dotted, last_part};
use crate::index::{FileId, Function, FunctionId};
use crate::project::Project;
use crate::report::{Report, report, step};
use crate::rules::{Group, Rule};
use crate::value::Kind;

pub(crate) const RULE: Rule = Rule {
    id: "OOM515",
    name: "lru-cache-holds-tensors",
    group: Group::References,
    cause: Cause::ReferencesHeld,
    severity: Severity::Warning,
    doc: include_str!("lru_cache_holds_tensors.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, _) in project.functions() {
        if function.decorators.is_empty() || function.is_unit_test {
            continue;
        }
        let Some(memo) = function.decorators.iter().find(|decorator| is_memo(decorator)) else {
            continue;
        };
        let Some((what, held)) = kept(project, id, function) else { continue };
        let finding = Report {
            function: id,
            range: memo.range(),
            severity: Severity::Warning,
            held,
            message: format!(
                "the memo of `{}` keeps {what} for the life of the process",
                function.qualified
            ),
            path: step(
                project,
                id,
                memo.range(),
                "every distinct argument adds an entry".to_owned(),
            )
            .into_iter()
            .collect(),
            fix: None,
        };
        report(project, &RULE, finding, findings);
    }
}

fn is_memo(decorator: &Decorator) -> bool {
    let expr = match &decorator.expression {
        Expr::Call(call) => &*call.func,
        other => other,
    };
    dotted(expr).is_some_and(|path| matches!(last_part(&path), "lru_cache" | "cache"))
}

/// What the memo keeps on the device.
fn kept(
    project: &Project<'_>,
    id: FunctionId,
    function: &Function<'_>,
) -> Option<(&'static str, Held)> {
    let is_static = function.decorators.iter().any(|decorator| {
        dotted(&decorator.expression)
            .is_some_and(|path| matches!(path.as_str(), "staticmethod" | "classmethod"))
    });
    if !is_static && function.class.is_some_and(|class| project.index.is_module_class(class)) {
        return Some(("the module itself, beside what it returns,", Held::Parameters));
    }
    let returns = project.summaries.get(&id)?.returns.as_ref()?;
    let is_output = matches!(returns.kind, Kind::Tensor)
        && returns.output
        && !returns.is_attached()
        && !returns.host
        && !returns.scalar
        && !returns.small;
    is_output.then_some(("the tensors that it returns", Held::Tensors))
}
