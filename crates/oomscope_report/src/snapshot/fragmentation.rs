//! `fragmentation`: what is reserved and cannot be used, and what keeps it.

use oomscope_model::Bytes;
use oomscope_snapshot::views::{
    FailedRequest, Fragmentation, FragmentationVerdict, FreePool, NotTheCause, Pin, PinnedBy,
    SizeClass,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::View;
use super::live::LeftOutV1;
use super::section::{Cell, Column, Section, Shown, Table, column, grouped};
use super::text::percent;
use super::wire::{CountersV1, PointV1};
use crate::wire::PlaceV1;

/// What is reserved and cannot be used.
#[derive(Serialize, JsonSchema)]
pub struct FragmentationV1 {
    /// The moment.
    pub(crate) at: PointV1,
    /// `cause`, `part`, `grows`, `not-the-cause` or `no-failure`.
    pub(crate) verdict: &'static str,
    /// Whether the filters leave pools or streams out; the verdict is of all of them.
    pub(crate) is_narrowed: bool,
    /// The event of a failure before the moment, when the moment is none.
    pub(crate) failed_before: Option<u32>,
    /// The verdict in a sentence.
    pub(crate) headline: String,
    /// The device's counters then, filters aside.
    pub(crate) counters: CountersV1,
    /// The request that failed; null when the moment is no failure.
    pub(crate) request: Option<FailedRequestV1>,
    /// The segments that the filters keep, summed.
    pub(crate) total: FreePoolV1,
    /// By pool and stream, most reserved first.
    pub(crate) pools: Vec<FreePoolV1>,
    /// Free stretches by size, smallest first.
    pub(crate) free_stretches: Vec<SizeClassV1>,
    /// Live blocks by size, smallest first.
    pub(crate) rounding: Vec<SizeClassV1>,
    /// Number of segments that few bytes keep.
    pub(crate) pinned_segments: u64,
    /// Their bytes: released if the blocks in them were gone or elsewhere.
    pub(crate) pinned: u64,
    /// The bytes of the blocks that keep them.
    pub(crate) pinning: u64,
    /// Those segments by the line that made the blocks, most unused bytes first.
    pub(crate) pinned_by: Vec<PinnedByV1>,
    /// The segments themselves, at most `--limit`.
    pub(crate) pins: Vec<PinV1>,
    /// Lines that the limit left out.
    pub(crate) left_out: LeftOutV1,
}

/// A request that failed, in bytes.
#[derive(Clone, Copy, Serialize, JsonSchema)]
pub(crate) struct FailedRequestV1 {
    /// Asked for, after rounding.
    pub(crate) size: u64,
    /// The segment that it would have needed.
    pub(crate) segment: u64,
    /// Free in the default pools together.
    pub(crate) cached: u64,
    /// The largest free stretch of its pool and stream.
    pub(crate) largest_usable: u64,
    /// Free on the device.
    pub(crate) device_free: u64,
    /// Whether it would have fitted into what was free in the pools and on the device.
    pub(crate) fits_packed: bool,
}

/// Segments of a pool and stream, in bytes.
#[derive(Clone, Serialize, JsonSchema)]
pub(crate) struct FreePoolV1 {
    /// The pool in words.
    pub(crate) pool: String,
    /// CUDA stream handle.
    pub(crate) stream: u64,
    /// Number of segments.
    pub(crate) segments: u64,
    /// Held from the device.
    pub(crate) reserved: u64,
    /// In use.
    pub(crate) active: u64,
    /// Not in use.
    pub(crate) free: u64,
    /// Number of free stretches.
    pub(crate) stretches: u64,
    /// The largest: the largest request that needs no new segment.
    pub(crate) largest_free: u64,
    /// Share of the free bytes outside the largest stretch.
    pub(crate) external: f64,
    /// Free in partly used segments, outside the whole pages of expandable ones.
    pub(crate) stranded: u64,
    /// What `torch.cuda.empty_cache()` gives back now.
    pub(crate) releasable: u64,
}

/// Sizes above half of `up_to`, up to it.
#[derive(Clone, Copy, Serialize, JsonSchema)]
pub(crate) struct SizeClassV1 {
    /// A power of two, in bytes.
    pub(crate) up_to: u64,
    /// How many.
    pub(crate) count: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Bytes that rounding added.
    pub(crate) wasted: u64,
}

/// Segments that one line's blocks keep.
#[derive(Clone, Serialize, JsonSchema)]
pub(crate) struct PinnedByV1 {
    /// The line; null without a frame of the user's.
    pub(crate) place: Option<PlaceV1>,
    /// What the blocks are.
    pub(crate) category: &'static str,
    /// Number of segments.
    pub(crate) segments: u64,
    /// Their bytes.
    pub(crate) total: u64,
    /// The bytes of the blocks.
    pub(crate) used: u64,
    /// Age of the oldest block in events; null when older than the trace.
    pub(crate) oldest_events: Option<u32>,
}

/// A segment that few bytes keep.
#[derive(Clone, Serialize, JsonSchema)]
pub(crate) struct PinV1 {
    /// Device address.
    pub(crate) segment: u64,
    /// Its bytes.
    pub(crate) total: u64,
    /// The pool in words.
    pub(crate) pool: String,
    /// The bytes of the blocks.
    pub(crate) used: u64,
    /// Their number.
    pub(crate) blocks: u64,
    /// The line that made the largest of them.
    pub(crate) place: Option<PlaceV1>,
    /// What it is.
    pub(crate) category: &'static str,
    /// Age of the oldest block in events; null when older than the trace.
    pub(crate) oldest_events: Option<u32>,
}

/// The view of a layout, at most `limit` lines and segments.
pub fn fragmentation(found: &Fragmentation, limit: usize) -> View {
    let (lines, rest) = found.pinned_by.split_at(limit.min(found.pinned_by.len()));
    View::Fragmentation(Box::new(FragmentationV1 {
        at: PointV1::of(&found.point),
        verdict: match found.verdict {
            FragmentationVerdict::Cause => "cause",
            FragmentationVerdict::Part => "part",
            FragmentationVerdict::Grows => "grows",
            FragmentationVerdict::Not(_) => "not-the-cause",
            FragmentationVerdict::NoFailure => "no-failure",
        },
        is_narrowed: found.is_narrowed,
        failed_before: found.failed_before.map(|event| event.0),
        headline: if found.is_narrowed && found.request.is_some() {
            format!("over all pools and streams: {}", headline(found))
        } else {
            headline(found)
        },
        counters: CountersV1::of(&found.counters),
        request: found.request.map(FailedRequestV1::of),
        total: FreePoolV1::of(&found.total),
        pools: found.pools.iter().map(FreePoolV1::of).collect(),
        free_stretches: found.free.iter().map(SizeClassV1::of).collect(),
        rounding: found.rounding.iter().map(SizeClassV1::of).collect(),
        pinned_segments: found.pins.len() as u64,
        pinned: found.pins.iter().map(|pin| pin.total).sum::<Bytes>().0,
        pinning: found.pins.iter().map(|pin| pin.used).sum::<Bytes>().0,
        pinned_by: lines.iter().map(PinnedByV1::of).collect(),
        pins: found.pins.iter().take(limit).map(PinV1::of).collect(),
        left_out: LeftOutV1 {
            groups: rest.len() as u64,
            bytes: rest.iter().map(|line| line.total).sum::<Bytes>().0,
        },
    }))
}

impl FailedRequestV1 {
    fn of(request: FailedRequest) -> FailedRequestV1 {
        FailedRequestV1 {
            size: request.size.0,
            segment: request.segment.0,
            cached: request.cached.0,
            largest_usable: request.largest_usable.0,
            device_free: request.device_free.0,
            fits_packed: request.cached + request.device_free >= request.size,
        }
    }
}

impl FreePoolV1 {
    fn of(pool: &FreePool) -> FreePoolV1 {
        FreePoolV1 {
            pool: pool.name.clone(),
            stream: pool.stream,
            segments: pool.segments,
            reserved: pool.reserved.0,
            active: pool.active.0,
            free: pool.free.0,
            stretches: pool.stretches,
            largest_free: pool.largest_free.0,
            external: pool.external(),
            stranded: pool.stranded.0,
            releasable: pool.releasable.0,
        }
    }
}

impl SizeClassV1 {
    fn of(class: &SizeClass) -> SizeClassV1 {
        SizeClassV1 {
            up_to: class.top.0,
            count: class.count,
            bytes: class.bytes.0,
            wasted: class.wasted.0,
        }
    }
}

impl PinnedByV1 {
    fn of(line: &PinnedBy) -> PinnedByV1 {
        PinnedByV1 {
            place: line.place.as_ref().map(PlaceV1::of),
            category: line.role.name(),
            segments: line.segments,
            total: line.total.0,
            used: line.used.0,
            oldest_events: line.oldest_events,
        }
    }
}

impl PinV1 {
    fn of(pin: &Pin) -> PinV1 {
        PinV1 {
            segment: pin.segment,
            total: pin.total.0,
            pool: pin.pool.clone(),
            used: pin.used.0,
            blocks: pin.blocks,
            place: pin.place.as_ref().map(PlaceV1::of),
            category: pin.role.name(),
            oldest_events: pin.oldest_events,
        }
    }
}

fn headline(found: &Fragmentation) -> String {
    let Some(request) = found.request else {
        let earlier = found.failed_before.map_or_else(String::new, |event| {
            let event = grouped(event.0.into());
            format!(" (a request failed at event {event}; pass `--at oom`)")
        });
        return format!(
            "no request failed here{earlier}: {} of {} reserved lie free, {} of it stranded in used segments",
            found.total.free, found.total.reserved, found.total.stranded
        );
    };
    let FailedRequest { size, segment, cached, largest_usable, device_free } = request;
    let share = percent(cached.share_of(found.counters.reserved));
    match found.verdict {
        FragmentationVerdict::Cause => format!(
            "fragmentation is the cause: {size} failed while {cached} ({share} of what is \
             reserved) lay free in pieces of at most {largest_usable}, and {device_free} on the \
             device"
        ),
        FragmentationVerdict::Part => format!(
            "fragmentation is not the whole cause: packed, {cached} cached and {device_free} on \
             the device would have held {size} this time, but only {share} of what is reserved \
             lay free"
        ),
        FragmentationVerdict::Grows => format!(
            "fragmentation is not the cause: packed, {cached} cached and {device_free} on the \
             device would have held {size} this time, but memory grows from step to step"
        ),
        FragmentationVerdict::NoFailure => "no request failed here".to_owned(),
        FragmentationVerdict::Not(why) => match why {
            NotTheCause::TooLittleFree => format!(
                "fragmentation is not the cause: even packed, {cached} cached and {device_free} \
                 on the device do not hold {size}"
            ),
            NotTheCause::DeviceHadRoom => format!(
                "fragmentation is not the cause: the device had {device_free} free for a segment \
                 of {segment}"
            ),
            NotTheCause::StretchFitted => format!(
                "fragmentation is not the cause: a free stretch of {largest_usable} was there for \
                 {size}"
            ),
            NotTheCause::Expandable => format!(
                "fragmentation is not the cause: expandable segments move their pages, and \
                 {size} still did not fit"
            ),
        },
    }
}

impl FragmentationV1 {
    pub(super) fn sections(&self) -> Vec<Section> {
        let mut sections = vec![
            Section::Headline(format!("{} {}", self.headline, self.at.words())),
            Section::Facts(self.facts()),
            Section::Table(self.pools_table()),
            Section::Table(classes_table(
                "Free stretches by size",
                &self.free_stretches,
                self.total.free,
            )),
        ];
        if !self.rounding.is_empty() {
            sections.push(Section::Table(rounding_table(&self.rounding)));
        }
        if !self.pinned_by.is_empty() {
            sections.push(Section::Table(self.pins_table()));
        }
        sections
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let total = &self.total;
        let mut facts = vec![
            (
                "free",
                format!(
                    "{} of {} reserved, in {}; {} outside the largest",
                    Bytes(total.free),
                    Bytes(total.reserved),
                    counted(total.stretches, "stretch", "stretches"),
                    percent(self.pools_external())
                ),
            ),
            ("largest", format!("{} can be had without a new segment", Bytes(total.largest_free))),
            (
                "stranded",
                format!("{} free in segments that are partly used", Bytes(total.stranded)),
            ),
            ("give back", format!("`empty_cache()` would release {} now", Bytes(total.releasable))),
        ];
        if self.pinned_segments > 0 {
            facts.push((
                "pinned",
                format!(
                    "{} of {} {} kept by {} of blocks",
                    counted(self.pinned_segments, "segment", "segments"),
                    Bytes(self.pinned),
                    if self.pinned_segments == 1 { "is" } else { "are" },
                    Bytes(self.pinning)
                ),
            ));
        }
        facts
    }

    fn pools_external(&self) -> f64 {
        self.total.external
    }

    fn pools_table(&self) -> Table {
        let files = |name| Column { name, shown: Shown::InFiles };
        let rows = self.pools.iter().map(|pool| {
            vec![
                Cell::Text(pool.pool.clone()),
                Cell::Text(format!("{:#x}", pool.stream)),
                Cell::Bytes(Bytes(pool.reserved)),
                Cell::Bytes(Bytes(pool.free)),
                Cell::Bytes(Bytes(pool.largest_free)),
                Cell::Share(pool.external),
                Cell::Bytes(Bytes(pool.releasable)),
                Cell::Count(pool.segments),
                Cell::Count(pool.stretches),
                Cell::Bytes(Bytes(pool.active)),
                Cell::Bytes(Bytes(pool.stranded)),
            ]
        });
        Table {
            title: "Pools".to_owned(),
            rows: rows.collect(),
            columns: vec![
                column("pool"),
                column("stream"),
                column("reserved"),
                column("free"),
                column("largest"),
                column("external"),
                column("give back"),
                files("segments"),
                files("stretches"),
                files("active"),
                files("stranded"),
            ],
            left_out: None,
        }
    }

    fn pins_table(&self) -> Table {
        let rows = self.pinned_by.iter().map(|line| {
            let unknown = || Cell::Text("no frame of the user's".to_owned());
            let age = line.oldest_events.map_or_else(
                || "before the trace".to_owned(),
                |events| counted(events.into(), "event", "events"),
            );
            vec![
                Cell::Bytes(Bytes(line.used)),
                Cell::Bytes(Bytes(line.total)),
                Cell::Count(line.segments),
                Cell::Text(line.category.to_owned()),
                Cell::Text(age),
                line.place.as_ref().map_or_else(unknown, |place| Cell::Place(place.place(), None)),
            ]
        });
        Table {
            title: "What pins segments".to_owned(),
            rows: rows.collect(),
            columns: vec![
                column("blocks of"),
                column("pin"),
                column("segments"),
                column("mostly"),
                column("oldest"),
                column("line"),
            ],
            left_out: self.left_out.for_table(),
        }
    }
}

/// `1 stretch`, `1,054 stretches`.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

fn classes_table(title: &str, classes: &[SizeClassV1], whole: u64) -> Table {
    let rows = classes.iter().map(|class| {
        let share = Bytes(class.bytes).share_of(Bytes(whole));
        vec![
            Cell::Bytes(Bytes(class.up_to)),
            Cell::Count(class.count),
            Cell::Bytes(Bytes(class.bytes)),
            Cell::Bar(share),
            Cell::Share(share),
        ]
    });
    Table {
        title: title.to_owned(),
        rows: rows.collect(),
        columns: vec![
            column("up to"),
            column("stretches"),
            column("bytes"),
            Column { name: "", shown: Shown::ToPeople },
            column("share"),
        ],
        left_out: None,
    }
}

fn rounding_table(classes: &[SizeClassV1]) -> Table {
    let rows = classes.iter().map(|class| {
        vec![
            Cell::Bytes(Bytes(class.up_to)),
            Cell::Count(class.count),
            Cell::Bytes(Bytes(class.bytes)),
            Cell::Bytes(Bytes(class.wasted)),
            Cell::Share(Bytes(class.wasted).share_of(Bytes(class.bytes))),
        ]
    });
    let wasted: Bytes = classes.iter().map(|class| Bytes(class.wasted)).sum();
    Table {
        title: format!("Live blocks by size · {wasted} lost to rounding"),
        rows: rows.collect(),
        columns: vec![
            column("up to"),
            column("blocks"),
            column("bytes"),
            column("lost"),
            column("share"),
        ],
        left_out: None,
    }
}
