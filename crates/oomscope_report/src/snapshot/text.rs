//! Views for people, in a terminal.

use std::io::{self, Write};

use super::Entry;
use super::section::{Cell, Section, Shown, Table, change, duration, grouped, more};
use crate::TextStyle;
use crate::layout::{Span, Tone, bar, gap, write_line, write_wrapped};
use crate::root::{below, folder_of_all};

/// Columns that a bar takes.
const BAR: usize = 14;
/// A label column gets at least this many columns.
const NARROWEST_LABEL: usize = 24;

pub(super) fn write(entries: &[Entry], style: TextStyle, out: &mut dyn Write) -> io::Result<()> {
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            out.write_all(b"\n")?;
        }
        let title = style.span(Tone::Strong, &entry.file);
        let device = style.span(Tone::Faint, &format!(" · device {}", entry.device));
        write_line(out, style, &[title, device])?;
        let sections = entry.view.sections();
        let folder = folder(&sections).to_owned();
        for section in &sections {
            write_section(out, style, section, &folder)?;
        }
        if !folder.is_empty() {
            let note = style.span(Tone::Faint, &format!("paths are below {folder}"));
            write_line(out, style, &[note])?;
        }
    }
    Ok(())
}

/// The folder that all places share: said once.
fn folder(sections: &[Section]) -> &str {
    let rows = sections.iter().flat_map(|section| match section {
        Section::Table(table) => table.rows.as_slice(),
        _ => &[],
    });
    folder_of_all(rows.flatten().filter_map(|cell| match cell {
        Cell::Place(place, _) => Some(place.file.as_str()),
        _ => None,
    }))
}

fn write_section(
    out: &mut dyn Write,
    style: TextStyle,
    section: &Section,
    folder: &str,
) -> io::Result<()> {
    match section {
        Section::Headline(text) => {
            write_wrapped(out, style, &[], &style.prose(Tone::Plain, text))?;
            out.write_all(b"\n")
        }
        Section::Facts(facts) => {
            let widest = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
            for (name, value) in facts {
                let lead = style.span(Tone::Faint, &format!("  {name:<widest$}  "));
                write_wrapped(out, style, &[lead], &style.prose(Tone::Plain, value))?;
            }
            out.write_all(b"\n")
        }
        Section::Reasons(title, reasons) => {
            write_line(out, style, &[style.span(Tone::Heading, title)])?;
            for (name, reason) in reasons {
                let lead = style.span(Tone::Faint, &format!("  {name}: "));
                write_wrapped(out, style, &[lead], &style.prose(Tone::Plain, reason))?;
            }
            out.write_all(b"\n")
        }
        Section::Table(table) => write_table(out, style, table, folder),
        Section::Picture(lines) => {
            for line in lines {
                let spans: Vec<Span> =
                    line.iter().map(|(tone, text)| style.span(*tone, text)).collect();
                write_line(out, style, &spans)?;
            }
            out.write_all(b"\n")
        }
        Section::Note(text) => {
            let lead = style.span(Tone::Doubt, "note: ");
            write_wrapped(out, style, &[lead], &style.prose(Tone::Plain, text))
        }
    }
}

