//! Memory by what the program says of itself: named ranges, training phases, metadata, the part of
//! `torch.compile` that ran, modules.

mod spans;
mod sums;

use std::cell::RefCell;
use std::collections::HashMap;

use oomscope_model::{Bytes, Place};

use super::moment::Point;
use super::selection::Selection;
use crate::analysis::Recording;
use spans::{Labelled, annotated, by_stack, by_text};
use sums::Sums;

/// Where labels come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelKind {
    /// Named ranges (`external_annotations`): `record_function`, `Optimizer.step#Adam.step`.
    Annotation,
    /// Forward, backward, optimizer step, told from stacks.
    Phase,
    /// `torch.cuda.memory._set_memory_metadata`.
    Metadata,
    /// The part of `torch.compile` that ran.
    Compile,
    /// The innermost module that ran, or graph node.
    Module,
}

impl LabelKind {
    /// Every kind.
    pub const ALL: [LabelKind; 5] = [
        LabelKind::Annotation,
        LabelKind::Phase,
        LabelKind::Metadata,
        LabelKind::Compile,
        LabelKind::Module,
    ];
}

/// All labels of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelTable {
    /// Where they come from.
    pub kind: LabelKind,
    /// One row a label, most bytes allocated first.
    pub rows: Vec<LabelRow>,
    /// Ranges that only began or only ended: those that began last to the end of the trace.
    pub unmatched: u64,
}

/// The memory of one label. Ranges that are inside others count for both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelRow {
    /// The label.
    pub label: String,
    /// The line of a module's `forward`.
    pub place: Option<Place>,
    /// How many ranges, or uninterrupted runs of events, have it.
    pub spans: u64,
    /// Microseconds in them; `None` where times were not recorded.
    pub time_us: Option<u64>,
    /// Bytes handed out in them.
    pub allocated: Bytes,
    /// Blocks handed out in them.
    pub blocks: u64,
    /// Bytes given up in them.
    pub freed: Bytes,
    /// The most that was allocated on the device at any of their events, by anyone.
    pub peak: Option<Bytes>,
    /// Bytes made in them that are live at the moment.
    pub live: Bytes,
    /// Blocks made in them that are live at the moment.
    pub live_blocks: u64,
}

impl LabelRow {
    /// Bytes handed out less bytes given up.
    pub fn net(&self) -> i64 {
        let signed = |bytes: Bytes| i64::try_from(bytes.0).unwrap_or(i64::MAX);
        signed(self.allocated).saturating_sub(signed(self.freed))
    }
}

/// The memory of each label of the given kinds; kinds without any label are left out.
pub fn annotations(
    recording: &Recording<'_>,
    point: Point,
    selection: &Selection,
    kinds: &[LabelKind],
) -> Vec<LabelTable> {
    let state = recording.state(point.at);
    let live: Vec<_> = selection.live(&state).copied().collect();
    let lives = recording.lives(selection);
    let places: RefCell<HashMap<String, Place>> = RefCell::default();
    let module = |stack| {
        let (label, place) = recording.module(stack)?;
        if let Some(place) = place {
            places.borrow_mut().entry(label.clone()).or_insert(place);
        }
        Some(label)
    };
    let sums = Sums::of(recording, &lives, &live);
    let tables = kinds.iter().map(|&kind| {
        let labelled = match kind {
            LabelKind::Annotation => annotated(recording),
            LabelKind::Phase => {
                by_stack(recording, &lives, |stack| Some(recording.phase_label(stack)))
            }
            LabelKind::Module => by_stack(recording, &lives, module),
            LabelKind::Metadata => by_text(recording, |trace, event| trace.user_metadata(event)),
            LabelKind::Compile => by_text(recording, |trace, event| trace.compile_context(event)),
        };
        let older = live.iter().filter(|block| block.allocated_at.is_none());
        let older: Vec<_> = match kind {
            LabelKind::Phase => older
                .filter_map(|block| {
                    recording.phase_label_of(block).map(|label| (label, block.size))
                })
                .collect(),
            LabelKind::Module => {
                older.filter_map(|block| Some((module(block.stack)?, block.size))).collect()
            }
            LabelKind::Annotation | LabelKind::Metadata | LabelKind::Compile => Vec::new(),
        };
        let mut table = table(kind, labelled, &sums, older);
        if kind == LabelKind::Module {
            for row in &mut table.rows {
                row.place = places.borrow_mut().remove(&row.label);
            }
        }
        table
    });
    tables.filter(|table| !table.rows.is_empty()).collect()
}

fn table(
    kind: LabelKind,
    labelled: Labelled,
    sums: &Sums,
    older: Vec<(String, Bytes)>,
) -> LabelTable {
    let mut rows: Vec<LabelRow> =
        labelled.labels.into_iter().map(|(label, spans)| sums.row(label, spans)).collect();
    for (label, size) in older {
        let found = rows.iter().position(|row| row.label == label);
        let at = found.unwrap_or_else(|| {
            rows.push(LabelRow { label, ..LabelRow::default() });
            rows.len() - 1
        });
        if let Some(row) = rows.get_mut(at) {
            row.live += size;
            row.live_blocks += 1;
        }
    }
    rows.sort_by(|a, b| {
        (b.allocated, b.live, b.spans)
            .cmp(&(a.allocated, a.live, a.spans))
            .then_with(|| a.label.cmp(&b.label))
    });
    LabelTable { kind, rows, unmatched: labelled.unmatched }
}
