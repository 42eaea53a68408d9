//! Step 3: the catalogue, judged: what speaks for and against each cause that is open, and the
//! names of the rest.

use std::io::{self, Write};

use oomscope_model::{Assessment, Cause, Confidence, Diagnosis, Fact};

use super::{write_labelled, write_lines, write_paragraph, write_step};
use crate::TextStyle;
use crate::content::{
    bytes_or_unknown, cause_groups, cold_title, fact_figures, first_few, names, unnamed_places,
};
use crate::layout::{Tone, gap, write_line};
use crate::root::common_folder;

/// Writes step 3.
pub(super) fn write_causes(
    out: &mut dyn Write,
    style: TextStyle,
    diagnosis: &Diagnosis,
) -> io::Result<()> {
    write_step(out, style, 3)?;
    let folder = common_folder(diagnosis);
    let groups = cause_groups(diagnosis);
    for (index, assessment) in groups.open.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        write_assessment(out, style, assessment, &folder)?;
    }
    if groups.open.is_empty() {
        let words = "Nothing that was read speaks for any cause of the catalogue.";
        write_paragraph(out, style, 2, Tone::Plain, words)?;
    }
    let closed = [
        ("unlikely", groups.unlikely),
        ("ruled out", groups.ruled_out),
        ("no evidence", groups.no_evidence),
    ];
    if closed.iter().any(|(_, group)| !group.is_empty()) {
        writeln!(out)?;
    }
    for (label, group) in closed {
        if !group.is_empty() {
            write_labelled(out, style, label, 13, Tone::Faint, &names(&group))?;
        }
    }
    write_cold_findings(out, style, diagnosis)
}

fn write_assessment(
    out: &mut dyn Write,
    style: TextStyle,
    assessment: &Assessment,
    folder: &str,
) -> io::Result<()> {
    let confidence = assessment.confidence;
    let (bullet, tone) = match confidence.is_claim() {
        true if confidence >= Confidence::percent(80) => ("●", Tone::Bad),
        true => ("●", Tone::Doubt),
        false => ("○", Tone::Faint),
    };
    let bytes = match assessment.cause {
        Cause::Unknown => String::new(),
        _ => bytes_or_unknown(assessment.bytes),
    };
    let head = [
        gap(2),
        style.span(tone, bullet),
        gap(1),
        style.span(Tone::Strong, &format!("{:<24}", assessment.cause.name())),
        style.span(tone, &format!("{confidence:>4} {:<6}", confidence.word())),
        style.span(Tone::Plain, &format!("{bytes:>14}")),
    ];
    write_line(out, style, &head)?;
    write_facts(out, style, ("+", Tone::Good), &assessment.evidence_for, folder)?;
    write_facts(out, style, ("−", Tone::Bad), &assessment.evidence_against, folder)?;
    if let Some(places) = unnamed_places(assessment, folder) {
        write_lines(out, style, &[gap(6)], Tone::Plain, &format!("at {places}"))?;
    }
    if let Some(settle) = &assessment.settle {
        let lead = [gap(4), style.span(Tone::Doubt, "? ")];
        write_lines(out, style, &lead, Tone::Plain, &format!("would settle it: {settle}"))?;
    }
    Ok(())
}

fn write_facts(
    out: &mut dyn Write,
    style: TextStyle,
    sign: (&str, Tone),
    facts: &[Fact],
    folder: &str,
) -> io::Result<()> {
    let (shown, more) = first_few(facts);
    for fact in shown {
        write_fact(out, style, sign, fact, folder)?;
    }
    if more > 0 {
        write_paragraph(out, style, 6, Tone::Faint, &format!("and {more} more"))?;
    }
    Ok(())
}

/// One fact, its bytes and its line behind it.
fn write_fact(
    out: &mut dyn Write,
    style: TextStyle,
    (sign, tone): (&str, Tone),
    fact: &Fact,
    folder: &str,
) -> io::Result<()> {
    let lead = [gap(4), style.span(tone, sign), gap(1)];
    let figures = fact_figures(fact, folder).unwrap_or_default();
    let words = format!("{} {figures}", fact.text.trim_end_matches('.'));
    write_lines(out, style, &lead, Tone::Plain, &words)
}

/// Writes what the source shows that holds nothing here.
pub(super) fn write_cold_findings(
    out: &mut dyn Write,
    style: TextStyle,
    diagnosis: &Diagnosis,
) -> io::Result<()> {
    if diagnosis.cold_findings.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    write_paragraph(out, style, 2, Tone::Plain, cold_title(diagnosis.verdict))?;
    let folder = common_folder(diagnosis);
    write_facts(out, style, ("·", Tone::Faint), &diagnosis.cold_findings, &folder)
}
