//! `lifetimes`: how long blocks live, how much comes and goes, whether freed blocks serve again.

use oomscope_model::Bytes;
use oomscope_snapshot::views::{Churn, Clock, GroupLives, LifetimeBucket, Lifetimes, SHORT_LIVED};
use schemars::JsonSchema;
use serde::Serialize;

use super::View;
use super::live::name;
use super::section::{Cell, Column, Section, Shown, Table, column, duration, grouped};
use super::wire::PointV1;
use crate::wire::PlaceV1;

/// How long blocks live.
#[derive(Serialize, JsonSchema)]
pub struct LifetimesV1 {
    /// What came after this moment is not looked at.
    pub(crate) at: PointV1,
    /// What lifetimes are counted in: `us` (microseconds), or `events` where times are unknown.
    pub(crate) unit: &'static str,
    /// What `churn` is per: `step`, `second`, or null where neither is known.
    pub(crate) churn_per: Option<&'static str>,
    /// Whole steps of the program that were seen; churn is over these alone.
    pub(crate) steps: u32,
    /// What blocks are summed by.
    pub(crate) by: &'static str,
    /// All selected blocks as one group.
    pub(crate) all: GroupLivesV1,
    /// Most bytes handed out first, at most `--limit`.
    pub(crate) groups: Vec<GroupLivesV1>,
    /// Groups that the limit left out.
    pub(crate) groups_left_out: u64,
    /// The bytes that they were handed.
    pub(crate) bytes_left_out: u64,
    /// The blocks that ended, by lifetime in powers of ten.
    pub(crate) histogram: Vec<BucketV1>,
    /// Blocks that are older than the recording: nobody knows how long they lived.
    pub(crate) older_blocks: u64,
    /// Their bytes.
    pub(crate) older_bytes: u64,
}

/// The lives of one group's blocks. All but `peak_live_bytes` is about blocks whose birth was
/// recorded.
#[derive(Serialize, JsonSchema)]
pub(crate) struct GroupLivesV1 {
    /// The key in words.
    pub(crate) label: String,
    /// The line of code, where the key is one.
    pub(crate) place: Option<PlaceV1>,
    /// Blocks handed out.
    pub(crate) allocations: u64,
    /// Bytes handed out.
    pub(crate) allocated_bytes: u64,
    /// The median lifetime of the blocks that ended, from being handed out to being given up; null
    /// when none did.
    pub(crate) median: Option<u64>,
    /// The lifetime that 95 % of them do not exceed.
    pub(crate) p95: Option<u64>,
    /// The longest of them.
    pub(crate) max: Option<u64>,
    /// Blocks still held at the moment.
    pub(crate) live_blocks: u64,
    /// Bytes still held at the moment.
    pub(crate) live_bytes: u64,
    /// Bytes handed out per `churn_per`.
    pub(crate) churn: Option<u64>,
    /// The most bytes held at once, blocks that are older than the recording included.
    pub(crate) peak_live_bytes: u64,
    /// Allocations whose address and rounded size are those of the selected block that was handed
    /// out at that address before.
    pub(crate) reused: u64,
    /// Those of them whose predecessor was of the same group.
    pub(crate) reused_own: u64,
    /// Allocations that got the very block which was the last of its size and stream to become
    /// free, as the first request of that size since.
    pub(crate) served_by_last_freed: u64,
    /// Bytes of blocks that were given up before 10 other blocks were handed out.
    pub(crate) short_lived_bytes: u64,
}

/// Blocks that lived for `from` and longer, but shorter than `below`.
#[derive(Serialize, JsonSchema)]
pub(crate) struct BucketV1 {
    /// At least this long.
    pub(crate) from: u64,
    /// Shorter than this; null for the last possible one.
    pub(crate) below: Option<u64>,
    /// Blocks.
    pub(crate) blocks: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
}

/// The view of lifetimes, its `limit` groups that were handed the most bytes.
pub fn lifetimes(lifetimes: &Lifetimes, limit: usize) -> View {
    let (shown, rest) = lifetimes.groups.split_at(limit.min(lifetimes.groups.len()));
    View::Lifetimes(Box::new(LifetimesV1 {
        at: PointV1::of(&lifetimes.point),
        unit: match lifetimes.clock {
            Clock::Micros => "us",
            Clock::Events => "events",
        },
        churn_per: match lifetimes.churn_per {
            Churn::Step => Some("step"),
            Churn::Second => Some("second"),
            Churn::Unknown => None,
        },
        steps: lifetimes.steps,
        by: name(lifetimes.by),
        all: GroupLivesV1::of(&lifetimes.all),
        groups: shown.iter().map(GroupLivesV1::of).collect(),
        groups_left_out: rest.len() as u64,
        bytes_left_out: rest.iter().map(|group| group.allocated).sum::<Bytes>().0,
        histogram: lifetimes.histogram.iter().map(BucketV1::of).collect(),
        older_blocks: lifetimes.older.0,
        older_bytes: lifetimes.older.1.0,
    }))
}

