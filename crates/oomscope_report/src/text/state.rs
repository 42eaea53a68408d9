//! Step 1: the memory state at the moment that matters, each figure with its source.

use std::io::{self, Write};

use oomscope_model::Diagnosis;

use super::{write_labelled, write_notes, write_paragraph, write_step};
use crate::TextStyle;
use crate::content::{aligned, figure_rows, inputs};
use crate::layout::{Tone, gap, width_of, write_line, write_wrapped};
use crate::root::common_folder;

/// Writes step 1.
pub(super) fn write_state(
    out: &mut dyn Write,
    style: TextStyle,
    diagnosis: &Diagnosis,
) -> io::Result<()> {
    write_step(out, style, 1)?;
    if !diagnosis.inputs.is_empty() {
        write_labelled(out, style, "read", 6, Tone::Plain, &inputs(diagnosis))?;
    }
    if !diagnosis.state.moment.is_empty() {
        write_labelled(out, style, "at", 6, Tone::Plain, &diagnosis.state.moment)?;
    }
    let folder = common_folder(diagnosis);
    if !folder.is_empty() {
        write_labelled(out, style, "in", 6, Tone::Plain, &folder)?;
    }
    writeln!(out)?;
    write_figures(out, style, diagnosis)?;
    write_processes(out, style, diagnosis)?;
    write_notes(out, style, &diagnosis.state.notes)
}

/// Writes the table of figures.
pub(super) fn write_figures(
    out: &mut dyn Write,
    style: TextStyle,
    diagnosis: &Diagnosis,
) -> io::Result<()> {
    let rows = figure_rows(diagnosis);
    let figures = aligned(&rows.iter().map(|row| row.bytes).collect::<Vec<_>>());
    let names = rows.iter().map(|row| row.name.len()).max().unwrap_or(0).min(32);
    for (row, figure) in rows.iter().zip(&figures) {
        let tone = if row.bytes.is_some() { Tone::Strong } else { Tone::Faint };
        let lead = [
            gap(2),
            style.span(Tone::Plain, &format!("{:<names$}", row.name)),
            gap(2),
            style.span(tone, figure),
            gap(2),
        ];
        // A name longer than any that we know would leave no room for its source.
        if width_of(&lead) + 12 > style.columns() {
            write_paragraph(out, style, 2, Tone::Plain, &format!("{} {figure}", row.name))?;
            continue;
        }
        write_wrapped(out, style, &lead, &style.prose(Tone::Faint, row.from))?;
    }
    Ok(())
}

fn write_processes(out: &mut dyn Write, style: TextStyle, diagnosis: &Diagnosis) -> io::Result<()> {
    let Some(error) = &diagnosis.state.memory_error else { return Ok(()) };
    if error.other_processes.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    write_paragraph(out, style, 2, Tone::Plain, "Other processes on the device:")?;
    let processes = &error.other_processes;
    let figures: Vec<_> = processes.iter().map(|process| process.bytes).collect();
    let pids = processes.iter().map(|one| one.pid.to_string().len()).max().unwrap_or(0);
    for (process, figure) in processes.iter().zip(aligned(&figures)) {
        let pid = style.span(Tone::Plain, &format!("process {:<pids$}", process.pid));
        write_line(out, style, &[gap(4), pid, gap(2), style.span(Tone::Strong, &figure)])?;
    }
    Ok(())
}
