//! `diff`: what changed between two moments, of one file or of two.

use oomscope_model::Bytes;
use oomscope_snapshot::views::{Change, Difference, Fate, Lines};
use schemars::JsonSchema;
use serde::Serialize;

use super::View;
use super::live::name;
use super::section::{Cell, Column, Section, Shown, Table, column, grouped};
use super::wire::{CountersV1, PointV1, TallyV1};
use crate::wire::PlaceV1;

/// What changed between two moments.
#[derive(Serialize, JsonSchema)]
pub struct DiffV1 {
    /// Where the change starts.
    pub(crate) before: SideV1,
    /// Where it ends.
    pub(crate) after: SideV1,
    /// What blocks are summed by.
    pub(crate) by: &'static str,
    /// Whether lines of one function are told `apart`, or `ignored`.
    pub(crate) lines: &'static str,
    /// Files of code that have different paths in the two snapshots and were taken for the same.
    pub(crate) renamed_files: u64,
    /// Groups whose bytes or blocks differ, the largest change first, at most `--limit`.
    pub(crate) changes: Vec<ChangeV1>,
    /// Changes that the limit left out.
    pub(crate) changes_left_out: u64,
    /// The sum of their changes, in bytes.
    pub(crate) bytes_left_out: i64,
    /// Groups in which nothing changed.
    pub(crate) unchanged: u64,
}

/// One moment.
#[derive(Serialize, JsonSchema)]
pub(crate) struct SideV1 {
    /// The file.
    pub(crate) file: String,
    /// The moment.
    pub(crate) at: PointV1,
    /// The device's counters then, filters aside.
    pub(crate) counters: CountersV1,
    /// The sum of the blocks that the filters keep.
    pub(crate) selected: TallyV1,
}

/// One group, before and after.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ChangeV1 {
    /// The key in words.
    pub(crate) label: String,
    /// The line of code, where the key is one.
    pub(crate) place: Option<PlaceV1>,
    /// The library call right below the line.
    pub(crate) library_call: Option<String>,
    /// What most of the bytes are.
    pub(crate) category: String,
    /// `new`, `gone`, `grew`, `shrank`, or `same` where only blocks changed.
    pub(crate) fate: &'static str,
    /// Bytes before.
    pub(crate) bytes_before: u64,
    /// Bytes after.
    pub(crate) bytes_after: u64,
    /// Bytes after less bytes before.
    pub(crate) change: i64,
    /// Blocks before.
    pub(crate) blocks_before: u64,
    /// Blocks after.
    pub(crate) blocks_after: u64,
    /// Blocks after less blocks before.
    pub(crate) blocks_change: i64,
}

/// The view of a difference, its largest `limit` changes. `files` are those of both sides.
pub fn diff(difference: &Difference, files: [&str; 2], limit: usize) -> View {
    let [old, new] = files;
    let differing: Vec<&Change> = difference
        .changes
        .iter()
        .filter(|change| change.bytes() != 0 || change.blocks() != 0)
        .collect();
    let (shown, rest) = differing.split_at(limit.min(differing.len()));
    let (before, after) = (&difference.before, &difference.after);
    View::Diff(Box::new(DiffV1 {
        before: SideV1 {
            file: old.to_owned(),
            at: PointV1::of(&before.0),
            counters: CountersV1::of(&before.1),
            selected: TallyV1::of(&difference.selected_before),
        },
        after: SideV1 {
            file: new.to_owned(),
            at: PointV1::of(&after.0),
            counters: CountersV1::of(&after.1),
            selected: TallyV1::of(&difference.selected_after),
        },
        by: name(difference.by),
        lines: match difference.lines {
            Lines::Apart => "apart",
            Lines::Ignored => "ignored",
        },
        renamed_files: difference.renamed_files as u64,
        changes: shown.iter().map(|change| ChangeV1::of(change)).collect(),
        changes_left_out: rest.len() as u64,
        bytes_left_out: rest.iter().map(|change| change.bytes()).fold(0, i64::saturating_add),
        unchanged: difference.changes.len().saturating_sub(differing.len()) as u64,
    }))
}

impl ChangeV1 {
    fn of(change: &Change) -> ChangeV1 {
        let group = &change.group;
        ChangeV1 {
            label: group.label.clone(),
            place: group.place.as_ref().map(PlaceV1::of),
            library_call: group.library_call.clone(),
            category: group.category.clone(),
            fate: match change.fate() {
                Fate::New => "new",
                Fate::Gone => "gone",
                Fate::Grew => "grew",
                Fate::Shrank => "shrank",
                Fate::Same => "same",
            },
            bytes_before: change.before.bytes.0,
            bytes_after: change.after.bytes.0,
            change: change.bytes(),
            blocks_before: change.before.blocks,
            blocks_after: change.after.blocks,
            blocks_change: change.blocks(),
        }
    }
}

