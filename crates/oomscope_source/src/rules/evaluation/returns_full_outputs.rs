//! OOM307: a step of a Lightning module returns a network's full output for the framework to keep.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::Ranged;

use crate::facts::{DictLiteral, Facts};
use crate::index::{Class, FileId, FunctionId};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};
use crate::value::Value;

pub(crate) const RULE: Rule = Rule {
    id: "OOM307",
    name: "returns-full-outputs",
    group: Group::Evaluation,
    cause: Cause::OutputsAccumulated,
    severity: Severity::Warning,
    doc: include_str!("returns_full_outputs.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        let end = match function.name {
            "training_step" => "training_epoch_end",
            "validation_step" => "validation_epoch_end",
            "test_step" => "test_epoch_end",
            _ => continue,
        };
        let class = function.class.and_then(|class| project.index.class(class));
        let Some(class) = class.filter(|class| class.methods.contains_key(end)) else { continue };
        if function.is_unit_test || !is_lightning(class) {
            continue;
        }
        if let Some(expr) = full_output(facts) {
            report_returned(project, id, end, expr, findings);
        }
    }
}

fn is_lightning(class: &Class<'_>) -> bool {
    class.bases.iter().any(|base| base.ends_with("LightningModule"))
}

/// A part of the returned dict that is neither a number nor small.
fn full_output<'a>(facts: &Facts<'a>) -> Option<&'a Expr> {
    let is_full = |key: &str, value: &Value| {
        let named = ["logits", "pred", "preds", "output", "outputs", "y_hat", "features"];
        value.output && !value.scalar && !value.small && !value.host && named.contains(&key)
    };
    let returned =
        |dict: &DictLiteral<'a>| facts.returns.iter().any(|expr| expr.range() == dict.range);
    facts
        .dicts
        .iter()
        .filter(|dict| returned(dict))
        .find_map(|dict| {
            let mut items = dict.items.iter();
            items.find(
                |(expr, value)| matches!(expr, Expr::Name(n) if is_full(n.id.as_str(), value)),
            )
        })
        .map(|(expr, _)| *expr)
}

fn report_returned(
    project: &Project<'_>,
    id: FunctionId,
    end: &str,
    expr: &Expr,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(file) = project.index.file_of(id) else { return };
    let name = short(file.slice(expr));
    let what = format!("`{end}` gets `{name}` of all batches at once");
    let finding = Report {
        function: id,
        range: expr.range(),
        severity: Severity::Warning,
        held: Held::Tensors,
        message: format!(
            "`{name}` of every batch stays on the device until `{end}`: return what that needs"
        ),
        path: step(project, id, expr.range(), what).into_iter().collect(),
        fix: None,
    };
    report(project, &RULE, finding, findings);
}
