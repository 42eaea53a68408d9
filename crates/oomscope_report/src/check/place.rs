//! Where things are: lines and columns of bytes, cells of notebooks, files by path.

use std::collections::BTreeMap;
use std::fmt;

use oomscope_model::Finding;

use super::{CheckReport, CheckedFile};

/// A place as readers are told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// Of a notebook: the cell, 1-based.
    pub(crate) cell: Option<u32>,
    /// 1-based line, of the cell in a notebook.
    pub(crate) line: u32,
    /// 1-based column, in characters.
    pub(crate) column: u32,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(cell) = self.cell {
            write!(f, "cell {cell}:")?;
        }
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl CheckedFile {
    /// Where a line and column of the text lie.
    pub(crate) fn spot(&self, line: u32, column: u32) -> Spot {
        let index = self.cells.partition_point(|cell| cell.line <= line).checked_sub(1);
        match index.and_then(|index| self.cells.get(index)) {
            Some(cell) => Spot { cell: Some(cell.number), line: line - cell.line + 1, column },
            None => Spot { cell: None, line, column },
        }
    }

    /// Where a finding starts.
    pub(crate) fn start_of(&self, finding: &Finding) -> Spot {
        self.spot(finding.place.line, finding.column)
    }

    /// Where a finding ends.
    pub(crate) fn end_of(&self, finding: &Finding) -> Spot {
        self.spot(finding.end.0, finding.end.1)
    }
}

/// The files of a report by path, with their lines.
pub(crate) struct Files<'r> {
    files: BTreeMap<&'r str, (&'r CheckedFile, Lines<'r>)>,
}

impl<'r> Files<'r> {
    pub(crate) fn of(report: &'r CheckReport) -> Files<'r> {
        let entry = |file: &'r CheckedFile| (file.path.as_str(), (file, Lines::of(&file.text)));
        Files { files: report.files.iter().map(entry).collect() }
    }

    /// The file of a path.
    pub(crate) fn file(&self, path: &str) -> Option<&'r CheckedFile> {
        self.files.get(path).map(|(file, _)| *file)
    }

    /// A line of a file, 1-based, without its end.
    pub(crate) fn line(&self, path: &str, line: u32) -> Option<&'r str> {
        self.files.get(path).and_then(|(_, lines)| lines.line(line))
    }

    /// Where a byte of a file lies.
    pub(crate) fn spot(&self, path: &str, byte: usize) -> Option<Spot> {
        let (file, lines) = self.files.get(path)?;
        let (line, column) = lines.position(byte);
        Some(file.spot(line, column))
    }
}

/// Line starts of a text; `\n`, `\r\n` and a lone `\r` end lines, as in Python.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Lines<'t> {
        let bytes = text.as_bytes();
        let ends = bytes.iter().enumerate().filter(|(at, byte)| {
            **byte == b'\n' || **byte == b'\r' && bytes.get(at + 1) != Some(&b'\n')
        });
        Lines { text, starts: std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect() }
    }

    fn line(&self, line: u32) -> Option<&'t str> {
        let index = (line as usize).checked_sub(1)?;
        let start = *self.starts.get(index)?;
        let end = self.starts.get(index + 1).copied().unwrap_or(self.text.len());
        self.text.get(start..end).map(|line| line.trim_end_matches(['\n', '\r']))
    }

    fn position(&self, byte: usize) -> (u32, u32) {
        let line = self.starts.partition_point(|start| *start <= byte);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = self.text.get(start..byte).map_or(0, |text| text.chars().count()) + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn every_line_end_counts_and_columns_are_characters() {
        let lines = Lines::of("é = 1\r\nb\rc\n");
        assert_eq!(lines.line(1), Some("é = 1"));
        assert_eq!(lines.line(3), Some("c"));
        assert_eq!(lines.line(9), None);
        assert_eq!(lines.position(3), (1, 3));
        assert_eq!(lines.position(8), (2, 1));
        assert_eq!(lines.position(10), (3, 1));
    }
}