impl DiffV1 {
    pub(super) fn sections(&self) -> Vec<Section> {
        let mut sections = vec![Section::Headline(self.headline()), Section::Facts(self.facts())];
        sections.push(Section::Table(self.table()));
        if self.changes_left_out > 0 {
            let sign = if self.bytes_left_out < 0 { "-" } else { "+" };
            let bytes = Bytes(self.bytes_left_out.unsigned_abs());
            sections.push(Section::Note(format!(
                "{} left out, {sign}{bytes} in all; `--limit 0` shows all",
                counted(self.changes_left_out, "smaller change")
            )));
        }
        let has = |fate| self.changes.iter().any(|change| change.fate == fate);
        if self.lines == "apart" && self.before.file != self.after.file && has("new") && has("gone")
        {
            sections.push(Section::Note(
                "if the code was edited between the runs, `--ignore-lines` compares its functions"
                    .to_owned(),
            ));
        }
        if self.renamed_files > 0 {
            sections.push(Section::Note(format!(
                "{} of code: another path in the second snapshot, matched by its tail",
                counted(self.renamed_files, "file")
            )));
        }
        sections
    }

    fn headline(&self) -> String {
        let (before, after) = (&self.before, &self.after);
        let change = Bytes(after.selected.bytes.abs_diff(before.selected.bytes));
        let (what, than) = match after.selected.bytes.cmp(&before.selected.bytes) {
            std::cmp::Ordering::Less => (format!("{change} less is live"), "than"),
            std::cmp::Ordering::Equal => ("as much is live".to_owned(), "as"),
            std::cmp::Ordering::Greater => (format!("{change} more is live"), "than"),
        };
        let (now, then) = (after.at.words(), before.at.words());
        if before.file == after.file {
            format!("{what} {now} {than} {then}")
        } else {
            format!("{what} in {} ({now}) {than} in {} ({then})", after.file, before.file)
        }
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let (old, new) = (&self.before.counters, &self.after.counters);
        let mut facts = Vec::new();
        let mut fact = |name, before: u64, after: u64| {
            let text = format!("{} → {}", Bytes(before), Bytes(after));
            let change = Bytes(after.abs_diff(before));
            facts.push((
                name,
                match after.cmp(&before) {
                    std::cmp::Ordering::Less => format!("{text}, {change} less"),
                    std::cmp::Ordering::Equal => text,
                    std::cmp::Ordering::Greater => format!("{text}, {change} more"),
                },
            ));
        };
        fact("allocated", old.allocated, new.allocated);
        fact("active", old.active, new.active);
        fact("reserved", old.reserved, new.reserved);
        fact("cached", old.cached, new.cached);
        let selected = (self.before.selected.bytes, self.after.selected.bytes);
        if selected != (old.active, new.active) {
            fact("selected", selected.0, selected.1);
        }
        facts
    }

    fn table(&self) -> Table {
        let in_files = |name| Column { name, shown: Shown::InFiles };
        let rows = self.changes.iter().map(|change| {
            let label = match &change.place {
                Some(place) if self.by == "line" && change.label.ends_with(&place_end(place)) => {
                    Cell::Place(place.place(), change.library_call.clone())
                }
                _ => Cell::Text(change.label.clone()),
            };
            vec![
                Cell::Change(change.change),
                Cell::Bytes(Bytes(change.bytes_before)),
                Cell::Bytes(Bytes(change.bytes_after)),
                Cell::Text(change.fate.to_owned()),
                label,
                Cell::Count(change.blocks_before),
                Cell::Count(change.blocks_after),
                Cell::Text(change.category.clone()),
            ]
        });
        let title = if self.changes.is_empty() {
            "Nothing changed".to_owned()
        } else {
            format!("Live bytes by {}, largest change first", self.by)
        };
        Table {
            title,
            rows: rows.collect(),
            columns: vec![
                column("change"),
                column("before"),
                column("after"),
                column("fate"),
                column(self.by),
                in_files("blocks before"),
                in_files("blocks after"),
                in_files("category"),
            ],
            left_out: None,
        }
    }
}

/// `1 file`, `2,000 files`.
fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// What a label that names a line ends in.
fn place_end(place: &PlaceV1) -> String {
    format!(":{}", place.line)
}
