//! Steps 4 to 6: the patch, what else saves memory, and how to see that it worked.

use std::io::{self, Write};

use oomscope_model::{Diagnosis, Patch, Verdict};

use super::{write_lines, write_paragraph, write_step};
use crate::TextStyle;
use crate::content::aligned;
use crate::layout::{Tone, gap, width_of, write_line};

/// Writes step 4.
pub(super) fn write_fixes(
    out: &mut dyn Write,
    style: TextStyle,
    diagnosis: &Diagnosis,
) -> io::Result<()> {
    write_step(out, style, 4)?;
    if diagnosis.fixes.is_empty() {
        let words = match diagnosis.verdict {
            Verdict::Undecided => "None yet: the cause is not known.",
            Verdict::Claimed(_) | Verdict::Healthy => "No patch can be given for this cause.",
        };
        return write_paragraph(out, style, 2, Tone::Plain, words);
    }
    for (index, patch) in diagnosis.fixes.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        write_patch(out, style, patch)?;
    }
    Ok(())
}

fn write_patch(out: &mut dyn Write, style: TextStyle, patch: &Patch) -> io::Result<()> {
    let lead = [style.span(Tone::Good, "  ● ")];
    write_lines(out, style, &lead, Tone::Strong, &patch.title)?;
    if !patch.words.is_empty() {
        write_paragraph(out, style, 4, Tone::Plain, &patch.words)?;
    }
    if let Some(diff) = &patch.diff {
        writeln!(out)?;
        write_diff(out, style, diff)?;
    }
    Ok(())
}

/// Writes the first patch that has a diff, for a brief report.
pub(super) fn write_first_diff(
    out: &mut dyn Write,
    style: TextStyle,
    diagnosis: &Diagnosis,
) -> io::Result<()> {
    let with_diff = diagnosis.fixes.iter().find_map(|patch| Some((patch, patch.diff.as_ref()?)));
    let Some((patch, diff)) = with_diff else { return Ok(()) };
    writeln!(out)?;
    let lead = [style.span(Tone::Good, "  fix"), style.span(Tone::Strong, ": ")];
    write_lines(out, style, &lead, Tone::Strong, &patch.title)?;
    write_diff(out, style, diff)
}

/// Writes a unified diff; its lines are never broken, a broken diff applies nowhere.
pub(super) fn write_diff(out: &mut dyn Write, style: TextStyle, diff: &str) -> io::Result<()> {
    for line in diff.lines() {
        let tone = if line.starts_with("+++") || line.starts_with("---") {
            Tone::Strong
        } else if line.starts_with('+') {
            Tone::Good
        } else if line.starts_with('-') {
            Tone::Removed
        } else if line.starts_with("@@") {
            Tone::Code
        } else {
            Tone::Plain
        };
        write_line(out, style, &[gap(4), style.span(tone, line)])?;
    }
    Ok(())
}

/// Writes step 5.
pub(super) fn write_options(
    out: &mut dyn Write,
    style: TextStyle,
    diagnosis: &Diagnosis,
) -> io::Result<()> {
    write_step(out, style, 5)?;
    let options = &diagnosis.options;
    if options.is_empty() {
        let words = "None can be computed from what was read.";
        return write_paragraph(out, style, 2, Tone::Plain, words);
    }
    let figures = aligned(&options.iter().map(|option| option.saves).collect::<Vec<_>>());
    for (option, figure) in options.iter().zip(&figures) {
        let tone = if option.saves.is_some() { Tone::Good } else { Tone::Faint };
        let lead = [gap(2), style.span(tone, figure), gap(2)];
        write_lines(out, style, &lead, Tone::Strong, &option.title)?;
        let below = width_of(&lead);
        if !option.why.is_empty() {
            write_paragraph(out, style, below, Tone::Plain, &option.why)?;
        }
        if !option.cost.is_empty() {
            let lead = [gap(below), style.span(Tone::Faint, "costs ")];
            write_lines(out, style, &lead, Tone::Plain, &option.cost)?;
        }
    }
    Ok(())
}

/// Writes step 6.
pub(super) fn write_verify(
    out: &mut dyn Write,
    style: TextStyle,
    diagnosis: &Diagnosis,
) -> io::Result<()> {
    write_step(out, style, 6)?;
    if diagnosis.verify.is_empty() {
        return write_paragraph(out, style, 2, Tone::Plain, "Nothing to verify yet.");
    }
    for step in &diagnosis.verify {
        let run = [gap(2), style.span(Tone::Faint, "run  ")];
        write_lines(out, style, &run, Tone::Code, &step.run)?;
        let see = [gap(2), style.span(Tone::Faint, "see  ")];
        write_lines(out, style, &see, Tone::Plain, &step.expect)?;
    }
    Ok(())
}
