//! One line a finding, as editors and `grep` read them.

use std::io::{self, Write};

use oomscope_model::{FixSafety, Severity};

use super::{CheckReport, Shown, severity};
use crate::TextStyle;
use crate::layout::{Tone, write_line};

/// Writes one line a finding: `file:line:column: severity[ID] message (name)`.
pub fn render_concise(
    report: &CheckReport,
    shown: Shown,
    style: &TextStyle,
    out: &mut dyn Write,
) -> io::Result<()> {
    let style = *style;
    for (file, finding) in report.findings(shown) {
        let word = format!("{}[{}]", severity(finding.severity), finding.rule);
        let mark = match finding.fix.as_ref().map(|fix| fix.safety) {
            Some(FixSafety::Safe) => " [*]",
            Some(FixSafety::Unsafe | FixSafety::Suggest) | None => "",
        };
        let mut line = vec![
            style.span(Tone::Strong, &file.path),
            style.span(Tone::Plain, &format!(":{}: ", file.start_of(finding))),
            style.span(tone(finding.severity), &word),
            style.span(Tone::Plain, &format!("{mark} ")),
        ];
        line.extend(style.prose(Tone::Plain, &finding.message));
        line.push(style.span(Tone::Faint, &format!(" ({})", finding.name)));
        write_line(out, style, &line)?;
    }
    Ok(())
}

/// The colour of a severity.
pub(super) fn tone(severity: Severity) -> Tone {
    match severity {
        Severity::Note => Tone::Heading,
        Severity::Warning => Tone::Doubt,
        Severity::Error => Tone::Bad,
    }
}
