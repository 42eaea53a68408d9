//! OOM502: a kept exception holds the frames of the failed step and so their tensors.

use oomscope_model::{Cause, Finding, FixSafety, Held, PathStep, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::{Ranged, TextRange};

use crate::edit::{fix, replace};
use crate::facts::{Facts, StoreKind};
use crate::index::{FileId, FunctionId};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};
use crate::value::Kind;

pub(crate) const RULE: Rule = Rule {
    id: "OOM502",
    name: "tensors-in-exception",
    group: Group::References,
    cause: Cause::ReferencesHeld,
    severity: Severity::Error,
    doc: include_str!("tensors_in_exception.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if facts.excepts.is_empty() || function.is_unit_test || !uses_torch(project, function.file)
        {
            continue;
        }
        kept_in_containers(project, id, facts, findings);
        kept_by_callees(project, id, facts, findings);
    }
}

pub(super) fn uses_torch(project: &Project<'_>, file: FileId) -> bool {
    project.index.names(file).is_some_and(|names| {
        names.imports.path_of("torch").is_some() || !names.imports.stars.is_empty()
    })
}

fn kept_in_containers(
    project: &Project<'_>,
    id: FunctionId,
    facts: &Facts<'_>,
    findings: &mut Vec<(FileId, Finding)>,
) {
    for store in &facts.stores {
        let grows = matches!(store.kind, StoreKind::Append | StoreKind::Subscript);
        let again =
            store.in_loop.is_some() && store.outlives_loop || project.repeated.contains_key(&id);
        if !grows || !again {
            continue;
        }
        let Some(piece) = store.pieces.iter().find(|p| matches!(p.value.kind, Kind::Exception))
        else {
            continue;
        };
        let steps = step(project, id, store.range, format!("`{}` keeps it", store.target));
        report_kept(
            project,
            id,
            facts,
            piece.expr,
            store.range,
            store.target,
            steps.into_iter().collect(),
            findings,
        );
    }
}

fn kept_by_callees(
    project: &Project<'_>,
    id: FunctionId,
    facts: &Facts<'_>,
    findings: &mut Vec<(FileId, Finding)>,
) {
    for call in &facts.calls {
        let Some(callee) = call.callee else { continue };
        let (Some(summary), Some(target)) =
            (project.summaries.get(&callee), project.index.function(callee))
        else {
            continue;
        };
        let again = call.in_loop.is_some() || project.repeated.contains_key(&id);
        let offset = usize::from(call.receiver.is_some() && target.class.is_some());
        for (number, (expr, value)) in call.arguments.iter().enumerate() {
            if !matches!(value.kind, Kind::Exception) || !again {
                continue;
            }
            let kept = summary.keeps.iter().find(|kept| {
                kept.parameter == number + offset
                    && matches!(kept.kind, StoreKind::Append | StoreKind::Subscript)
            });
            let Some(kept) = kept else { continue };
            let steps = step(project, kept.by, kept.range, format!("`{}` keeps it", kept.target));
            report_kept(
                project,
                id,
                facts,
                expr,
                call.call.range(),
                kept.target,
                steps.into_iter().collect(),
                findings,
            );
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "two call sites; a struct would only rename them")]
fn report_kept(
    project: &Project<'_>,
    id: FunctionId,
    facts: &Facts<'_>,
    expr: &Expr,
    range: TextRange,
    target: &str,
    steps: Vec<PathStep>,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(file) = project.index.file_of(id) else {
        return;
    };
    let name = short(file.slice(expr));
    let block = facts.excepts.iter().find(|block| block.range.contains_range(range));
    let mut path = Vec::new();
    if let Some(block) = block {
        let what = format!("`{name}` holds its traceback, and that the frames with their tensors");
        path.extend(step(project, id, block.range, what));
    }
    path.extend(steps);
    let finding = Report {
        function: id,
        range,
        severity: Severity::Error,
        held: Held::Activations,
        message: format!(
            "`{target}` keeps the exception `{name}`, and with it the frames of the failed step"
        ),
        path,
        fix: Some(fix(
            FixSafety::Unsafe,
            format!("keep `repr({name})`"),
            vec![replace(expr.range(), format!("repr({name})"))],
        )),
    };
    report(project, &RULE, finding, findings);
}
