//! `JUnit`'s XML, which most CI servers show: a suite a file, a failure a finding.

use std::io::{self, Write};

use super::{CheckReport, CheckedFile, Shown, severity};
use crate::Charset;
use crate::clean::clean;

/// Writes the XML. A check without findings is one suite with one test that passed.
pub fn render_junit(report: &CheckReport, shown: Shown, out: &mut dyn Write) -> io::Result<()> {
    let total = report.findings(shown).count();
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    let tests = total.max(1);
    writeln!(
        out,
        "<testsuites name=\"oomscope\" tests=\"{tests}\" failures=\"{total}\" errors=\"0\">"
    )?;
    if total == 0 {
        writeln!(out, "  <testsuite name=\"oomscope\" tests=\"1\" failures=\"0\" errors=\"0\">")?;
        writeln!(out, "    <testcase name=\"nothing found\" classname=\"oomscope\"/>")?;
        writeln!(out, "  </testsuite>")?;
    }
    for file in &report.files {
        write_suite(file, shown, out)?;
    }
    writeln!(out, "</testsuites>")
}

fn write_suite(file: &CheckedFile, shown: Shown, out: &mut dyn Write) -> io::Result<()> {
    let findings: Vec<_> =
        file.findings.iter().filter(|finding| finding.severity >= shown.least).collect();
    if findings.is_empty() {
        return Ok(());
    }
    let (path, count) = (escaped(&file.path), findings.len());
    writeln!(
        out,
        "  <testsuite name=\"{path}\" tests=\"{count}\" failures=\"{count}\" errors=\"0\">"
    )?;
    for finding in findings {
        let spot = file.start_of(finding);
        writeln!(
            out,
            "    <testcase name=\"{} {} at {spot}\" classname=\"{path}\" line=\"{}\" column=\"{}\">",
            finding.rule, finding.name, spot.line, spot.column
        )?;
        let message = escaped(&finding.message);
        let kind = severity(finding.severity);
        write!(
            out,
            "      <failure message=\"{message}\" type=\"{kind}\">{path}:{spot}: {message}"
        )?;
        for step in &finding.path {
            let step = format!("{}: {}", step.place, step.what);
            write!(out, "&#10;{}", escaped(&step))?;
        }
        writeln!(out, "</failure>")?;
        writeln!(out, "    </testcase>")?;
    }
    writeln!(out, "  </testsuite>")
}

/// Text for XML. Characters that XML does not have are spelled out.
pub(crate) fn escaped(text: &str) -> String {
    let clean = clean(text, Charset::Unicode).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}");
    clean.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn nothing_ends_its_element() {
        assert_eq!(escaped("a<b> & \"c\"\u{0}"), "a&lt;b&gt; &amp; &quot;c&quot;\\u{0}");
    }
}