impl GroupLivesV1 {
    fn of(group: &GroupLives) -> GroupLivesV1 {
        GroupLivesV1 {
            label: group.label.clone(),
            place: group.place.as_ref().map(PlaceV1::of),
            allocations: group.allocations,
            allocated_bytes: group.allocated.0,
            median: group.ended.map(|(median, _, _)| median),
            p95: group.ended.map(|(_, p95, _)| p95),
            max: group.ended.map(|(_, _, max)| max),
            live_blocks: group.live,
            live_bytes: group.live_bytes.0,
            churn: group.churn.map(|bytes| bytes.0),
            peak_live_bytes: group.peak_live.0,
            reused: group.reused,
            reused_own: group.reused_own,
            served_by_last_freed: group.served_by_last_freed,
            short_lived_bytes: group.short_lived.0,
        }
    }

    fn label_cell(&self) -> Cell {
        match &self.place {
            Some(place) => Cell::Place(place.place(), None),
            None => Cell::Text(self.label.clone()),
        }
    }

    fn reused_share(&self) -> f64 {
        share(self.reused, self.allocations)
    }

    fn short_lived_share(&self) -> f64 {
        share(self.short_lived_bytes, self.allocated_bytes)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    Bytes(part).share_of(Bytes(whole))
}

impl BucketV1 {
    fn of(bucket: &LifetimeBucket) -> BucketV1 {
        BucketV1 {
            from: bucket.from,
            below: bucket.below,
            blocks: bucket.blocks,
            bytes: bucket.bytes.0,
        }
    }
}

impl LifetimesV1 {
    pub(super) fn sections(&self) -> Vec<Section> {
        let mut sections = vec![Section::Headline(self.headline()), Section::Facts(self.facts())];
        if self.all.allocations > 0 {
            sections.push(Section::Table(self.table()));
            sections.push(Section::Table(self.reuse_table()));
            sections.push(Section::Table(self.histogram_table()));
        } else {
            sections.push(Section::Note(
                "no allocation was recorded: nothing is known of how long blocks live".to_owned(),
            ));
        }
        if self.older_blocks > 0 {
            sections.push(Section::Note(format!(
                "{} blocks ({}) are older than the recording and count for the peak alone",
                grouped(self.older_blocks),
                Bytes(self.older_bytes)
            )));
        }
        sections
    }

    fn headline(&self) -> String {
        let all = &self.all;
        format!(
            "{} allocations of {} in all, {} held at most at once",
            grouped(all.allocations),
            Bytes(all.allocated_bytes),
            Bytes(all.peak_live_bytes)
        )
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let all = &self.all;
        let mut facts = Vec::new();
        if let (Some(median), Some(p95), Some(max)) = (all.median, all.p95, all.max) {
            let text = [median, p95, max].map(|lifetime| self.time(lifetime));
            let [median, p95, max] = text;
            facts.push(("lifetime", format!("median {median}, 95 % up to {p95}, longest {max}")));
        }
        if let (Some(churn), Some(per)) = (all.churn, self.churn_per) {
            let over = if self.steps > 0 {
                format!(" (over {} whole steps)", grouped(self.steps.into()))
            } else {
                String::new()
            };
            facts.push(("churn", format!("{} a {per}{over}", Bytes(churn))));
        }
        let live = format!("{} in {} blocks", Bytes(all.live_bytes), grouped(all.live_blocks));
        facts.push(("still live", format!("{live} {}", self.at.words())));
        let percent = |share: f64| super::text::percent(share);
        facts.push((
            "reuse",
            format!(
                "{} of allocations got the same address and size as the block there before; {} \
                 the block of their size that had last become free",
                percent(all.reused_share()),
                percent(share(all.served_by_last_freed, all.allocations))
            ),
        ));
        facts.push((
            "temporary",
            format!(
                "{} of bytes were given up before {SHORT_LIVED} other blocks were handed out",
                percent(all.short_lived_share())
            ),
        ));
        facts
    }

