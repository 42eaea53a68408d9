//! Annotations of a GitHub workflow: one workflow command a finding.

use std::io::{self, Write};

use oomscope_model::Severity;

use super::{CheckReport, Shown};
use crate::Charset;
use crate::clean::clean;

/// Writes `::warning file=...::message` lines.
pub fn render_github(report: &CheckReport, shown: Shown, out: &mut dyn Write) -> io::Result<()> {
    for (file, finding) in report.findings(shown) {
        let command = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let (start, end) = (file.start_of(finding), file.end_of(finding));
        let title = format!("{} ({})", finding.rule, finding.name);
        write!(out, "::{command} title={},file={}", property(&title), property(&file.path))?;
        // A notebook is shown as JSON there, whose lines are not the cell's.
        if start.cell.is_none() {
            write!(out, ",line={},endLine={}", start.line, end.line)?;
            if start.line == end.line {
                write!(out, ",col={},endColumn={}", start.column, end.column)?;
            }
        }
        let text = format!("{}:{start}: {}", file.path, finding.message);
        writeln!(out, "::{}", data(&text))?;
    }
    Ok(())
}

/// Text after `::`, escaped as the runner unescapes it.
fn data(text: &str) -> String {
    clean(&text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A"), Charset::Unicode)
}

/// A property's value.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::property;

    #[test]
    fn a_value_cannot_end_its_command() {
        assert_eq!(property("a%b:c,d\n::error::x"), "a%25b%3Ac%2Cd%0A%3A%3Aerror%3A%3Ax");
    }
}
