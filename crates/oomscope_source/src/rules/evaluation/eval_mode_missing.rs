//! OOM302: an evaluation loop over a data set never calls `eval()`.

use oomscope_model::{Cause, Finding, Held, Severity};

use crate::index::{FileId, FunctionId};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};
use crate::torch_api;

pub(crate) const RULE: Rule = Rule {
    id: "OOM302",
    name: "eval-mode-missing",
    group: Group::Evaluation,
    cause: Cause::EvalRecordsGraph,
    severity: Severity::Note,
    doc: include_str!("eval_mode_missing.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if facts.runs_backward
            || facts.calls_eval
            || function.is_unit_test
            || !torch_api::names_an_evaluation(function.name)
            || function.class.is_some_and(|class| project.index.is_module_class(class))
            || callers_call_eval(project, id)
        {
            continue;
        }
        let call = facts.model_calls.iter().find(|call| {
            !call.criterion
                && facts
                    .loops_around(call.in_loop)
                    .any(|(_, around)| around.what.to_ascii_lowercase().contains("loader"))
        });
        let Some(call) = call else { continue };
        let Some(file) = project.index.file(function.file) else { continue };
        let text = short(file.slice(&call.range));
        let what = format!("`{text}` runs in the mode that training left");
        let finding = Report {
            function: id,
            range: call.range,
            severity: Severity::Note,
            held: Held::Nothing,
            message: format!(
                "`{}` evaluates without `eval()`: dropout and batch norm still train",
                function.qualified
            ),
            path: step(project, id, call.range, what).into_iter().collect(),
            fix: None,
        };
        report(project, &RULE, finding, findings);
    }
}

fn callers_call_eval(project: &Project<'_>, id: FunctionId) -> bool {
    let sites = project.sites.get(&id).into_iter().flatten();
    sites.filter_map(|site| project.facts.get(site.caller.0 as usize)).any(|facts| facts.calls_eval)
}
