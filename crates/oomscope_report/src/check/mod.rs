//! What the source analyser found, in every form that `oomscope check` prints.

use std::io::{self, Write};

use oomscope_model::{Severity, SourceFile};
use serde_json::json;

/// Writes one line a finding: `file:line:column: severity[ID] message (name)`.
pub fn render_concise(files: &[SourceFile], out: &mut dyn Write) -> io::Result<()> {
    for finding in files.iter().flat_map(|file| &file.findings) {
        writeln!(
            out,
            "{}:{}: {}[{}] {} ({})",
            finding.place,
            finding.column,
            severity(finding.severity),
            finding.rule,
            finding.message,
            finding.name
        )?;
    }
    Ok(())
}

/// Writes the findings as one JSON document.
pub fn render_json(files: &[SourceFile], out: &mut dyn Write) -> io::Result<()> {
    let findings: Vec<serde_json::Value> = files
        .iter()
        .flat_map(|file| &file.findings)
        .map(|finding| {
            json!({
                "id": finding.rule,
                "name": finding.name,
                "severity": severity(finding.severity),
                "file": finding.place.file,
                "line": finding.place.line,
                "column": finding.column,
                "cause": finding.cause.name(),
                "message": finding.message,
                "path": finding.path.iter().map(|step| json!({
                    "file": step.place.file, "line": step.place.line, "message": step.what,
                })).collect::<Vec<_>>(),
            })
        })
        .collect();
    serde_json::to_writer_pretty(&mut *out, &json!({ "findings": findings }))?;
    writeln!(out)
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}
