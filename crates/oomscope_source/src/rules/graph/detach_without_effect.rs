//! OOM110: `x.detach()` as a statement: the detached tensor is thrown away.

use oomscope_model::{Cause, Finding, FixSafety, Held, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::Ranged;

use crate::edit::{fix, replace};
use crate::facts::{Call, Mode};
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};
use crate::value::Kind;

pub(crate) const RULE: Rule = Rule {
    id: "OOM110",
    name: "detach-without-effect",
    group: Group::GraphRetention,
    cause: Cause::GraphRetained,
    severity: Severity::Warning,
    doc: include_str!("detach_without_effect.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        for call in facts.calls.iter().filter(|call| call.is_statement) {
            let Expr::Attribute(attribute) = &*call.call.func else { continue };
            if attribute.attr.as_str() != "detach" || !is_tensor(call) {
                continue;
            }
            let Some(file) = project.index.file(function.file) else { continue };
            if !file.text.contains("torch") {
                continue;
            }
            let name = short(file.slice(&*attribute.value));
            let range = call.call.range();
            let what = format!("`{name}.detach()` makes another tensor, which nothing keeps");
            let edit = replace(attribute.attr.range(), "detach_");
            let finding = Report {
                function: id,
                range,
                severity: Severity::Warning,
                held: Held::Activations,
                message: format!("`{name}` keeps its graph: `detach()` does not change it"),
                path: step(project, id, range, what).into_iter().collect(),
                fix: Some(fix(FixSafety::Unsafe, "detach in place with `detach_()`", vec![edit])),
            };
            report(project, &RULE, finding, findings);
        }
    }
}

/// Whether the receiver may be a tensor; streams, processes and handlers detach as well.
fn is_tensor(call: &Call<'_>) -> bool {
    if !call.arguments.is_empty() || call.callee.is_some() || call.mode == Mode::Off {
        return false;
    }
    let Some(receiver) = &call.receiver else { return false };
    match receiver.kind {
        Kind::Tensor => true,
        Kind::Unknown => {
            receiver.is_attached()
                || receiver.output
                || !receiver.latent.is_empty()
                || !receiver.may.is_empty()
        }
        _ => false,
    }
}
