//! The parts that views are made of: facts, tables, notes. A view says what, never how it looks.

use oomscope_model::{Bytes, Place};

use crate::layout::Tone;

/// A part of a view.
pub(crate) enum Section {
    /// The one line that answers the question.
    Headline(String),
    /// Names with figures.
    Facts(Vec<(&'static str, String)>),
    /// A table under a title. The first table of a view is what CSV writes.
    Table(Table),
    /// Under a title, names from the input with a sentence each.
    Reasons(String, Vec<(String, String)>),
    /// Ready lines: charts and maps, text only.
    Picture(Vec<Vec<(Tone, String)>>),
    /// A sentence that limits or explains what stands above; backticks mark code.
    Note(String),
}

/// Rows under named columns.
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Cell>>,
    /// Rows that the limit left out, and the bytes in them.
    pub(crate) left_out: Option<(u64, Bytes)>,
}

/// A column. Its name is the CSV header, with underscores for blanks.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// Whether it is in text and Markdown, or in CSV only.
    pub(crate) shown: Shown,
}

/// Where a column appears.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    Everywhere,
    /// In text and Markdown only (bars).
    ToPeople,
    /// In CSV only (exact figures that text rounds, long texts).
    InFiles,
}

/// A column that appears everywhere.
pub(crate) fn column(name: &'static str) -> Column {
    Column { name, shown: Shown::Everywhere }
}

/// A cell.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    /// Nothing known.
    Unknown,
    Bytes(Bytes),
    /// More bytes, or fewer.
    Change(i64),
    /// Microseconds.
    Micros(u64),
    Count(u64),
    /// A count more, or fewer.
    More(i64),
    /// A share of 1.
    Share(f64),
    /// A share of 1, drawn.
    Bar(f64),
    Number(f64),
    Text(String),
    /// A function, module or stack (`file:line:function;...`, outermost first): files of people are
    /// told their folders from elsewhere, and the innermost call comes first.
    Calls(String),
    /// A line of code: file, line, the call in it.
    Place(Place, Option<String>),
}

/// Whether a cell's text stands at the right of its column.
impl Cell {
    pub(crate) fn is_figure(&self) -> bool {
        matches!(
            self,
            Cell::Bytes(_)
                | Cell::Change(_)
                | Cell::Micros(_)
                | Cell::Count(_)
                | Cell::More(_)
                | Cell::Share(_)
                | Cell::Number(_)
        )
    }
}

/// `1,054,406`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `+2.00 MiB`.
pub(crate) fn change(bytes: i64) -> String {
    let sign = match bytes.signum() {
        -1 => "-",
        0 => "",
        _ => "+",
    };
    format!("{sign}{}", Bytes(bytes.unsigned_abs()))
}

/// `+1,024`.
pub(crate) fn more(count: i64) -> String {
    let sign = match count.signum() {
        -1 => "-",
        0 => "",
        _ => "+",
    };
    format!("{sign}{}", grouped(count.unsigned_abs()))
}

/// Microseconds as a reader says them: `417 us`, `1.20 ms`, `3.46 s`, `2 min 5 s`.
pub(crate) fn duration(micros: u64) -> String {
    let count = micros as f64;
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..1_000_000 => format!("{:.2} ms", count / 1e3),
        1_000_000..120_000_000 => format!("{:.2} s", count / 1e6),
        _ => format!("{} min {} s", micros / 60_000_000, micros / 1_000_000 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::{duration, grouped};

    #[test]
    fn counts_and_times_read_well() {
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_054_406), "1,054,406");
        assert_eq!(duration(417), "417 us");
        assert_eq!(duration(3_456_789), "3.46 s");
        assert_eq!(duration(125_000_000), "2 min 5 s");
    }
}
