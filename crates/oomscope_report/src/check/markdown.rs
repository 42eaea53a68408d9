//! The findings as a table for a pull request.

use std::io::{self, Write};

use oomscope_model::FixSafety;

use super::summary::{counts, number};
use super::{CheckReport, Shown, severity};
use crate::markdown::{code, inline};

/// Writes a table with one row a finding.
pub fn render_markdown(report: &CheckReport, shown: Shown, out: &mut dyn Write) -> io::Result<()> {
    let counts = counts(report, shown);
    let total = counts.errors + counts.warnings + counts.notes;
    writeln!(out, "## oomscope check")?;
    writeln!(out)?;
    let checked = number(report.files_checked, "file");
    if total == 0 {
        return writeln!(out, "Nothing found in {checked}.");
    }
    let (errors, warnings) = (number(counts.errors, "error"), number(counts.warnings, "warning"));
    write!(out, "{errors}, {warnings}")?;
    if counts.notes > 0 {
        write!(out, ", {}", number(counts.notes, "note"))?;
    }
    writeln!(out, " in {} of {checked}.", counts.files)?;
    writeln!(out)?;
    writeln!(out, "| severity | rule | where | what | fix |")?;
    writeln!(out, "|---|---|---|---|---|")?;
    for (file, finding) in report.findings(shown) {
        let fix = finding.fix.as_ref().map_or(String::new(), |fix| {
            let safety = match fix.safety {
                FixSafety::Safe => "safe",
                FixSafety::Unsafe => "unsafe",
                FixSafety::Suggest => "by hand",
            };
            format!("{} ({safety})", inline(&fix.title))
        });
        writeln!(
            out,
            "| {} | {} {} | {} | {} | {fix} |",
            severity(finding.severity),
            finding.rule,
            code(finding.name),
            code(&format!("{}:{}", file.path, file.start_of(finding))),
            inline(&finding.message),
        )?;
    }
    Ok(())
}
