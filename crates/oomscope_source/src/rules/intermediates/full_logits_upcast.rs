//! OOM701: logits over the whole vocabulary are copied to float32 for the loss.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::Ranged;

use crate::facts::Facts;
use crate::imports::dotted;
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};
use crate::search::{called_name, contains};
use crate::sites::Site;

pub(crate) const RULE: Rule = Rule {
    id: "OOM701",
    name: "full-logits-upcast",
    group: Group::Intermediates,
    cause: Cause::OversizedAllocation,
    severity: Severity::Note,
    doc: include_str!("full_logits_upcast.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    let names_a_loss = |name: &str| {
        name.contains("cross_entropy") || matches!(name, "loss_fct" | "loss_fn" | "criterion")
    };
    for Site { id, function, facts, call, .. } in project.calls_where(names_a_loss) {
        let Some(logits) = call.call.arguments.args.first() else { continue };
        let flattened = contains(
            logits,
            |inner| matches!(inner, Expr::Call(c) if matches!(called_name(c), "view" | "reshape" | "flatten")),
        ) || name_was(facts, logits, |value| {
            contains(
                value,
                |inner| matches!(inner, Expr::Call(c) if matches!(called_name(c), "view" | "reshape" | "flatten")),
            )
        });
        let upcast =
            contains(logits, is_upcast) || name_was(facts, logits, |v| contains(v, is_upcast));
        if !flattened || !upcast {
            continue;
        }
        let Some(file) = project.index.file(function.file) else { continue };
        let text = short(file.slice(logits));
        let range = call.call.range();
        let what =
            format!("`{text}`: 4 bytes for each token and each word of the vocabulary, at once");
        let finding = Report {
            function: id,
            range,
            severity: Severity::Note,
            held: Held::Activations,
            message: format!("the loss makes a float32 copy of all logits: `{text}`"),
            path: step(project, id, range, what).into_iter().collect(),
            fix: None,
        };
        report(project, &RULE, finding, findings);
    }
}

/// `logits.float()`, `logits.to(torch.float32)`.
fn is_upcast(expr: &Expr) -> bool {
    let Expr::Call(call) = expr else { return false };
    let Expr::Attribute(attribute) = &*call.func else { return false };
    let names_logits = dotted(&attribute.value).is_some_and(|path| path.contains("logit"))
        || contains(
            &attribute.value,
            |inner| matches!(inner, Expr::Name(n) if n.id.contains("logit")),
        );
    let to_float = attribute.attr.as_str() == "float"
        || attribute.attr.as_str() == "to"
            && call.arguments.args.first().and_then(dotted).is_some_and(|p| p == "torch.float32");
    names_logits && to_float
}

/// Whether a name in the expression was assigned a value that fulfils the condition.
fn name_was(facts: &Facts<'_>, expr: &Expr, condition: impl Fn(&Expr) -> bool) -> bool {
    facts.assignments.iter().any(|assignment| {
        assignment.range.start() < expr.start()
            && matches!(assignment.target, Expr::Name(name) if contains(expr, |inner| {
                matches!(inner, Expr::Name(n) if n.id == name.id) && name.id.contains("logit")
            }))
            && condition(assignment.value)
    })
}
