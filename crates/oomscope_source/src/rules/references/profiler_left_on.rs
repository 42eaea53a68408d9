//! OOM512: a profiler is started and never stopped.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::{Expr, Stmt};
use ruff_text_size::Ranged;

use crate::imports::{dotted, last_part};
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, step};
use crate::rules::{Group, Rule};
use crate::search::{called_name, statements_around};

pub(crate) const RULE: Rule = Rule {
    id: "OOM512",
    name: "profiler-left-on",
    group: Group::References,
    cause: Cause::HostMemory,
    severity: Severity::Warning,
    doc: include_str!("profiler_left_on.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for site in project.calls_named(&["start"]) {
        let call = site.call.call;
        let Expr::Attribute(method) = &*call.func else { continue };
        let Some(name) = dotted(&method.value) else { continue };
        let last = last_part(&name);
        let made = site.facts.assignments.iter().find(|assignment| {
            dotted(assignment.target).as_deref() == Some(name.as_str())
                && matches!(assignment.value, Expr::Call(made) if called_name(made) == "profile")
        });
        let Some(made) = made else { continue };
        let is_torch = site.facts.calls.iter().any(|call| {
            call.call.range() == made.value.range()
                && call.path.as_deref().is_some_and(|path| path.starts_with("torch."))
        });
        let is_asked = statements_around(site.function.body, call.range())
            .iter()
            .any(|placed| matches!(placed.stmt, Stmt::If(_)));
        if !is_torch || is_asked || is_stopped(project, site.function.file, last) {
            continue;
        }
        let path = [
            step(project, site.id, made.range, "the profiler is made".to_owned()),
            step(project, site.id, call.range(), "it starts, and nothing stops it".to_owned()),
        ];
        let finding = Report {
            function: site.id,
            range: call.range(),
            severity: Severity::Warning,
            held: Held::Nothing,
            message: format!(
                "`{name}` records every operation until the process ends, in host memory"
            ),
            path: path.into_iter().flatten().collect(),
            fix: None,
        };
        report(project, &RULE, finding, findings);
    }
}

/// Whether a file stops something of this name.
fn is_stopped(project: &Project<'_>, file: FileId, name: &str) -> bool {
    project.functions_of(file).any(|(_, _, facts)| {
        facts.calls.iter().any(|call| {
            matches!(call.name, "stop" | "__exit__")
                && matches!(&*call.call.func, Expr::Attribute(method)
                    if dotted(&method.value).is_some_and(|path| last_part(&path) == name))
        })
    })
}
