//! `peak` and `at`: who holds memory at a moment.

use oomscope_model::Bytes;
use oomscope_snapshot::views::{GroupBy, LiveSet};
use schemars::JsonSchema;
use serde::Serialize;

use super::View;
use super::section::{Cell, Column, Section, Shown, Table, column};
use super::wire::{CountersV1, GroupV1, PointV1, TallyV1};

/// Who holds memory at a moment.
#[derive(Serialize, JsonSchema)]
pub struct LiveV1 {
    /// The moment.
    pub(crate) at: PointV1,
    /// The device's counters then, filters aside.
    pub(crate) counters: CountersV1,
    /// The sum of the blocks that the filters keep.
    pub(crate) selected: TallyV1,
    /// What the blocks are summed by.
    pub(crate) by: &'static str,
    /// Most bytes first, at most `--limit`.
    pub(crate) groups: Vec<GroupV1>,
    /// What the limit left out.
    pub(crate) left_out: LeftOutV1,
}

/// Groups that the limit left out.
#[derive(Clone, Copy, Serialize, JsonSchema)]
pub(crate) struct LeftOutV1 {
    /// Their number.
    pub(crate) groups: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
}

/// The view of a live set, its largest `limit` groups.
pub fn live(set: &LiveSet, limit: usize) -> View {
    let (groups, left_out) = limited(&set.groups, limit);
    View::Live(Box::new(LiveV1 {
        at: PointV1::of(&set.point),
        counters: CountersV1::of(&set.counters),
        selected: TallyV1::of(&set.selected),
        by: name(set.by),
        groups,
        left_out,
    }))
}

/// The first `limit` groups, and what they leave out.
pub(super) fn limited(
    groups: &[oomscope_snapshot::views::Group],
    limit: usize,
) -> (Vec<GroupV1>, LeftOutV1) {
    let (shown, rest) = groups.split_at(limit.min(groups.len()));
    let left_out = LeftOutV1 {
        groups: rest.len() as u64,
        bytes: rest.iter().map(|group| group.tally.bytes).sum::<Bytes>().0,
    };
    (shown.iter().map(GroupV1::of).collect(), left_out)
}

impl LeftOutV1 {
    pub(super) fn for_table(self) -> Option<(u64, Bytes)> {
        (self.groups > 0).then_some((self.groups, Bytes(self.bytes)))
    }
}

impl LiveV1 {
    pub(super) fn sections(&self) -> Vec<Section> {
        let counters = &self.counters;
        let mut sections = vec![Section::Headline(counters.headline(&self.at))];
        if self.selected.bytes != counters.active {
            sections.push(Section::Note(format!(
                "the filters keep {} in {} blocks",
                Bytes(self.selected.bytes),
                self.selected.blocks
            )));
        }
        let title = format!(
            "Live bytes by {} · {} asked for, {} lost to rounding",
            self.by,
            Bytes(self.selected.requested),
            Bytes(self.selected.wasted)
        );
        sections.push(Section::Table(groups_table(
            title,
            self.by,
            &self.groups,
            self.selected.bytes,
            self.left_out,
        )));
        if self.by == "category" {
            let reasons = self.groups.iter().filter_map(|group| {
                Some((group.label.clone(), group.reasons.first()?.words.clone()))
            });
            sections.push(Section::Reasons("Why".to_owned(), reasons.collect()));
        }
        sections
    }
}

/// The table of groups that `peak`, `at` and `summary` share.
pub(super) fn groups_table(
    title: String,
    by: &'static str,
    groups: &[GroupV1],
    whole: u64,
    left_out: LeftOutV1,
) -> Table {
    let in_files = |name| Column { name, shown: Shown::InFiles };
    let rows = groups.iter().map(|group| {
        let tally = &group.tally;
        let share = Bytes(tally.bytes).share_of(Bytes(whole));
        let label = match &group.place {
            Some(place) if by == "line" => Cell::Place(place.place(), group.library_call.clone()),
            _ if matches!(by, "stack" | "function" | "module") => Cell::Calls(group.label.clone()),
            _ => Cell::Text(group.label.clone()),
        };
        let event = |event: Option<u32>| event.map_or(Cell::Unknown, |it| Cell::Count(it.into()));
        vec![
            Cell::Bytes(Bytes(tally.bytes)),
            Cell::Bar(share),
            Cell::Share(share),
            Cell::Count(tally.blocks),
            label,
            Cell::Text(group.category.clone()),
            Cell::Bytes(Bytes(tally.requested)),
            Cell::Bytes(Bytes(tally.wasted)),
            event(tally.oldest_event),
            event(tally.youngest_event),
            group.reasons.first().map_or(Cell::Unknown, |reason| Cell::Text(reason.words.clone())),
        ]
    });
    Table {
        title,
        rows: rows.collect(),
        columns: vec![
            column("bytes"),
            Column { name: "", shown: Shown::ToPeople },
            column("share"),
            column("blocks"),
            column(by),
            Column {
                name: "mostly",
                shown: if by == "category" { Shown::InFiles } else { Shown::Everywhere },
            },
            in_files("requested"),
            in_files("wasted"),
            in_files("oldest event"),
            in_files("youngest event"),
            in_files("why"),
        ],
        left_out: left_out.for_table(),
    }
}

/// What blocks are summed by, as the command line spells it.
pub(super) fn name(by: GroupBy) -> &'static str {
    match by {
        GroupBy::Line => "line",
        GroupBy::Function => "function",
        GroupBy::File => "file",
        GroupBy::Module => "module",
        GroupBy::Stack => "stack",
        GroupBy::Category => "category",
        GroupBy::Phase => "phase",
        GroupBy::Size => "size",
        GroupBy::Age => "age",
        GroupBy::Stream => "stream",
        GroupBy::Pool => "pool",
    }
}
