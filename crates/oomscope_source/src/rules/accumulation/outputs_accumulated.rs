//! OOM401: outputs without a graph pile up on the device over a data set.

use oomscope_model::{Cause, Finding, FixSafety, Held, Severity};

use super::gathered::{Gathered, gathered};
use crate::edit::{fix, suffix};
use crate::facts::Owner;
use crate::index::{FileId, FunctionId};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM401",
    name: "outputs-accumulated",
    group: Group::Accumulation,
    cause: Cause::OutputsAccumulated,
    severity: Severity::Error,
    doc: include_str!("outputs_accumulated.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        for gathered in gathered(project, id, function, facts) {
            let store = gathered.store;
            let emptied = project.emptied.contains(store.target_name);
            if store.owner == Owner::Local || emptied || store.owner == Owner::Parameter {
                let severity = match store.owner {
                    Owner::Object => Severity::Error,
                    Owner::Local | Owner::Parameter | Owner::Global => Severity::Warning,
                };
                report_gathered(project, &RULE, id, gathered, severity, findings);
            }
        }
    }
}

/// Reports what gathers as a finding of a rule.
pub(super) fn report_gathered(
    project: &Project<'_>,
    rule: &Rule,
    id: FunctionId,
    gathered: Gathered<'_, '_>,
    severity: Severity,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(file) = project.index.file_of(id) else { return };
    let Gathered { store, piece, again, .. } = gathered;
    let value = short(file.slice(piece.expr));
    let mut path = again;
    let keeps = format!("`{}` keeps `{value}` on the device", store.target);
    path.extend(step(project, id, store.range, keeps));
    let message = match store.owner {
        Owner::Local | Owner::Parameter => {
            format!("`{}` gathers `{value}` of every batch on the device", store.target)
        }
        Owner::Object => {
            format!("`{}` keeps `{value}` of every call on the device", store.target)
        }
        Owner::Global => {
            format!("`{}` keeps `{value}` on the device for the life of the process", store.target)
        }
    };
    let finding = Report {
        function: id,
        range: store.range,
        severity,
        held: Held::Tensors,
        message,
        path,
        fix: Some(fix(
            FixSafety::Unsafe,
            format!("move `{value}` to the host first"),
            suffix(piece.expr, ".cpu()"),
        )),
    };
    report(project, rule, finding, findings);
}