    fn time(&self, time: u64) -> String {
        if self.unit == "us" { duration(time) } else { format!("{} events", grouped(time)) }
    }

    fn time_cell(&self, time: Option<u64>) -> Cell {
        match time {
            None => Cell::Unknown,
            Some(time) if self.unit == "us" => Cell::Micros(time),
            Some(time) => Cell::Count(time),
        }
    }

    fn table(&self) -> Table {
        let in_files = |name| Column { name, shown: Shown::InFiles };
        let bytes = |bytes: u64| Cell::Bytes(Bytes(bytes));
        let rows = self.groups.iter().map(|group| {
            vec![
                bytes(group.allocated_bytes),
                Cell::Count(group.allocations),
                self.time_cell(group.median),
                self.time_cell(group.p95),
                self.time_cell(group.max),
                group.label_cell(),
                Cell::Text(self.unit.to_owned()),
                Cell::Count(group.live_blocks),
                bytes(group.live_bytes),
                group.churn.map_or(Cell::Unknown, bytes),
                Cell::Text(self.churn_per.unwrap_or_default().to_owned()),
                bytes(group.peak_live_bytes),
                Cell::Count(group.reused),
                Cell::Count(group.reused_own),
                Cell::Count(group.served_by_last_freed),
                bytes(group.short_lived_bytes),
            ]
        });
        let unit = if self.unit == "us" { "" } else { ", lifetimes in events" };
        Table {
            title: format!("Lifetimes by {}, most bytes handed out first{unit}", self.by),
            rows: rows.collect(),
            columns: vec![
                column("allocated"),
                column("blocks"),
                column("median"),
                column("p95"),
                column("max"),
                column(self.by),
                in_files("unit"),
                in_files("live blocks"),
                in_files("live bytes"),
                in_files("churn"),
                in_files("churn per"),
                in_files("peak live"),
                in_files("reused"),
                in_files("reused own"),
                in_files("served by last freed"),
                in_files("short lived"),
            ],
            left_out: (self.groups_left_out > 0)
                .then_some((self.groups_left_out, Bytes(self.bytes_left_out))),
        }
    }

    fn reuse_table(&self) -> Table {
        let bytes = |bytes: u64| Cell::Bytes(Bytes(bytes));
        let rows = self.groups.iter().map(|group| {
            vec![
                group.churn.map_or(Cell::Unknown, bytes),
                bytes(group.peak_live_bytes),
                bytes(group.live_bytes),
                Cell::Share(group.reused_share()),
                Cell::Share(group.short_lived_share()),
                group.label_cell(),
            ]
        });
        Table {
            title: "What comes and goes, what stays, what is used again".to_owned(),
            rows: rows.collect(),
            columns: vec![
                column(match self.churn_per {
                    Some("step") => "per step",
                    Some(_) => "per second",
                    None => "churn",
                }),
                column("peak live"),
                column("still live"),
                column("reused"),
                column("temporary"),
                column(self.by),
            ],
            left_out: None,
        }
    }

    fn histogram_table(&self) -> Table {
        let most = self.histogram.iter().map(|bucket| bucket.blocks).max().unwrap_or(0);
        let rows = self.histogram.iter().map(|bucket| {
            let range = match (bucket.from, bucket.below) {
                (0, Some(below)) => format!("under {}", self.short(below)),
                (from, Some(below)) => format!("{} to {}", self.short(from), self.short(below)),
                (from, None) => format!("over {}", self.short(from)),
            };
            vec![
                Cell::Text(range),
                Cell::Bar(share(bucket.blocks, most)),
                Cell::Count(bucket.blocks),
                Cell::Bytes(Bytes(bucket.bytes)),
            ]
        });
        Table {
            title: "Lifetimes of the blocks that ended".to_owned(),
            rows: rows.collect(),
            columns: vec![
                column("lived"),
                Column { name: "", shown: Shown::ToPeople },
                column("blocks"),
                column("bytes"),
            ],
            left_out: None,
        }
    }

    /// A power of ten without decimals.
    fn short(&self, time: u64) -> String {
        match (self.unit, time) {
            ("us", 0..1_000) => format!("{time} us"),
            ("us", 1_000..1_000_000) => format!("{} ms", time / 1_000),
            ("us", _) => format!("{} s", grouped(time / 1_000_000)),
            _ => format!("{} events", grouped(time)),
        }
    }
}
