//! OOM864: a training step asks for the key/value cache.

use oomscope_model::{Cause, Finding, FixSafety, Held, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::Ranged;

use crate::edit::{fix, replace};
use crate::facts::Mode;
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report};
use crate::rules::{Group, Rule};
use crate::search::is_literal;
use crate::sites::Site;

pub(crate) const RULE: Rule = Rule {
    id: "OOM864",
    name: "cache-in-training",
    group: Group::Generation,
    cause: Cause::ActivationsTooLarge,
    severity: Severity::Note,
    doc: include_str!("cache_in_training.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if !facts.runs_backward || function.is_unit_test {
            continue;
        }
        for model in facts.model_calls.iter().filter(|model| model.mode != Mode::Off) {
            let Some(call) = facts.calls.iter().find(|call| call.call.range() == model.range)
            else {
                continue;
            };
            let asked = call.call.arguments.keywords.iter().find(|keyword| {
                keyword.arg.as_deref() == Some("use_cache") && is_literal(&keyword.value, true)
            });
            let Some(asked) = asked else { continue };
            let Some(file) = project.index.file(function.file) else { continue };
            if file.slice(&function.range).contains("past_key_values") {
                continue;
            }
            let site = Site { id, function, facts, file, call };
            let value: &Expr = &asked.value;
            let edits = vec![replace(value.range(), "False")];
            let fix = Some(fix(FixSafety::Safe, "`use_cache=False`", edits));
            let message =
                "`use_cache=True` in training: keys and values of all layers stay with the result"
                    .to_owned();
            let why = "nobody decodes from them, and checkpointing cannot free them";
            let found = site.found(project, (Severity::Note, Held::Activations), message, why);
            report(project, &RULE, Report { fix, ..found }, findings);
        }
    }
}
