//! Puts a finding together: place, column, path, function.

use oomscope_model::{Finding, Fix, Held, PathStep, Severity};
use ruff_text_size::TextRange;

use crate::index::{FileId, FunctionId};
use crate::project::Project;
use crate::rules::Rule;

/// What a rule says; the rest is looked up.
pub(crate) struct Report {
    pub(crate) function: FunctionId,
    pub(crate) range: TextRange,
    pub(crate) severity: Severity,
    pub(crate) held: Held,
    pub(crate) message: String,
    pub(crate) path: Vec<PathStep>,
    pub(crate) fix: Option<Fix>,
}

/// Adds a finding of a rule.
pub(crate) fn report(
    project: &Project<'_>,
    rule: &Rule,
    report: Report,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(function) = project.index.function(report.function) else { return };
    let Some(file) = project.index.file(function.file) else { return };
    // One finding a rule and line is shown; columns cost the length of their line.
    let line = file.line(report.range.start());
    if findings.last().is_some_and(|(id, last)| {
        *id == function.file && last.rule == rule.id && last.place.line == line
    }) {
        return;
    }
    let name = function.parent.map(|_| function.qualified.as_str());
    findings.push((
        function.file,
        Finding {
            rule: rule.id,
            name: rule.name,
            cause: rule.cause,
            severity: report.severity,
            held: report.held,
            place: file.place(report.range.start(), name),
            column: file.column(report.range.start()),
            end: (file.line(report.range.end()), file.column(report.range.end())),
            message: report.message,
            path: report.path,
            function_lines: file.line_span(function.range),
            fix: report.fix,
        },
    ));
}

/// A step of a path, at a range of a function's file.
pub(crate) fn step(
    project: &Project<'_>,
    function: FunctionId,
    range: TextRange,
    what: String,
) -> Option<PathStep> {
    let function = project.index.function(function)?;
    let file = project.index.file(function.file)?;
    let name = function.parent.map(|_| function.qualified.as_str());
    Some(PathStep { place: file.place(range.start(), name), what })
}

/// A short form of source text for messages: one line, at most 40 characters.
pub(crate) fn short(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 40 {
        return line;
    }
    let cut: String = line.chars().take(37).collect();
    format!("{cut}...")
}
