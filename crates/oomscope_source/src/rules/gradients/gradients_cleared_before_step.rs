//! OOM204: gradients are cleared between `backward()` and the step that should use them.

use compact_str::CompactString;
use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::{Expr, ExprCall, Stmt};
use ruff_text_size::{Ranged, TextRange};

use crate::imports::dotted;
use crate::index::{FileId, FunctionId, for_each_block};
use crate::project::Project;
use crate::report::{Report, report, step};
use crate::rules::{Group, Rule};
use crate::search::{called_name, each_call};

pub(crate) const RULE: Rule = Rule {
    id: "OOM204",
    name: "gradients-cleared-before-step",
    group: Group::Gradients,
    cause: Cause::GradientsNotCleared,
    severity: Severity::Warning,
    doc: include_str!("gradients_cleared_before_step.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if facts.backwards.is_empty() || !facts.clears_grads || function.is_unit_test {
            continue;
        }
        search_block(project, id, function.body, 0, findings);
    }
}

/// What a block has done since its last `backward()`.
#[derive(Default)]
struct Progress {
    backward: Option<TextRange>,
    /// The optimizer that was cleared after it.
    cleared: Option<(CompactString, TextRange)>,
}

fn search_block(
    project: &Project<'_>,
    id: FunctionId,
    block: &[Stmt],
    depth: usize,
    findings: &mut Vec<(FileId, Finding)>,
) {
    if depth > 32 {
        return;
    }
    let mut progress = Progress::default();
    for stmt in block {
        match statement_call(stmt) {
            Some(call) => {
                if let Some(thrown) = advance(&mut progress, call) {
                    report_thrown_away(project, id, &thrown, findings);
                }
            }
            None if matches!(stmt, Stmt::FunctionDef(_) | Stmt::ClassDef(_)) => {}
            None => {
                // What a branch or loop does happens perhaps: begin anew where it trains.
                if trains(stmt) {
                    progress = Progress::default();
                }
                for_each_block(stmt, &mut |inner| {
                    search_block(project, id, inner, depth + 1, findings);
                });
            }
        }
    }
}

fn statement_call(stmt: &Stmt) -> Option<&ExprCall> {
    match stmt {
        Stmt::Expr(statement) => match &*statement.value {
            Expr::Call(call) => Some(call),
            _ => None,
        },
        _ => None,
    }
}

struct ThrownAway {
    backward: TextRange,
    cleared: TextRange,
    optimizer: CompactString,
}

fn advance(progress: &mut Progress, call: &ExprCall) -> Option<ThrownAway> {
    let Expr::Attribute(attribute) = &*call.func else { return None };
    match attribute.attr.as_str() {
        "backward" => *progress = Progress { backward: Some(call.range()), cleared: None },
        "zero_grad" if progress.backward.is_some() && progress.cleared.is_none() => {
            progress.cleared = dotted(&attribute.value).map(|name| (name, call.range()));
        }
        "step" => {
            let (optimizer, cleared) = progress.cleared.take()?;
            if dotted(&attribute.value).is_some_and(|name| name == optimizer) {
                return Some(ThrownAway {
                    backward: progress.backward.take()?,
                    cleared,
                    optimizer,
                });
            }
            progress.cleared = Some((optimizer, cleared));
        }
        _ => {}
    }
    None
}

fn trains(stmt: &Stmt) -> bool {
    let mut found = false;
    each_call(std::slice::from_ref(stmt), &mut |call| {
        found |= matches!(called_name(call), "backward" | "zero_grad" | "step" | "scale_loss");
    });
    found
}

fn report_thrown_away(
    project: &Project<'_>,
    id: FunctionId,
    thrown: &ThrownAway,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let optimizer = &thrown.optimizer;
    let path = [
        step(project, id, thrown.backward, "makes gradients".to_owned()),
        step(project, id, thrown.cleared, "throws them away".to_owned()),
    ];
    let finding = Report {
        function: id,
        range: thrown.cleared,
        severity: Severity::Warning,
        held: Held::Nothing,
        message: format!(
            "`{optimizer}.zero_grad()` stands between `backward()` and `{optimizer}.step()`: \
             the step has no gradients, the backward was for nothing"
        ),
        path: path.into_iter().flatten().collect(),
        fix: None,
    };
    report(project, &RULE, finding, findings);
}
