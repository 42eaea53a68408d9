//! `segments`: the memory map at a moment.

use oomscope_model::{BlockState, Bytes};
use oomscope_snapshot::views::{MappedBlock, MappedSegment, PoolTotal, SegmentMap, SegmentOrder};
use schemars::JsonSchema;
use serde::Serialize;

use super::View;
use super::section::{Cell, Column, Section, Shown, Table, column, duration};
use super::text::percent;
use super::wire::{CountersV1, PointV1};
use crate::TextStyle;
use crate::wire::PlaceV1;

/// The memory map of a device.
#[derive(Serialize, JsonSchema)]
pub struct SegmentsV1 {
    /// The moment.
    pub(crate) at: PointV1,
    /// The device's counters then, filters aside.
    pub(crate) counters: CountersV1,
    /// The order of the segments: `address`, `size` or `waste`.
    pub(crate) sort: &'static str,
    /// The segments, at most `--limit`.
    pub(crate) segments: Vec<SegmentV1>,
    /// Segments that the limit left out.
    pub(crate) segments_left_out: u64,
    /// Their bytes.
    pub(crate) bytes_left_out: u64,
    /// All segments summed by pool and stream, most reserved first.
    pub(crate) totals: Vec<TotalV1>,
    /// Whether blocks were asked for.
    #[serde(skip)]
    pub(crate) shows_blocks: bool,
    /// Whether blocks were selected by their stacks.
    #[serde(skip)]
    pub(crate) has_selection: bool,
}

/// A segment, or a mapped range of an expandable one.
#[derive(Serialize, JsonSchema)]
pub(crate) struct SegmentV1 {
    /// Device address.
    pub(crate) address: u64,
    /// Bytes held from the device.
    pub(crate) size: u64,
    /// CUDA stream handle.
    pub(crate) stream: u64,
    /// The pool in words.
    pub(crate) pool: String,
    /// Whether it grows by mapping pages.
    pub(crate) expandable: bool,
    /// In blocks that tensors hold, in bytes.
    pub(crate) allocated: u64,
    /// In blocks that wait for a stream.
    pub(crate) pending_free: u64,
    /// Between blocks.
    pub(crate) free: u64,
    /// Free bytes that cannot go back to the device while the segment's blocks live.
    pub(crate) waste: u64,
    /// The largest stretch between blocks.
    pub(crate) largest_hole: u64,
    /// Number of stretches between blocks.
    pub(crate) holes: u64,
    /// Address space of the same expandable segment between it and the next mapped range.
    pub(crate) unmapped_after: Option<u64>,
    /// Its blocks and holes by address; empty unless `--blocks`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) blocks: Vec<BlockV1>,
    /// The same, for pictures.
    #[serde(skip)]
    pub(crate) drawn: Vec<BlockV1>,
}

/// A stretch of a segment.
#[derive(Clone, Serialize, JsonSchema)]
pub(crate) struct BlockV1 {
    /// Device address.
    pub(crate) address: u64,
    /// Bytes.
    pub(crate) size: u64,
    /// Bytes asked for; null for a free stretch.
    pub(crate) requested: Option<u64>,
    /// `allocated`, `pending-free` or `free`.
    pub(crate) state: &'static str,
    /// Whether the filters keep it.
    pub(crate) selected: bool,
    /// What it most likely is; null for a free stretch.
    pub(crate) category: Option<&'static str>,
    /// The line that made it.
    pub(crate) place: Option<PlaceV1>,
    /// The library call right below the line.
    pub(crate) library_call: Option<String>,
    /// The event that made it; null when older than the trace.
    pub(crate) event: Option<u32>,
    /// Microseconds since then; null where not recorded.
    pub(crate) age_us: Option<u64>,
}

/// Segments of one pool and stream.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TotalV1 {
    /// The pool in words.
    pub(crate) pool: String,
    /// CUDA stream handle.
    pub(crate) stream: u64,
    /// Number of segments.
    pub(crate) segments: u64,
    /// Their bytes.
    pub(crate) reserved: u64,
    /// In blocks that tensors hold.
    pub(crate) allocated: u64,
    /// In blocks that wait for a stream.
    pub(crate) pending_free: u64,
    /// Between blocks.
    pub(crate) free: u64,
    /// The largest stretch between blocks.
    pub(crate) largest_hole: u64,
}

