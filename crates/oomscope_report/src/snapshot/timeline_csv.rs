//! A timeline for spreadsheets: a row a bucket, the series side by side.

use std::io::{self, Write};

use super::timeline::{SeriesV1, TimelineV1};

/// Which figure of a series a column holds.
type Figure = (&'static str, fn(&SeriesV1) -> Option<&[u64]>);

const FIGURES: [Figure; 4] = [
    ("_first", |series| series.first.as_deref()),
    ("_min", |series| series.min.as_deref()),
    ("_max", |series| series.max.as_deref()),
    ("_last", |series| Some(&series.last)),
];
const EXACT: [Figure; 1] = [("", |series| Some(&series.last))];

/// Writes timelines with their files and devices. Columns are those of all of them together.
pub(super) fn write(timelines: &[(&str, u32, &TimelineV1)], out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    let figures: &[Figure] =
        if timelines.iter().all(|(_, _, view)| view.exact) { &EXACT } else { &FIGURES };
    let mut names: Vec<&str> = Vec::new();
    for series in timelines.iter().flat_map(|(_, _, view)| &view.series) {
        if !names.contains(&series.name.as_str()) {
            names.push(&series.name);
        }
    }
    let fixed = ["file", "device", "event", "events", "time_us"].map(str::to_owned);
    let header = names.iter().flat_map(|name| {
        // A leading sign would make a spreadsheet compute.
        let guard = if name.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
        figures.iter().map(move |(suffix, _)| format!("{guard}{}{suffix}", name.replace('-', "_")))
    });
    writer.write_record(fixed.into_iter().chain(header))?;
    for (file, device, view) in timelines {
        let of_name = |name: &&str| view.series.iter().find(|series| series.name == *name);
        let columns: Vec<Option<&[u64]>> = names
            .iter()
            .map(of_name)
            .flat_map(|series| figures.iter().map(move |(_, of)| series.and_then(of)))
            .collect();
        let device = device.to_string();
        let starts = view.buckets.start_us.as_deref();
        let buckets = view.buckets.event.iter().zip(&view.buckets.events);
        for (row, (event, events)) in buckets.enumerate() {
            writer.write_field(file)?;
            writer.write_field(&device)?;
            writer.write_field(event.to_string())?;
            writer.write_field(events.to_string())?;
            let start = starts.and_then(|starts| starts.get(row));
            writer.write_field(start.map(u64::to_string).unwrap_or_default())?;
            for column in &columns {
                let value = column.and_then(|values| values.get(row));
                writer.write_field(value.map(u64::to_string).unwrap_or_default())?;
            }
            writer.write_record(None::<&[u8]>)?;
        }
    }
    writer.flush()
}
