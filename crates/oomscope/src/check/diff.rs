//! What fixes would change, as a unified diff; of a notebook cell by cell.

use std::fmt::Write;

use oomscope_source::notebook::{self, CellStart};
use similar::TextDiff;

use super::source::Source;

/// The diff of one file.
pub(crate) fn diff(before: &Source, after: &Source) -> String {
    let mut text = String::new();
    let (Some(old), Some(new)) = (&before.json, &after.json) else {
        add(&mut text, &before.name, &before.code, &after.code);
        return text;
    };
    let (old, new) = (notebook::cells(old), notebook::cells(new));
    for (index, (one, other)) in old.iter().zip(&new).enumerate() {
        let cell_of = |code: &str, cells: &[CellStart], start: CellStart| -> String {
            let lines = code.split_inclusive('\n').skip(start.line.saturating_sub(1) as usize);
            let next = cells.get(index + 1).map(|next| next.line.saturating_sub(start.line));
            lines.take(next.map_or(usize::MAX, |count| count as usize)).collect()
        };
        let name = format!("{}:cell {}", before.name, one.cell);
        let (old, new) = (cell_of(&before.code, &old, *one), cell_of(&after.code, &new, *other));
        add(&mut text, &name, &old, &new);
    }
    text
}

fn add(text: &mut String, name: &str, before: &str, after: &str) {
    if before != after {
        // A name with a line end would forge lines of the diff.
        let name = oomscope_report::check::harmless(&name.replace(['\n', '\r'], " "));
        let diff = TextDiff::from_lines(before, after);
        let _ = write!(text, "{}", diff.unified_diff().header(&name, &name));
    }
}
