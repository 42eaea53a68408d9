//! OOM306: a training loop calls `eval()` and never goes back to `train()`.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_text_size::Ranged;

use crate::facts::{Call, Facts};
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM306",
    name: "missing-train-after-eval",
    group: Group::Evaluation,
    cause: Cause::EvalRecordsGraph,
    severity: Severity::Note,
    doc: include_str!("missing_train_after_eval.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if !facts.calls_eval || facts.backwards.is_empty() || function.is_unit_test {
            continue;
        }
        let calls = facts.calls.iter().filter(|call| {
            call.name == "eval" && call.arguments.is_empty() && call.callee.is_none()
        });
        for call in calls {
            let training = facts.loops_around(call.in_loop).find(|(_, l)| l.has_backward);
            let Some((number, around)) = training else { continue };
            if goes_back(project, facts, number) || !trains_a_network(facts, number, call) {
                continue;
            }
            let Some(file) = project.index.file(function.file) else { continue };
            let what = format!("every iteration over `{}` after the first", short(around.what));
            let finding = Report {
                function: id,
                range: call.call.range(),
                severity: Severity::Note,
                held: Held::Nothing,
                message: format!(
                    "`{}` is not undone: nothing in the loop calls `train()`, so all later \
                     steps train in evaluation mode",
                    short(file.slice(call.call))
                ),
                path: step(project, id, around.range, what).into_iter().collect(),
                fix: None,
            };
            report(project, &RULE, finding, findings);
        }
    }
}

/// Whether something in the loop switches back: here, or in a function that it calls.
fn goes_back(project: &Project<'_>, facts: &Facts<'_>, number: usize) -> bool {
    facts.calls.iter().filter(|call| facts.loop_within(call.in_loop, number)).any(|call| {
        let name = call.name;
        name == "train"
            || name.contains("train_mode")
            || name.contains("set_mode")
            || call
                .callee
                .and_then(|callee| project.facts.get(callee.0 as usize))
                .is_some_and(|inner| inner.calls_train)
    })
}

/// Whether the network that is switched also runs in the training part of the loop.
fn trains_a_network(facts: &Facts<'_>, number: usize, eval: &Call<'_>) -> bool {
    let at = eval.call.range().start();
    let mut backwards = facts.backwards.iter().filter(|b| facts.loop_within(b.in_loop, number));
    // Before the first backward it may be meant: a frozen part, kept in evaluation mode.
    backwards.any(|backward| backward.call.range().start() < at)
}