/// Whether blocks are listed one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    /// Each.
    Listed,
    /// Drawn only.
    Drawn,
}

/// The view of a map, its first `limit` segments.
pub fn segments(map: &SegmentMap, limit: usize, blocks: Blocks, has_selection: bool) -> View {
    let (shown, rest) = map.segments.split_at(limit.min(map.segments.len()));
    View::Segments(Box::new(SegmentsV1 {
        at: PointV1::of(&map.point),
        counters: CountersV1::of(&map.counters),
        sort: match map.order {
            SegmentOrder::Address => "address",
            SegmentOrder::Size => "size",
            SegmentOrder::Waste => "waste",
        },
        segments: shown.iter().map(|segment| SegmentV1::of(segment, blocks)).collect(),
        segments_left_out: rest.len() as u64,
        bytes_left_out: rest.iter().map(|segment| segment.range.total).sum::<Bytes>().0,
        totals: map.totals.iter().map(TotalV1::of).collect(),
        shows_blocks: blocks == Blocks::Listed,
        has_selection,
    }))
}

impl SegmentV1 {
    fn of(segment: &MappedSegment, blocks: Blocks) -> SegmentV1 {
        let drawn: Vec<BlockV1> = segment.blocks.iter().map(BlockV1::of).collect();
        let blocks = if blocks == Blocks::Listed { drawn.clone() } else { Vec::new() };
        SegmentV1 {
            address: segment.range.addr,
            size: segment.range.total.0,
            stream: segment.range.stream,
            pool: segment.range.pool_name(),
            expandable: segment.range.is_expandable,
            allocated: segment.allocated.0,
            pending_free: segment.pending.0,
            free: segment.free.0,
            waste: segment.waste().0,
            largest_hole: segment.largest_hole.0,
            holes: segment.holes,
            unmapped_after: segment.unmapped_after.map(|bytes| bytes.0),
            blocks,
            drawn,
        }
    }

    pub(crate) fn used(&self) -> f64 {
        Bytes(self.size.saturating_sub(self.free)).share_of(Bytes(self.size))
    }
}

impl BlockV1 {
    fn of(block: &MappedBlock) -> BlockV1 {
        BlockV1 {
            address: block.addr,
            size: block.size.0,
            requested: block.requested.map(|bytes| bytes.0),
            state: match block.state {
                BlockState::Allocated => "allocated",
                BlockState::PendingFree => "pending-free",
                BlockState::Inactive => "free",
            },
            selected: block.is_selected,
            category: block.category.map(oomscope_model::Role::name),
            place: block.place.as_ref().map(PlaceV1::of),
            library_call: block.library_call.clone(),
            event: block.allocated_at.map(|event| event.0),
            age_us: block.age_us,
        }
    }
}

impl TotalV1 {
    fn of(total: &PoolTotal) -> TotalV1 {
        TotalV1 {
            pool: total.pool.clone(),
            stream: total.stream,
            segments: total.segments,
            reserved: total.reserved.0,
            allocated: total.allocated.0,
            pending_free: total.pending.0,
            free: total.free.0,
            largest_hole: total.largest_hole.0,
        }
    }
}

/// Columns of a segment's strip, at least and at most.
const NARROWEST: usize = 8;
const WIDEST: usize = 40;

impl SegmentsV1 {
    pub(super) fn sections(&self) -> Vec<Section> {
        let counters = &self.counters;
        let mut sections = vec![Section::Headline(format!(
            "{} allocated, {} reserved {}",
            Bytes(counters.allocated),
            Bytes(counters.reserved),
            self.at.words()
        ))];
        if self.segments.is_empty() {
            let text = if self.totals.is_empty() && counters.reserved > 0 {
                "no segment matches the filters"
            } else {
                "nothing is reserved at this moment"
            };
            sections.push(Section::Note(text.to_owned()));
            return sections;
        }
        // CSV writes the first table: blocks where they are asked for.
        if self.shows_blocks {
            sections.push(Section::Table(self.blocks_table()));
        }
        sections.push(Section::Table(self.segments_table()));
        sections.push(Section::Table(self.totals_table()));
        sections.push(Section::Note(self.key()));
        sections
    }

