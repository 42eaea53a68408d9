//! OOM514: the allocator's history is recorded without a bound and without an end.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::{Expr, ExprCall, Stmt};
use ruff_text_size::Ranged;

use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, step};
use crate::rules::{Group, Rule};
use crate::search::statements_around;

pub(crate) const RULE: Rule = Rule {
    id: "OOM514",
    name: "memory-history-left-on",
    group: Group::References,
    cause: Cause::HostMemory,
    severity: Severity::Warning,
    doc: include_str!("memory_history_left_on.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for site in project.calls_named(&["_record_memory_history"]) {
        let call = site.call.call;
        let is_asked = statements_around(site.function.body, call.range())
            .iter()
            .any(|placed| matches!(placed.stmt, Stmt::If(_)));
        let ends = project
            .calls_named(&["_record_memory_history"])
            .any(|other| other.function.file == site.function.file && stops(other.call.call));
        if stops(call) || is_bounded(call) || is_asked || ends {
            continue;
        }
        let finding = Report {
            function: site.id,
            range: call.range(),
            severity: Severity::Warning,
            held: Held::Nothing,
            message: "every allocation of the run is recorded with its stack, in host memory, and \
                      nothing ends it"
                .to_owned(),
            path: step(project, site.id, call.range(), "recording starts".to_owned())
                .into_iter()
                .collect(),
            fix: None,
        };
        report(project, &RULE, finding, findings);
    }
}

/// `enabled=None`, or the old `False`.
fn stops(call: &ExprCall) -> bool {
    let given = call.arguments.args.first().or_else(|| {
        let keywords = &call.arguments.keywords;
        let enabled =
            keywords.iter().find(|k| k.arg.as_ref().is_some_and(|a| a.as_str() == "enabled"));
        enabled.map(|keyword| &keyword.value)
    });
    match given {
        Some(Expr::NoneLiteral(_)) => true,
        Some(Expr::BooleanLiteral(flag)) => !flag.value,
        _ => false,
    }
}

fn is_bounded(call: &ExprCall) -> bool {
    call.arguments.keywords.iter().any(|keyword| {
        keyword
            .arg
            .as_ref()
            .is_none_or(|arg| matches!(arg.as_str(), "max_entries" | "trace_alloc_max_entries"))
    })
}
