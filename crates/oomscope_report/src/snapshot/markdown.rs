//! Views for an issue or a chat.

use std::io::{self, Write};

use super::Entry;
use super::section::{Cell, Section, Shown, Table, change, duration, grouped, more};
use super::text::percent;
use crate::Charset;
use crate::clean::clean;
use crate::markdown::{code, inline};

pub(super) fn write(entries: &[Entry], out: &mut dyn Write) -> io::Result<()> {
    for entry in entries {
        writeln!(out, "## {}, device {}\n", code(&entry.file), entry.device)?;
        for section in entry.view.sections() {
            match section {
                Section::Headline(text) => writeln!(out, "{}\n", inline(&text))?,
                Section::Facts(facts) => {
                    for (name, value) in facts {
                        writeln!(out, "- {}: {}", inline(name), inline(&value))?;
                    }
                    writeln!(out)?;
                }
                Section::Reasons(title, reasons) => {
                    writeln!(out, "**{}**\n", inline(&title))?;
                    for (name, reason) in reasons {
                        writeln!(out, "- {}: {}", inline(&name), inline(&reason))?;
                    }
                    writeln!(out)?;
                }
                Section::Table(table) => write_table(out, &table)?,
                Section::Picture(lines) => {
                    writeln!(out, "```text")?;
                    for line in lines {
                        let text: String = line.iter().map(|(_, text)| text.as_str()).collect();
                        let text = clean(text.trim_end(), Charset::Unicode);
                        writeln!(out, "{}", text.replace("```", "'''"))?;
                    }
                    writeln!(out, "```\n")?;
                }
                Section::Note(text) => writeln!(out, "> {}\n", inline(&text))?,
            }
        }
    }
    Ok(())
}

fn write_table(out: &mut dyn Write, table: &Table) -> io::Result<()> {
    let shown: Vec<usize> = table
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.shown == Shown::Everywhere)
        .map(|(index, _)| index)
        .collect();
    writeln!(out, "**{}**\n", inline(&table.title))?;
    let names: Vec<&str> =
        shown.iter().filter_map(|&index| Some(table.columns.get(index)?.name)).collect();
    writeln!(out, "| {} |", names.join(" | "))?;
    writeln!(out, "|{}", "---|".repeat(names.len()))?;
    for row in &table.rows {
        let cells: Vec<String> =
            shown.iter().map(|&index| row.get(index).map(text).unwrap_or_default()).collect();
        writeln!(out, "| {} |", cells.join(" | "))?;
    }
    if let Some((rows, bytes)) = table.left_out {
        writeln!(out, "\nand {} more, {bytes}", grouped(rows))?;
    }
    writeln!(out)
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Unknown => "–".to_owned(),
        Cell::Bytes(bytes) => bytes.to_string(),
        Cell::Change(bytes) => change(*bytes),
        Cell::Micros(micros) => duration(*micros),
        Cell::Count(count) => grouped(*count),
        Cell::More(count) => more(*count),
        Cell::Share(share) | Cell::Bar(share) => percent(*share),
        Cell::Number(number) => format!("{number:.2}"),
        Cell::Text(text) | Cell::Calls(text) => inline(text),
        Cell::Place(place, call) => {
            let call = call.as_ref().map(|call| format!(" {}", code(call))).unwrap_or_default();
            format!("{}{call}", code(&place.to_string()))
        }
    }
}
