//! Views for spreadsheets: the main table of each, file and device in front, figures exact. Tables
//! with the same columns follow each other.

use std::io::{self, Write};

use super::section::{Cell, Section, Shown, Table};
use super::{Entry, View, timeline_csv};

pub(super) fn write(entries: &[Entry], out: &mut dyn Write) -> io::Result<()> {
    let timelines: Vec<_> = entries
        .iter()
        .filter_map(|entry| match &entry.view {
            View::Timeline(view) => Some((entry.file.as_str(), entry.device, &**view)),
            _ => None,
        })
        .collect();
    if !timelines.is_empty() {
        return timeline_csv::write(&timelines, out);
    }
    let mut writer = csv::Writer::from_writer(out);
    let mut has_header = false;
    for entry in entries {
        let tables: Vec<Table> = entry
            .view
            .sections()
            .into_iter()
            .filter_map(|section| match section {
                Section::Table(table) => Some(table),
                _ => None,
            })
            .collect();
        let Some(first) = tables.first() else { continue };
        let names = |table: &Table| -> Vec<&'static str> {
            table.columns.iter().map(|column| column.name).collect()
        };
        let kept: Vec<usize> = first
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| column.shown != Shown::ToPeople)
            .map(|(index, _)| index)
            .collect();
        if !has_header {
            has_header = true;
            let names = kept.iter().filter_map(|&index| first.columns.get(index));
            let names = names.map(|column| column.name.replace([' ', '-'], "_"));
            writer
                .write_record(["file".to_owned(), "device".to_owned()].into_iter().chain(names))?;
        }
        let same = tables.iter().take_while(|table| names(table) == names(first));
        for row in same.flat_map(|table| &table.rows) {
            let cells = kept.iter().map(|&index| row.get(index).map(text).unwrap_or_default());
            let front = [entry.file.clone(), entry.device.to_string()];
            writer.write_record(front.into_iter().chain(cells))?;
        }
    }
    writer.flush()
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Unknown => String::new(),
        Cell::Bytes(bytes) => bytes.0.to_string(),
        Cell::Change(change) | Cell::More(change) => change.to_string(),
        Cell::Micros(micros) => micros.to_string(),
        Cell::Count(count) => count.to_string(),
        Cell::Share(number) | Cell::Bar(number) | Cell::Number(number) => format!("{number:.6}"),
        // A leading sign would make a spreadsheet compute.
        Cell::Text(text) if text.starts_with(['=', '+', '-', '@']) => format!("'{text}"),
        Cell::Text(text) | Cell::Calls(text) => text.clone(),
        Cell::Place(place, _) => place.to_string(),
    }
}
