//! The last lines: how much was found, and what could be fixed.

use std::collections::BTreeSet;
use std::io::{self, Write};

use oomscope_model::{FixSafety, Severity};

use super::{CheckReport, Shown};
use crate::TextStyle;
use crate::layout::{Tone, write_line, write_wrapped};

/// Counts of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) errors: usize,
    pub(super) warnings: usize,
    pub(super) notes: usize,
    pub(super) safe: usize,
    pub(super) unsafe_: usize,
    pub(super) files: usize,
}

/// Counts the findings of at least this severity; fixes are counted of those alone.
pub(super) fn counts(report: &CheckReport, shown: Shown) -> Counts {
    let mut counts = Counts::default();
    let mut files = BTreeSet::new();
    for (file, finding) in report.findings(shown) {
        files.insert(file.path.as_str());
        match finding.severity {
            Severity::Error => counts.errors += 1,
            Severity::Warning => counts.warnings += 1,
            Severity::Note => counts.notes += 1,
        }
        match finding.fix.as_ref().map(|fix| fix.safety) {
            Some(FixSafety::Safe) => counts.safe += 1,
            Some(FixSafety::Unsafe) => counts.unsafe_ += 1,
            Some(FixSafety::Suggest) | None => {}
        }
    }
    counts.files = files.len();
    counts
}

/// Writes the summary.
pub fn render_summary(
    report: &CheckReport,
    shown: Shown,
    style: &TextStyle,
    out: &mut dyn Write,
) -> io::Result<()> {
    let style = *style;
    let seen = counts(report, shown);
    let all = counts(report, Shown { least: Severity::Note });
    let fixed: usize = report.fixed.iter().map(|(_, count)| count).sum();
    let checked = number(report.files_checked, "file");
    let mut parts = Vec::new();
    for (count, what) in [(seen.errors, "error"), (seen.warnings, "warning"), (seen.notes, "note")]
    {
        if count > 0 {
            parts.push(number(count, what));
        }
    }
    if fixed > 0 {
        let line = format!("Fixed {}.", number(fixed, "finding"));
        write_line(out, style, &[style.span(Tone::Good, &line)])?;
    }
    if parts.is_empty() && report.files_checked == 0 {
        write_line(out, style, &[style.span(Tone::Doubt, "No Python files to check.")])?;
    } else if parts.is_empty() {
        let line = format!("Nothing found in {checked}.");
        write_line(out, style, &[style.span(Tone::Good, &line)])?;
    } else {
        let line = format!("Found {} in {} of {checked}.", parts.join(", "), seen.files);
        write_line(out, style, &[style.span(Tone::Strong, &line)])?;
    }
    let mut hints = Vec::new();
    match (seen.safe, seen.unsafe_) {
        (0, 0) => {}
        (safe, 0) => hints.push(format!("{safe} fixable with `--fix`.")),
        (0, unsafe_) => hints.push(format!("{unsafe_} fixable with `--fix --unsafe-fixes`.")),
        (safe, unsafe_) => hints
            .push(format!("{safe} fixable with `--fix`, {unsafe_} more with `--unsafe-fixes`.")),
    }
    let hidden = all.notes.saturating_sub(seen.notes);
    if hidden > 0 {
        hints.push(format!("{} not shown: `--severity note` shows them.", number(hidden, "note")));
    }
    let quiet = all.warnings.saturating_sub(seen.warnings);
    if quiet > 0 {
        hints.push(format!("{} not shown.", number(quiet, "warning")));
    }
    if !hints.is_empty() {
        write_wrapped(out, style, &[], &style.prose(Tone::Plain, &hints.join(" ")))?;
    }
    Ok(())
}

/// `1 file`, `2 files`.
pub(super) fn number(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