    fn key(&self) -> String {
        let selected = if self.has_selection { ", x selected" } else { "" };
        let unmapped = if self.segments.iter().any(|segment| self.shows_unmapped(segment)) {
            ", … unmapped address space follows"
        } else {
            ""
        };
        format!("map: █ in use, ▓▒░ partly, · free, w waits for a stream{selected}{unmapped}")
    }

    /// Order by address shows what lies between ranges.
    fn shows_unmapped(&self, segment: &SegmentV1) -> bool {
        self.sort == "address" && segment.unmapped_after.is_some()
    }

    /// What the other columns of the table leave of a line.
    fn strip_columns(&self) -> usize {
        let widest = |text: fn(&SegmentV1) -> String| {
            self.segments.iter().map(|segment| text(segment).chars().count()).max().unwrap_or(0)
        };
        let others = [
            widest(|segment| format!("{:#x}", segment.address)).max("address".len()),
            widest(|segment| Bytes(segment.size).to_string()).max("size".len()),
            widest(|segment| percent(segment.used())).max("used".len()),
            widest(|segment| Bytes(segment.largest_hole).to_string()).max("largest hole".len()),
            widest(|segment| segment.pool.clone()).max("pool".len()),
        ];
        // Two blanks before the line and after each column; one for what follows the strip.
        let taken = 2 + others.iter().map(|width| width + 2).sum::<usize>() + 1;
        TextStyle::default().columns().saturating_sub(taken).clamp(NARROWEST, WIDEST)
    }

    fn strip(&self, segment: &SegmentV1, columns: usize) -> String {
        let mut strip = strip(segment, columns, self.has_selection);
        if self.shows_unmapped(segment) {
            strip.push('…');
        }
        strip
    }

    fn segments_table(&self) -> Table {
        let in_files = |name| Column { name, shown: Shown::InFiles };
        let columns = self.strip_columns();
        let mut rows = Vec::new();
        for segment in &self.segments {
            rows.push(vec![
                Cell::Text(format!("{:#x}", segment.address)),
                Cell::Bytes(Bytes(segment.size)),
                Cell::Share(segment.used()),
                Cell::Bytes(Bytes(segment.largest_hole)),
                Cell::Text(segment.pool.clone()),
                Cell::Text(stream(segment.stream)),
                Cell::Text(self.strip(segment, columns)),
                Cell::Text(if segment.expandable { "yes" } else { "no" }.to_owned()),
                Cell::Bytes(Bytes(segment.allocated)),
                Cell::Bytes(Bytes(segment.pending_free)),
                Cell::Bytes(Bytes(segment.free)),
                Cell::Bytes(Bytes(segment.waste)),
                Cell::Count(segment.holes),
                segment.unmapped_after.map_or(Cell::Unknown, |bytes| Cell::Bytes(Bytes(bytes))),
            ]);
        }
        Table {
            title: format!("Segments by {}", self.sort),
            rows,
            columns: vec![
                column("address"),
                column("size"),
                column("used"),
                column("largest hole"),
                column("pool"),
                in_files("stream"),
                Column { name: "map", shown: Shown::ToPeople },
                in_files("expandable"),
                in_files("allocated"),
                in_files("pending free"),
                in_files("free"),
                in_files("waste"),
                in_files("holes"),
                in_files("unmapped after"),
            ],
            left_out: (self.segments_left_out > 0)
                .then_some((self.segments_left_out, Bytes(self.bytes_left_out))),
        }
    }

