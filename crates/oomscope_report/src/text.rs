//! The diagnosis for people, in a terminal: the verdict, the line, the six steps, the four parts.

mod causes;
mod changes;
mod culprit;
mod excerpt;
mod state;

use std::io::{self, Write};

use oomscope_model::{Cause, Diagnosis, Verdict};

use crate::content::{STEPS, claim_line, claimed, four_parts, inputs};
use crate::layout::{Span, Tone, gap, width_of, write_line, write_wrapped};
use crate::{Detail, TextStyle};

/// Writes `diagnosis` for people.
///
/// No line is wider than the style's width, except those of a diff and the full path of an
/// excerpt, which lose their use when broken.
pub fn render_text(
    diagnosis: &Diagnosis,
    style: &TextStyle,
    out: &mut dyn Write,
) -> io::Result<()> {
    let style = *style;
    write_verdict(out, style, diagnosis)?;
    if diagnosis.verdict == Verdict::Healthy {
        return write_healthy(out, style, diagnosis);
    }
    let excerpts = match style.detail {
        Detail::Brief => 1,
        Detail::Full => 3,
    };
    if diagnosis.excerpts.is_empty()
        && let Some(place) = claimed(diagnosis).and_then(|one| one.places.first())
    {
        // Without the source the line itself is still the answer.
        excerpt::write_title(out, style, 2, place)?;
    }
    for excerpt in diagnosis.excerpts.iter().take(excerpts) {
        excerpt::write_excerpt(out, style, diagnosis, excerpt)?;
    }
    match style.detail {
        Detail::Brief => changes::write_first_diff(out, style, diagnosis)?,
        Detail::Full => {
            state::write_state(out, style, diagnosis)?;
            culprit::write_culprit(out, style, diagnosis)?;
            causes::write_causes(out, style, diagnosis)?;
            changes::write_fixes(out, style, diagnosis)?;
            changes::write_options(out, style, diagnosis)?;
            changes::write_verify(out, style, diagnosis)?;
        }
    }
    write_four_parts(out, style, diagnosis)?;
    write_escalation(out, style, diagnosis)?;
    write_problems(out, style, diagnosis)
}

fn write_verdict(out: &mut dyn Write, style: TextStyle, diagnosis: &Diagnosis) -> io::Result<()> {
    let (tone, word) = match diagnosis.verdict {
        Verdict::Claimed(Cause::NotOutOfMemory) => {
            (Tone::Bad, format!("error[{}]", Cause::NotOutOfMemory))
        }
        Verdict::Claimed(cause) if !diagnosis.failure_seen => {
            (Tone::Bad, format!("memory defect[{cause}]"))
        }
        Verdict::Claimed(cause) => (Tone::Bad, format!("out of memory[{cause}]")),
        Verdict::Undecided => (Tone::Doubt, "undecided".to_owned()),
        Verdict::Healthy => (Tone::Good, "healthy".to_owned()),
    };
    let mut headline = vec![style.span(tone, &word), style.span(Tone::Strong, ": ")];
    headline.extend(style.prose(Tone::Strong, &diagnosis.headline));
    write_wrapped(out, style, &[], &headline)?;
    if let Some(assessment) = claimed(diagnosis) {
        let line = claim_line(assessment, diagnosis.culprit.live);
        write_paragraph(out, style, 2, Tone::Plain, &line)?;
    }
    if diagnosis.verdict == Verdict::Undecided
        && let Some(next) = diagnosis.escalation.first()
    {
        write_labelled(out, style, "next", 6, Tone::Plain, next)?;
    }
    Ok(())
}

fn write_healthy(out: &mut dyn Write, style: TextStyle, diagnosis: &Diagnosis) -> io::Result<()> {
    writeln!(out)?;
    if !diagnosis.inputs.is_empty() {
        write_labelled(out, style, "looked at", 11, Tone::Plain, &inputs(diagnosis))?;
    }
    if !diagnosis.state.moment.is_empty() {
        write_labelled(out, style, "at", 11, Tone::Plain, &diagnosis.state.moment)?;
    }
    if !diagnosis.state.figures.is_empty() {
        writeln!(out)?;
        state::write_figures(out, style, diagnosis)?;
    }
    if !diagnosis.culprit.holders.is_empty() {
        culprit::write_holders(out, style, diagnosis)?;
    }
    write_notes(out, style, &diagnosis.state.notes)?;
    write_notes(out, style, &diagnosis.culprit.notes)?;
    causes::write_cold_findings(out, style, diagnosis)?;
    if !diagnosis.report.prevention.is_empty() {
        writeln!(out)?;
        let prevention = &diagnosis.report.prevention;
        write_labelled(out, style, "keep it so", 12, Tone::Plain, prevention)?;
    }
    write_problems(out, style, diagnosis)
}

