//! The findings for programs: JSON of a stable, documented shape.

use std::io::{self, Write};

use oomscope_model::{Cause, Finding, Fix, FixSafety, Held, Problem, Severity};

use super::place::Files;
use super::statistics::statistics;
use super::summary::counts;
use super::wire::{
    CheckV1, EditV1, FindingV1, FixV1, HeldV1, SCHEMA_VERSION, SafetyV1, SeverityV1, StatisticV1,
    StepV1, SummaryV1,
};
use super::{CheckReport, CheckedFile, Shown};
use crate::json::{schema_of, write_json};
use crate::wire::{ProblemV1, Tool};

/// Whether counts by rule are in the JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistics {
    /// They are.
    Included,
    /// They are not.
    Absent,
}

/// Writes the findings as JSON that the schema of [`json_schema`] describes.
pub fn render_json(
    report: &CheckReport,
    shown: Shown,
    with: Statistics,
    out: &mut dyn Write,
) -> io::Result<()> {
    let files = Files::of(report);
    let counts = counts(report, shown);
    let document = CheckV1 {
        schema_version: SCHEMA_VERSION,
        tool: Tool { name: "oomscope".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
        findings: report
            .findings(shown)
            .map(|(file, finding)| wire(report, &files, file, finding))
            .collect(),
        problems: report.problems.iter().map(problem).collect(),
        summary: SummaryV1 {
            files_checked: report.files_checked,
            files_with_findings: counts.files,
            errors: counts.errors,
            warnings: counts.warnings,
            notes: counts.notes,
            fixable: counts.safe,
            unsafe_fixable: counts.unsafe_,
            fixed: report.fixed.iter().map(|(_, count)| count).sum(),
        },
        statistics: (with == Statistics::Included).then(|| {
            statistics(report, shown)
                .into_iter()
                .map(|one| StatisticV1 {
                    id: one.id.to_owned(),
                    name: one.name.to_owned(),
                    count: one.count,
                    fixable: one.safe,
                    unsafe_fixable: one.unsafe_,
                })
                .collect()
        }),
    };
    write_json(&document, out)
}

/// The JSON Schema (draft 2020-12) of what [`render_json`] writes.
pub fn json_schema() -> String {
    schema_of::<CheckV1>()
}

fn wire(
    report: &CheckReport,
    files: &Files<'_>,
    file: &CheckedFile,
    finding: &Finding,
) -> FindingV1 {
    let (start, end) = (file.start_of(finding), file.end_of(finding));
    let rule = report.rules.iter().find(|rule| rule.id == finding.rule);
    FindingV1 {
        id: finding.rule.to_owned(),
        name: finding.name.to_owned(),
        group: rule.map(|rule| rule.group.to_owned()).unwrap_or_default(),
        severity: match finding.severity {
            Severity::Note => SeverityV1::Note,
            Severity::Warning => SeverityV1::Warning,
            Severity::Error => SeverityV1::Error,
        },
        held: match finding.held {
            Held::Activations => HeldV1::Activations,
            Held::Nodes => HeldV1::Nodes,
            Held::Tensors => HeldV1::Tensors,
            Held::Parameters => HeldV1::Parameters,
            Held::Nothing => HeldV1::Nothing,
        },
        file: file.path.clone(),
        cell: start.cell,
        line: start.line,
        column: start.column,
        end_line: end.line,
        end_column: end.column,
        cause: (finding.cause != Cause::Unknown).then(|| finding.cause.name().to_owned()),
        message: finding.message.clone(),
        function: finding.place.function.clone(),
        path: finding
            .path
            .iter()
            .map(|step| {
                let spot = files.file(&step.place.file).map(|file| file.spot(step.place.line, 1));
                StepV1 {
                    file: step.place.file.clone(),
                    cell: spot.and_then(|spot| spot.cell),
                    line: spot.map_or(step.place.line, |spot| spot.line),
                    message: step.what.clone(),
                }
            })
            .collect(),
        fix: finding.fix.as_ref().and_then(|fix| wire_fix(files, file, fix)),
    }
}

/// The fix in lines and columns; none where an edit does not fit the text.
fn wire_fix(files: &Files<'_>, file: &CheckedFile, fix: &Fix) -> Option<FixV1> {
    let edits: Option<Vec<EditV1>> = fix
        .edits
        .iter()
        .map(|edit| {
            let start = files.spot(&file.path, edit.start)?;
            let end = files.spot(&file.path, edit.end)?;
            Some(EditV1 {
                cell: start.cell,
                start_line: start.line,
                start_column: start.column,
                end_line: end.line,
                end_column: end.column,
                text: edit.text.clone(),
            })
        })
        .collect();
    let safety = match fix.safety {
        FixSafety::Safe => SafetyV1::Safe,
        FixSafety::Unsafe => SafetyV1::Unsafe,
        FixSafety::Suggest => SafetyV1::Suggest,
    };
    Some(FixV1 { safety, title: fix.title.clone(), edits: edits? })
}

fn problem(problem: &Problem) -> ProblemV1 {
    ProblemV1 {
        input: problem.input.clone(),
        at: problem.at.clone(),
        what: problem.what.clone(),
        hint: problem.hint.clone(),
    }
}
