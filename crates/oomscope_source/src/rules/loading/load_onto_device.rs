//! OOM601: a checkpoint is loaded onto the device that saved it, beside the model that takes it.

use compact_str::CompactString;
use oomscope_model::{Cause, Edit, Finding, FixSafety, Held, Severity};
use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::Ranged;

use crate::edit::fix;
use crate::facts::{Call, Facts};
use crate::imports::dotted;
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};
use crate::search::{called_name, contains, reads_name};

pub(crate) const RULE: Rule = Rule {
    id: "OOM601",
    name: "load-onto-device",
    group: Group::Loading,
    cause: Cause::CheckpointLoad,
    severity: Severity::Warning,
    doc: include_str!("load_onto_device.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if project.is_unit_test(function) {
            continue;
        }
        let loads = facts.calls.iter().filter(|call| call.path.as_deref() == Some("torch.load"));
        for load in loads.filter(|call| lacks_map_location(call.call)) {
            let Some(taker) = taker_of(facts, load) else { continue };
            let holder = match &*taker.func {
                Expr::Attribute(attribute) => dotted(&attribute.value).unwrap_or_default(),
                _ => CompactString::default(),
            };
            if ["scaler", "sched", "sampler", "loader"].iter().any(|word| holder.contains(word)) {
                continue; // a few numbers
            }
            let Some(file) = project.index.file(function.file) else { continue };
            let range = load.call.range();
            let taken = short(file.slice(&*taker.func));
            let path = [
                step(
                    project,
                    id,
                    range,
                    "tensors go back to the device that saved them".to_owned(),
                ),
                step(project, id, taker.range(), format!("`{taken}` copies them into the model")),
            ];
            let end = load.call.arguments.range().end().to_usize().saturating_sub(1);
            let comma = if file.text.get(..end).is_some_and(|t| t.trim_end().ends_with(',')) {
                " "
            } else {
                ", "
            };
            let edit = Edit { start: end, end, text: format!("{comma}map_location=\"cpu\"") };
            let finding = Report {
                function: id,
                range,
                severity: Severity::Warning,
                held: Held::Parameters,
                message: format!(
                    "`{}` puts a second copy of the weights on the device while `{taken}` runs",
                    short(file.slice(load.call))
                ),
                path: path.into_iter().flatten().collect(),
                fix: Some(fix(FixSafety::Safe, "load to the host", vec![edit])),
            };
            report(project, &RULE, finding, findings);
        }
    }
}

fn lacks_map_location(call: &ExprCall) -> bool {
    call.arguments.args.len() < 2
        && !call.arguments.args.iter().any(Expr::is_starred_expr)
        && call
            .arguments
            .keywords
            .iter()
            .all(|keyword| keyword.arg.as_ref().is_some_and(|arg| arg.as_str() != "map_location"))
}

/// The `load_state_dict` call that takes what was loaded, directly or through names.
fn taker_of<'a>(facts: &Facts<'a>, load: &Call<'a>) -> Option<&'a ExprCall> {
    let at = load.call.range();
    let mut names: Vec<CompactString> = Vec::new();
    for assignment in &facts.assignments {
        let from_load = assignment.value.range().contains_range(at);
        let from_name = names
            .iter()
            .any(|name| name.split('.').next().is_some_and(|n| reads_name(assignment.value, n)));
        if (from_load || from_name)
            && let Some(name) = dotted(assignment.target)
        {
            names.push(name);
        }
        if names.len() > 16 {
            break;
        }
    }
    let takers = facts.calls.iter().map(|call| call.call);
    takers.into_iter().filter(|call| called_name(call) == "load_state_dict").find(|call| {
        call.arguments.args.iter().any(|argument| {
            contains(argument, |inner| {
                inner.range() == at || dotted(inner).is_some_and(|path| names.contains(&path))
            })
        })
    })
}
