//! Step 2: who asked last, and a chart of who holds the memory.

use std::io::{self, Write};

use oomscope_model::{Bytes, Diagnosis};

use super::{write_labelled, write_notes, write_paragraph, write_step};
use crate::TextStyle;
use crate::content::{HolderRow, aligned, asked, holder_rows, holder_story, live, percent};
use crate::layout::{Tone, bar, gap, write_line};
use crate::root::common_folder;

/// A holder below this share of all live bytes is not told about in words.
const TELLING_SHARE: f64 = 0.10;

/// Writes step 2.
pub(super) fn write_culprit(
    out: &mut dyn Write,
    style: TextStyle,
    diagnosis: &Diagnosis,
) -> io::Result<()> {
    write_step(out, style, 2)?;
    match asked(diagnosis, &common_folder(diagnosis)) {
        Some(words) => write_labelled(out, style, "asked by", 10, Tone::Plain, &words)?,
        None => write_labelled(out, style, "asked by", 10, Tone::Faint, "unknown")?,
    }
    if diagnosis.culprit.holders.is_empty() {
        let words = "unknown: that needs a snapshot with stacks";
        write_labelled(out, style, "held by", 10, Tone::Faint, words)?;
    } else {
        write_holders(out, style, diagnosis)?;
    }
    write_roles(out, style, diagnosis)?;
    write_notes(out, style, &diagnosis.culprit.notes)
}

/// Writes the chart.
pub(super) fn write_holders(
    out: &mut dyn Write,
    style: TextStyle,
    diagnosis: &Diagnosis,
) -> io::Result<()> {
    let folder = common_folder(diagnosis);
    let rows = holder_rows(diagnosis, &folder);
    let live = live(diagnosis);
    writeln!(out)?;
    write_paragraph(out, style, 2, Tone::Strong, &format!("Who holds the {live} in use"))?;
    let figures = aligned(&rows.iter().map(|row| Some(row.bytes)).collect::<Vec<_>>());
    let columns = Columns::fit(style, &rows, &figures);
    for (row, figure) in rows.iter().zip(&figures) {
        let label = style.tail(Tone::Plain, &row.label, columns.label);
        let pad = columns.label.saturating_sub(label.width());
        let mut line = vec![gap(2), label, gap(pad)];
        if columns.role > 0 {
            let role = format!("  {:<width$}", row.role, width = columns.role);
            line.push(style.span(Tone::Faint, &role));
        }
        line.push(style.span(Tone::Strong, &format!("  {figure}")));
        line.push(style.span(Tone::Plain, &format!("  {:>5}", percent(row.bytes, live))));
        line.push(gap(2));
        line.push(bar(style, row.bytes.share_of(live), columns.bar));
        write_line(out, style, &line)?;
    }
    write_stories(out, style, &rows, live)
}

fn write_stories(
    out: &mut dyn Write,
    style: TextStyle,
    rows: &[HolderRow<'_>],
    live: Bytes,
) -> io::Result<()> {
    let told = rows
        .iter()
        .filter(|row| row.bytes.share_of(live) >= TELLING_SHARE)
        .filter_map(|row| row.holder);
    for (index, holder) in told.take(3).enumerate() {
        if index == 0 {
            writeln!(out)?;
        }
        let line = holder.place.as_ref().map_or_else(
            || "Without a frame".to_owned(),
            |place| format!("`{}`", crate::content::short_place(place)),
        );
        let story = format!("{line}: {}", holder_story(holder));
        super::write_lines(out, style, &[style.span(Tone::Faint, "  · ")], Tone::Plain, &story)?;
    }
    Ok(())
}

fn write_roles(out: &mut dyn Write, style: TextStyle, diagnosis: &Diagnosis) -> io::Result<()> {
    let roles = &diagnosis.culprit.roles;
    if roles.is_empty() {
        return Ok(());
    }
    let live = live(diagnosis);
    let parts: Vec<String> = roles
        .iter()
        .map(|(role, bytes)| format!("{} {bytes} ({})", role.name(), percent(*bytes, live)))
        .collect();
    writeln!(out)?;
    write_labelled(out, style, "by kind", 10, Tone::Plain, &parts.join(", "))
}

/// Widths of the chart's columns.
struct Columns {
    label: usize,
    role: usize,
    bar: usize,
}

impl Columns {
    /// The label takes what it needs; the bar what is left, within limits.
    fn fit(style: TextStyle, rows: &[HolderRow<'_>], figures: &[String]) -> Columns {
        const BAR: usize = 10;
        let widest = |widths: &mut dyn Iterator<Item = usize>| widths.max().unwrap_or(0);
        let figure = widest(&mut figures.iter().map(String::len));
        let mut role = widest(&mut rows.iter().map(|row| row.role.len()));
        let wanted =
            widest(&mut rows.iter().map(|row| style.span(Tone::Plain, &row.label).width()));
        // Indent, gaps, percentage.
        let fixed = 2 + 2 + figure + 2 + 5 + 2;
        let mut room = style.columns().saturating_sub(fixed + BAR);
        if role > 0 && room < role + 2 + 16 {
            role = 0;
        }
        room = room.saturating_sub(if role > 0 { role + 2 } else { 0 });
        let label = wanted.min(room);
        Columns { label, role, bar: (BAR + room - label).min(24) }
    }
}