fn write_four_parts(
    out: &mut dyn Write,
    style: TextStyle,
    diagnosis: &Diagnosis,
) -> io::Result<()> {
    if four_parts(diagnosis).iter().all(|(_, text)| text.is_empty()) {
        return Ok(());
    }
    write_heading(out, style, "In short")?;
    for (title, text) in four_parts(diagnosis) {
        if !text.is_empty() {
            write_labelled(out, style, title, 14, Tone::Plain, text)?;
        }
    }
    Ok(())
}

fn write_escalation(
    out: &mut dyn Write,
    style: TextStyle,
    diagnosis: &Diagnosis,
) -> io::Result<()> {
    if diagnosis.escalation.is_empty() {
        return Ok(());
    }
    let title = match diagnosis.verdict {
        Verdict::Undecided => "Capture next",
        Verdict::Claimed(_) | Verdict::Healthy => "If that does not help",
    };
    write_heading(out, style, title)?;
    for (index, step) in diagnosis.escalation.iter().enumerate() {
        let lead = [style.span(Tone::Heading, &format!("  {}. ", index + 1))];
        write_lines(out, style, &lead, Tone::Plain, step)?;
    }
    Ok(())
}

fn write_problems(out: &mut dyn Write, style: TextStyle, diagnosis: &Diagnosis) -> io::Result<()> {
    if diagnosis.problems.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    for problem in &diagnosis.problems {
        let lead = [style.span(Tone::Doubt, "warning"), style.span(Tone::Strong, ": ")];
        write_lines(out, style, &lead, Tone::Plain, &problem.to_string())?;
        if let Some(hint) = &problem.hint {
            let lead = [style.span(Tone::Good, "   hint"), style.span(Tone::Strong, ": ")];
            write_lines(out, style, &lead, Tone::Plain, hint)?;
        }
    }
    Ok(())
}

/// The heading of step `number`, 1 to 6.
fn write_step(out: &mut dyn Write, style: TextStyle, number: usize) -> io::Result<()> {
    let name = STEPS.get(number.saturating_sub(1)).copied().unwrap_or_default();
    write_heading(out, style, &format!("{number} {name}"))
}

fn write_heading(out: &mut dyn Write, style: TextStyle, title: &str) -> io::Result<()> {
    let title = style.span(Tone::Heading, title);
    let rest = style.columns().saturating_sub(title.width() + 4);
    writeln!(out)?;
    write_line(out, style, &[style.rule(2), gap(1), title, gap(1), style.rule(rest)])
}

fn write_notes(out: &mut dyn Write, style: TextStyle, notes: &[String]) -> io::Result<()> {
    if !notes.is_empty() {
        writeln!(out)?;
    }
    for note in notes {
        let lead = [style.span(Tone::Faint, "  · ")];
        write_lines(out, style, &lead, Tone::Plain, note)?;
    }
    Ok(())
}

/// `text` with its own line ends, indented by `indent`.
fn write_paragraph(
    out: &mut dyn Write,
    style: TextStyle,
    indent: usize,
    tone: Tone,
    text: &str,
) -> io::Result<()> {
    write_lines(out, style, &[gap(indent)], tone, text)
}

/// `text` beside a label that is padded to `columns`.
fn write_labelled(
    out: &mut dyn Write,
    style: TextStyle,
    label: &str,
    columns: usize,
    tone: Tone,
    text: &str,
) -> io::Result<()> {
    let lead = [gap(2), style.span(Tone::Strong, &format!("{label:<columns$}"))];
    write_lines(out, style, &lead, tone, text)
}

/// `text` with its own line ends, wrapped, behind `lead`.
fn write_lines(
    out: &mut dyn Write,
    style: TextStyle,
    lead: &[Span],
    tone: Tone,
    text: &str,
) -> io::Result<()> {
    let below = gap(width_of(lead));
    let mut lead = lead.to_vec();
    for line in text.trim_end().split('\n') {
        let words = line.trim_start();
        // What is indented (a command, an item) stays so.
        lead.push(gap((line.len() - words.len()).min(8)));
        write_wrapped(out, style, &lead, &style.prose(tone, words.trim_end()))?;
        lead = vec![below.clone()];
    }
    Ok(())
}
