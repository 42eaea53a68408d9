//! What changed between two moments, of one recording or of two.

use oomscope_model::MemoryState;
use rustc_hash::FxHashMap;

use super::grouping::{Group, GroupBy, Lines, Spelling, Tally, spelt_groups};
use super::moment::Point;
use super::same_files::same_files;
use super::selection::Selection;
use crate::analysis::Recording;

/// A moment of a recording, and what of it is compared.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// The recording.
    pub recording: &'a Recording<'a>,
    /// The moment.
    pub point: Point,
    /// The selection.
    pub selection: &'a Selection,
}

/// What became of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has blocks after only.
    New,
    /// It has blocks before only.
    Gone,
    /// It has more bytes after.
    Grew,
    /// It has fewer bytes after.
    Shrank,
    /// It has as many bytes.
    Same,
}

/// One group, before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The group as it is after, or, when it is gone, as it was before; its tally is that one's.
    pub group: Group,
    /// The blocks before.
    pub before: Tally,
    /// The blocks after.
    pub after: Tally,
}

impl Change {
    /// Bytes after less bytes before.
    pub fn bytes(&self) -> i64 {
        signed(self.after.bytes.0, self.before.bytes.0)
    }

    /// Blocks after less blocks before.
    pub fn blocks(&self) -> i64 {
        signed(self.after.blocks, self.before.blocks)
    }

    /// What became of it.
    pub fn fate(&self) -> Fate {
        match (self.before.blocks, self.after.blocks) {
            (0, _) => Fate::New,
            (_, 0) => Fate::Gone,
            _ => match self.after.bytes.cmp(&self.before.bytes) {
                std::cmp::Ordering::Less => Fate::Shrank,
                std::cmp::Ordering::Equal => Fate::Same,
                std::cmp::Ordering::Greater => Fate::Grew,
            },
        }
    }
}

/// What changed between two moments.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The moment before, and the device's counters then.
    pub before: (Point, MemoryState),
    /// The moment after, and the device's counters then.
    pub after: (Point, MemoryState),
    /// The selected blocks before.
    pub selected_before: Tally,
    /// The selected blocks after.
    pub selected_after: Tally,
    /// What blocks are summed by.
    pub by: GroupBy,
    /// Whether lines of one function were told apart.
    pub lines: Lines,
    /// Files that were matched under another name.
    pub renamed_files: usize,
    /// All groups, the largest change first, up or down.
    pub changes: Vec<Change>,
}

/// Compares two moments. Where the sides are of different files, a file of code is the same when
/// its path is, or when it differs in its root folder alone.
pub fn difference(before: Side<'_>, after: Side<'_>, by: GroupBy, lines: Lines) -> Difference {
    let files = if std::ptr::eq(before.recording.snapshot(), after.recording.snapshot()) {
        FxHashMap::default()
    } else {
        same_files(&before.recording.snapshot().stacks, &after.recording.snapshot().stacks)
    };
    let renamed_files = files.len();
    let old = Spelling { files, lines };
    let new = Spelling { files: FxHashMap::default(), lines };
    let (state_before, selected_before, groups_before) = groups(before, by, &old);
    let (state_after, selected_after, groups_after) = groups(after, by, &new);
    let mut changes: FxHashMap<String, Change> = FxHashMap::default();
    for group in groups_after {
        let (before, after) = (Tally::default(), group.tally);
        changes.insert(group.label.clone(), Change { group, before, after });
    }
    for group in groups_before {
        let before = group.tally;
        let change = changes.entry(group.label.clone());
        change.and_modify(|change| change.before = before).or_insert_with(|| Change {
            group,
            before,
            after: Tally::default(),
        });
    }
    let mut changes: Vec<Change> = changes.into_values().collect();
    changes.sort_by(|a, b| {
        let order = b.bytes().unsigned_abs().cmp(&a.bytes().unsigned_abs());
        order
            .then_with(|| b.after.bytes.cmp(&a.after.bytes))
            .then_with(|| a.group.label.cmp(&b.group.label))
    });
    Difference {
        before: (before.point, state_before),
        after: (after.point, state_after),
        selected_before,
        selected_after,
        by,
        lines,
        renamed_files,
        changes,
    }
}

fn groups(side: Side<'_>, by: GroupBy, spelling: &Spelling) -> (MemoryState, Tally, Vec<Group>) {
    let state = side.recording.state(side.point.at);
    let at = side.point.at;
    let blocks: Vec<_> = side.selection.live(&state).collect();
    let sum = Tally::of(blocks.iter().copied());
    let groups = spelt_groups(side.recording, at, &state, blocks, by, spelling);
    (state.counters, sum, groups)
}

/// The difference of two sizes; both are far below `i64::MAX`, or it saturates.
fn signed(after: u64, before: u64) -> i64 {
    let distance = i64::try_from(after.abs_diff(before)).unwrap_or(i64::MAX);
    if after < before { -distance } else { distance }
}
