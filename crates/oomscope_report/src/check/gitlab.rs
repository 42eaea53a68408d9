//! GitLab's code quality report.

use std::io::{self, Write};

use oomscope_model::Severity;
use serde_json::json;

use super::fingerprint::fingerprints;
use super::place::Files;
use super::{CheckReport, Shown};
use crate::json::write_json;

/// Writes the report: an array of findings with fingerprints.
pub fn render_gitlab(report: &CheckReport, shown: Shown, out: &mut dyn Write) -> io::Result<()> {
    let files = Files::of(report);
    let entries: Vec<serde_json::Value> = report
        .findings(shown)
        .zip(fingerprints(report, shown, &files))
        .map(|((file, finding), fingerprint)| {
            let (start, end) = (file.start_of(finding), file.end_of(finding));
            // A notebook's lines are not the cell's.
            let (begin, end, place) = match start.cell {
                Some(_) => ((1, 1), (1, 1), format!(" ({start})")),
                None => ((start.line, start.column), (end.line, end.column), String::new()),
            };
            json!({
                "check_name": finding.rule,
                "description": format!("{}{place} ({})", finding.message, finding.name),
                "severity": match finding.severity {
                    Severity::Error => "major",
                    Severity::Warning => "minor",
                    Severity::Note => "info",
                },
                "fingerprint": fingerprint,
                "location": {
                    "path": file.path.replace('\\', "/").trim_start_matches("./"),
                    "positions": {
                        "begin": { "line": begin.0, "column": begin.1 },
                        "end": { "line": end.0, "column": end.1 },
                    },
                },
            })
        })
        .collect();
    write_json(&entries, out)
}
