//! OOM305: a policy acts in an environment while autograd records, and only numbers are used.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::Ranged;

use crate::facts::{Call, Facts, Mode, ModelCall};
use crate::imports::{dotted, last_part};
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};
use crate::search::called_name;
use crate::value::Bits;

pub(crate) const RULE: Rule = Rule {
    id: "OOM305",
    name: "rollout-with-grad",
    group: Group::Evaluation,
    cause: Cause::EvalRecordsGraph,
    severity: Severity::Note,
    doc: include_str!("rollout_with_grad.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if facts.model_calls.is_empty()
            || function.is_unit_test
            || project.evaluates(id)
            || project.modes.get(&id) == Some(&Mode::Off)
        {
            continue;
        }
        let acts = facts.calls.iter().find(|call| call.in_loop.is_some() && steps_a_world(call));
        let Some(acts) = acts else { continue };
        let policy = facts.model_calls.iter().find(|call| {
            !call.criterion
                && matches!(call.mode, Mode::Inherited | Mode::On)
                && call.in_loop == acts.in_loop
                && is_used_as_number(facts, call)
        });
        let Some(policy) = policy else { continue };
        let Some(file) = project.index.file(function.file) else { continue };
        let text = short(file.slice(&policy.range));
        let path = [
            step(project, id, policy.range, format!("`{text}` records a graph")),
            step(project, id, acts.call.range(), "only numbers go to the environment".to_owned()),
        ];
        let finding = Report {
            function: id,
            range: policy.range,
            severity: Severity::Note,
            held: Held::Activations,
            message: format!("`{text}` records a graph that no backward uses: act under `no_grad`"),
            path: path.into_iter().flatten().collect(),
            fix: None,
        };
        report(project, &RULE, finding, findings);
    }
}

/// `env.step(action)`.
fn steps_a_world(call: &Call<'_>) -> bool {
    let Expr::Attribute(attribute) = &*call.call.func else { return false };
    call.name == "step"
        && dotted(&attribute.value).is_some_and(|path| {
            let last = last_part(&path).to_ascii_lowercase();
            last.split('_').any(|word| word.starts_with("env") || word == "task")
        })
}

/// Whether the graph of a call goes nowhere: not into a backward, a store or a result.
fn is_used_as_number(facts: &Facts<'_>, call: &ModelCall) -> bool {
    let Some(number) = facts.graphs.iter().position(|range| *range == call.range) else {
        return false;
    };
    if number >= 63 {
        return false;
    }
    let goes = |bits: Bits| bits.contains(number);
    !goes(facts.returned)
        && !facts.backwards.iter().any(|backward| goes(backward.value.may))
        && !facts.stores.iter().any(|store| goes(store.value.may) && store.value.is_attached())
        && facts.calls.iter().any(|reader| {
            matches!(
                called_name(reader.call),
                "item" | "numpy" | "argmax" | "sample" | "tolist" | "max"
            ) && reader.receiver.as_ref().is_some_and(|receiver| goes(receiver.may))
        })
}