    fn totals_table(&self) -> Table {
        let rows = self.totals.iter().map(|total| {
            vec![
                Cell::Text(total.pool.clone()),
                Cell::Text(stream(total.stream)),
                Cell::Count(total.segments),
                Cell::Bytes(Bytes(total.reserved)),
                Cell::Bytes(Bytes(total.allocated)),
                Cell::Bytes(Bytes(total.pending_free)),
                Cell::Bytes(Bytes(total.free)),
                Cell::Bytes(Bytes(total.largest_hole)),
            ]
        });
        let shown_if = |name, wanted: bool| Column {
            name,
            shown: if wanted { Shown::Everywhere } else { Shown::InFiles },
        };
        // A line has room for six of them: what tells pools apart comes first.
        let has_streams = self.totals.iter().any(|total| total.stream != 0);
        let has_pending = self.totals.iter().any(|total| total.pending_free > 0);
        let is_full = has_streams && has_pending;
        Table {
            title: "Totals".to_owned(),
            rows: rows.collect(),
            columns: vec![
                column("pool"),
                shown_if("stream", has_streams),
                shown_if("segments", !is_full),
                column("reserved"),
                column("allocated"),
                shown_if("pending free", has_pending),
                shown_if("free", !is_full),
                shown_if("largest hole", !has_streams),
            ],
            left_out: None,
        }
    }

    fn blocks_table(&self) -> Table {
        let in_files = |name| Column { name, shown: Shown::InFiles };
        let rows = self.segments.iter().flat_map(|segment| {
            segment.blocks.iter().map(|block| {
                let place = match (&block.place, block.state) {
                    (Some(place), _) => Cell::Place(place.place(), block.library_call.clone()),
                    (None, "free") => Cell::Unknown,
                    (None, _) => Cell::Text("no frame of the user's".to_owned()),
                };
                let category = block.category.map(str::to_owned).map_or(Cell::Unknown, Cell::Text);
                vec![
                    Cell::Text(format!("{:#x}", block.address)),
                    Cell::Bytes(Bytes(block.size)),
                    Cell::Text(block.state.to_owned()),
                    category,
                    block.age_us.map_or(Cell::Unknown, |age| Cell::Text(duration(age))),
                    place,
                    block.requested.map_or(Cell::Unknown, |bytes| Cell::Bytes(Bytes(bytes))),
                    block.event.map_or(Cell::Unknown, |event| Cell::Count(event.into())),
                    Cell::Text(format!("{:#x}", segment.address)),
                    Cell::Text(segment.pool.clone()),
                    Cell::Text(stream(segment.stream)),
                    Cell::Text(if block.selected { "yes" } else { "no" }.to_owned()),
                ]
            })
        });
        Table {
            title: "Blocks and holes by address".to_owned(),
            rows: rows.collect(),
            columns: vec![
                column("address"),
                column("size"),
                column("state"),
                column("category"),
                column("age"),
                column("line"),
                in_files("requested"),
                in_files("event"),
                in_files("segment"),
                in_files("pool"),
                in_files("stream"),
                in_files("selected"),
            ],
            left_out: None,
        }
    }
}

/// A stream's handle: 0 is the default one, others are pointers.
pub(super) fn stream(handle: u64) -> String {
    if handle < 10_000 { handle.to_string() } else { format!("0x{handle:x}") }
}

/// The bytes in use, waiting and selected in one column of a strip.
#[derive(Clone, Copy, Default)]
struct Share {
    used: f64,
    waiting: f64,
    selected: f64,
}

/// The segment from its start to its end.
fn strip(segment: &SegmentV1, columns: usize, has_selection: bool) -> String {
    let mut shares = vec![Share::default(); columns];
    let scale = columns as f64 / segment.size.max(1) as f64;
    for block in segment.drawn.iter().filter(|block| block.state != "free") {
        let start = block.address.saturating_sub(segment.address) as f64 * scale;
        let end = (start + block.size as f64 * scale).min(columns as f64);
        for (column, share) in shares.iter_mut().enumerate().skip(start as usize) {
            let part = end.min(column as f64 + 1.0) - start.max(column as f64);
            if part <= 0.0 {
                break;
            }
            share.used += part;
            if block.state == "pending-free" {
                share.waiting += part;
            }
            if has_selection && block.selected {
                share.selected += part;
            }
        }
    }
    shares.iter().map(|share| glyph(*share)).collect()
}

fn glyph(share: Share) -> char {
    if share.selected > 0.0 {
        return 'x';
    }
    if share.waiting > share.used / 2.0 {
        return 'w';
    }
    match share.used {
        used if used > 0.875 => '█',
        used if used > 0.5 => '▓',
        used if used > 0.25 => '▒',
        used if used > 0.0 => '░',
        _ => '·',
    }
}
