//! `annotations`: memory by what the program says of itself.

use oomscope_model::Bytes;
use oomscope_snapshot::views::{LabelKind, LabelRow, LabelTable, Point};
use schemars::JsonSchema;
use serde::Serialize;

use super::View;
use super::section::{Cell, Column, Section, Shown, Table, column, grouped};
use super::wire::PointV1;
use crate::wire::PlaceV1;

/// Memory by named range, training phase, metadata, part of `torch.compile`, module.
#[derive(Serialize, JsonSchema)]
pub struct AnnotationsV1 {
    /// The moment of the live bytes.
    pub(crate) at: PointV1,
    /// One for each kind of label that the recording has.
    pub(crate) tables: Vec<LabelTableV1>,
}

/// All labels of one kind.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LabelTableV1 {
    /// `annotation`, `phase`, `metadata`, `compile` or `module`.
    pub(crate) kind: &'static str,
    /// Most bytes allocated first, at most `--limit`.
    pub(crate) rows: Vec<LabelRowV1>,
    /// Rows that the limit left out.
    pub(crate) left_out: u64,
    /// Bytes that the rows which the limit left out handed out.
    pub(crate) left_out_bytes: u64,
    /// Ranges that only began, taken to last to the end of the trace, or only ended.
    pub(crate) unmatched: u64,
}

/// The memory of one label; what lies in ranges inside each other counts for each.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LabelRowV1 {
    /// The label.
    pub(crate) label: String,
    /// The line of a module's `forward`.
    pub(crate) place: Option<PlaceV1>,
    /// How many ranges, or uninterrupted runs of events, have it.
    pub(crate) spans: u64,
    /// Microseconds in them; null where times were not recorded.
    pub(crate) time_us: Option<u64>,
    /// Bytes handed out in them.
    pub(crate) allocated: u64,
    /// Blocks handed out in them.
    pub(crate) blocks: u64,
    /// Bytes given up in them.
    pub(crate) freed: u64,
    /// Bytes handed out less bytes given up.
    pub(crate) net: i64,
    /// The most bytes allocated, by anyone, while they ran.
    pub(crate) peak: Option<u64>,
    /// Bytes made in them that are live at the moment.
    pub(crate) live: u64,
    /// Blocks made in them that are live at the moment.
    pub(crate) live_blocks: u64,
}

impl LabelRowV1 {
    fn of(row: &LabelRow) -> LabelRowV1 {
        LabelRowV1 {
            label: row.label.clone(),
            place: row.place.as_ref().map(PlaceV1::of),
            spans: row.spans,
            time_us: row.time_us,
            allocated: row.allocated.0,
            blocks: row.blocks,
            freed: row.freed.0,
            net: row.net(),
            peak: row.peak.map(|bytes| bytes.0),
            live: row.live.0,
            live_blocks: row.live_blocks,
        }
    }
}

/// The view of a recording's labels, the first `limit` of each kind.
pub fn annotations(point: &Point, tables: &[LabelTable], limit: usize) -> View {
    let tables = tables.iter().map(|table| {
        let (shown, rest) = table.rows.split_at(limit.min(table.rows.len()));
        LabelTableV1 {
            kind: name(table.kind),
            rows: shown.iter().map(LabelRowV1::of).collect(),
            left_out: rest.len() as u64,
            left_out_bytes: rest.iter().map(|row| row.allocated).sum::<Bytes>().0,
            unmatched: table.unmatched,
        }
    });
    View::Annotations(Box::new(AnnotationsV1 { at: PointV1::of(point), tables: tables.collect() }))
}

fn name(kind: LabelKind) -> &'static str {
    match kind {
        LabelKind::Annotation => "annotation",
        LabelKind::Phase => "phase",
        LabelKind::Metadata => "metadata",
        LabelKind::Compile => "compile",
        LabelKind::Module => "module",
    }
}

impl AnnotationsV1 {
    pub(super) fn sections(&self) -> Vec<Section> {
        if self.tables.is_empty() {
            return vec![Section::Headline(
                "nothing is labelled: no ranges, no metadata, no stacks that tell a phase"
                    .to_owned(),
            )];
        }
        let mut sections: Vec<Section> =
            self.tables.iter().map(|table| Section::Table(table.section(&self.at))).collect();
        for table in self.tables.iter().filter(|table| table.unmatched > 0) {
            sections.push(Section::Note(format!(
                "{} ranges have one end only; those that only began last to the end of the trace",
                grouped(table.unmatched)
            )));
        }
        sections
    }
}

impl LabelTableV1 {
    fn section(&self, at: &PointV1) -> Table {
        let in_files = |name| Column { name, shown: Shown::InFiles };
        let title = match self.kind {
            "annotation" => "By named range",
            "phase" => "By phase",
            "metadata" => "By metadata",
            "compile" => "By part of torch.compile",
            _ => "By module",
        };
        let bytes = |bytes: u64| Cell::Bytes(Bytes(bytes));
        let rows = self.rows.iter().map(|row| {
            vec![
                Cell::Text(self.kind.to_owned()),
                match &row.place {
                    Some(place) => Cell::Place(place.place(), None),
                    None => Cell::Text(row.label.clone()),
                },
                Cell::Count(row.spans),
                row.time_us.map_or(Cell::Unknown, Cell::Count),
                bytes(row.allocated),
                Cell::Count(row.blocks),
                bytes(row.freed),
                row.peak.map_or(Cell::Unknown, bytes),
                bytes(row.live),
                Cell::Count(row.live_blocks),
            ]
        });
        Table {
            title: format!("{title} · live {}", at.words()),
            columns: vec![
                in_files("kind"),
                column("label"),
                column("spans"),
                in_files("time us"),
                column("allocated"),
                in_files("blocks"),
                column("freed"),
                column("peak"),
                column("live"),
                in_files("live blocks"),
            ],
            rows: rows.collect(),
            left_out: (self.left_out > 0).then_some((self.left_out, Bytes(self.left_out_bytes))),
        }
    }
}