fn write_table(
    out: &mut dyn Write,
    style: TextStyle,
    table: &Table,
    folder: &str,
) -> io::Result<()> {
    write_line(out, style, &[style.span(Tone::Heading, &table.title)])?;
    let shown: Vec<usize> = table
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.shown != Shown::InFiles)
        .map(|(index, _)| index)
        .collect();
    let header: Vec<Span> = shown
        .iter()
        .map(|&index| {
            let column = table.columns.get(index);
            let is_bar = column.is_some_and(|column| column.shown == Shown::ToPeople);
            let name = column.map_or("", |column| if is_bar { "" } else { column.name });
            style.span(Tone::Faint, name)
        })
        .collect();
    let rows: Vec<Vec<Span>> = table
        .rows
        .iter()
        .map(|row| {
            let cells = shown.iter().map(|&index| row.get(index).unwrap_or(&Cell::Unknown));
            cells.map(|cell| span(style, cell, folder)).collect()
        })
        .collect();
    let widths = widths(style, &header, &rows);
    let is_figure = |position: usize| {
        let cells = shown
            .get(position)
            .into_iter()
            .flat_map(|&index| table.rows.iter().filter_map(move |row| row.get(index)));
        let mut known = cells.filter(|cell| !matches!(cell, Cell::Unknown)).peekable();
        known.peek().is_some() && known.all(Cell::is_figure)
    };
    let right: Vec<bool> = (0..shown.len()).map(is_figure).collect();
    for row in std::iter::once(&header).chain(&rows) {
        let mut line = vec![gap(2)];
        for ((cell, &width), &right) in row.iter().zip(&widths).zip(&right) {
            let (cell, _, taken) = cell.head(style, width);
            let blank = gap(width.saturating_sub(taken));
            line.extend(if right { [blank, cell] } else { [cell, blank] });
            line.push(gap(2));
        }
        write_line(out, style, &line)?;
    }
    if let Some((rows, bytes)) = table.left_out {
        let text = format!("  and {} more, {bytes}; `--limit 0` shows all", grouped(rows));
        write_line(out, style, &style.prose(Tone::Faint, &text))?;
    }
    out.write_all(b"\n")
}

/// Columns for each column of the table: the widest one gives way when the line is too long.
fn widths(style: TextStyle, header: &[Span], rows: &[Vec<Span>]) -> Vec<usize> {
    let mut widths: Vec<usize> = header.iter().map(Span::width).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let total = 2 + widths.iter().map(|width| width + 2).sum::<usize>();
    let excess = total.saturating_sub(style.columns());
    if let Some(widest) = widths.iter_mut().max() {
        *widest = widest.saturating_sub(excess).max(NARROWEST_LABEL.min(*widest));
    }
    widths
}

fn span(style: TextStyle, cell: &Cell, folder: &str) -> Span {
    match cell {
        Cell::Unknown => style.span(Tone::Faint, "–"),
        Cell::Bytes(bytes) => style.span(Tone::Plain, &bytes.to_string()),
        Cell::Change(bytes) => {
            let tone = if *bytes > 0 { Tone::Bad } else { Tone::Good };
            style.span(tone, &change(*bytes))
        }
        Cell::Micros(micros) => style.span(Tone::Plain, &duration(*micros)),
        Cell::Count(count) => style.span(Tone::Plain, &grouped(*count)),
        Cell::More(count) => style.span(Tone::Plain, &more(*count)),
        Cell::Share(share) => style.span(Tone::Plain, &percent(*share)),
        Cell::Bar(share) => bar(style, *share, BAR),
        Cell::Number(number) => style.span(Tone::Plain, &format!("{number:.2}")),
        Cell::Text(text) => style.span(Tone::Plain, text),
        Cell::Calls(calls) => style.span(Tone::Plain, &innermost_first(calls)),
        Cell::Place(place, call) => {
            let call = call.as_ref().map(|call| format!("  {call}")).unwrap_or_default();
            style.span(Tone::Code, &format!("{}{call}", below(folder, place)))
        }
    }
}

/// `c.py:3:loss ← a.py:1:main` of `/x/a.py:1:main;/x/c.py:3:loss`.
fn innermost_first(calls: &str) -> String {
    let without_folder = |call: &str| {
        let start = call.find('(').map_or(0, |open| open + 1);
        let (before, path) = call.split_at(start);
        format!("{before}{}", path.rsplit(['/', '\\']).next().unwrap_or(path))
    };
    let calls: Vec<String> = calls.split(';').rev().map(without_folder).collect();
    calls.join(" ← ")
}

/// `41.7 %`, never `0.0 %` of something that is there.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.1 { "<0.1 %".to_owned() } else { format!("{percent:.1} %") }
}
