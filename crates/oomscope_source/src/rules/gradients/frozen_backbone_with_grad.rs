//! OOM209: the optimizer trains a head alone, and autograd records the backbone too.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::Ranged;

use crate::facts::Call;
use crate::imports::{dotted, last_part};
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, step};
use crate::rules::{Group, Rule};
use crate::search::called_name;
use crate::sites::Site;

pub(crate) const RULE: Rule = Rule {
    id: "OOM209",
    name: "frozen-backbone-with-grad",
    group: Group::Gradients,
    cause: Cause::ActivationsTooLarge,
    severity: Severity::Note,
    doc: include_str!("frozen_backbone_with_grad.md"),
    check,
};

/// Names of the last layers of a network.
const HEADS: &[&str] = &[
    "fc",
    "head",
    "heads",
    "classifier",
    "last_linear",
    "lm_head",
    "linear_head",
    "cls_head",
    "classification_head",
    "output_layer",
];

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    let names_a_class = |name: &str| name.starts_with(|c: char| c.is_ascii_uppercase());
    for Site { id, file, call, .. } in project.calls_where(names_a_class) {
        let Some((network, head)) = trained_head(call) else { continue };
        // Frozen, or run without recording, somewhere in the file.
        if ["requires_grad", "freeze", "no_grad"].iter().any(|word| file.text.contains(word)) {
            continue;
        }
        let range = call.call.range();
        let what = format!("trains `{head}` and nothing else of `{network}`");
        let finding = Report {
            function: id,
            range,
            severity: Severity::Note,
            held: Held::Parameters,
            message: format!(
                "only `{network}.{head}` is trained, but the rest of `{network}` gets \
                     gradients as well: freeze it with `requires_grad_(False)`"
            ),
            path: step(project, id, range, what).into_iter().collect(),
            fix: None,
        };
        report(project, &RULE, finding, findings);
    }
}

/// `torch.optim.SGD(model.fc.parameters(), …)` as `model` and `fc`.
fn trained_head(call: &Call<'_>) -> Option<(String, String)> {
    if !call.path.as_deref()?.starts_with("torch.optim.") {
        return None;
    }
    let Expr::Call(parameters) = call.call.arguments.args.first()? else { return None };
    if called_name(parameters) != "parameters" {
        return None;
    }
    let Expr::Attribute(method) = &*parameters.func else { return None };
    let path = dotted(&method.value)?;
    let (network, head) = path.rsplit_once('.')?;
    let is_network = crate::torch_api::names_a_network(last_part(network));
    (is_network && HEADS.contains(&head)).then(|| (network.to_owned(), head.to_owned()))
}
