//! Where the model parts from a recording, with the events around it.

use oomscope_allocator::Divergence;
use oomscope_model::{Bytes, Event, EventIndex, EventKind};
use schemars::JsonSchema;
use serde::Serialize;

use super::super::section::{Cell, Section, Table, column, grouped};
use super::run::Source;
use crate::wire::PlaceV1;

/// Events that are shown on each side.
const AROUND: u32 = 4;

/// The first event at which the model does something else.
#[derive(Serialize, JsonSchema)]
pub(crate) struct DivergenceV1 {
    /// The event.
    pub(crate) event: u32,
    /// What the model does there.
    pub(crate) model: ActionV1,
    /// What was recorded; null where the trace ends.
    pub(crate) recorded: Option<EventV1>,
    /// Both in words.
    pub(crate) words: String,
    /// The recorded events around it, oldest first, itself included.
    pub(crate) around: Vec<EventV1>,
}

/// Something that the model does.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ActionV1 {
    /// As PyTorch's trace names it; null where it does nothing that a trace would have.
    pub(crate) action: Option<&'static str>,
    /// Device address; null where the device would choose it.
    pub(crate) addr: Option<u64>,
    /// Bytes.
    pub(crate) size: Option<u64>,
}

/// A recorded event.
#[derive(Serialize, JsonSchema)]
pub(crate) struct EventV1 {
    /// Its index.
    pub(crate) event: u32,
    /// As PyTorch names it.
    pub(crate) action: &'static str,
    /// Device address; of `oom` the free bytes on the device.
    pub(crate) addr: u64,
    /// Bytes.
    pub(crate) size: u64,
    /// CUDA stream handle.
    pub(crate) stream: u64,
    /// The innermost line of the user's code.
    pub(crate) place: Option<PlaceV1>,
}

impl DivergenceV1 {
    pub(crate) fn of(source: Source, divergence: &Divergence) -> DivergenceV1 {
        let at = divergence.event.0;
        let trace = source.snapshot.trace(source.device);
        let event = |index: u32| {
            let event = trace?.event(EventIndex(index))?;
            Some(EventV1::of(source, index, &event))
        };
        let action = divergence.model;
        let is_told = action.kind != EventKind::Other;
        DivergenceV1 {
            event: at,
            model: ActionV1 {
                action: is_told.then(|| action.kind.action()),
                addr: (action.addr != 0).then_some(action.addr),
                size: is_told.then_some(action.size.0),
            },
            recorded: divergence.recorded.map(|event| EventV1::of(source, at, &event)),
            words: words(divergence),
            around: (at.saturating_sub(AROUND)..=at.saturating_add(AROUND))
                .filter_map(event)
                .collect(),
        }
    }

    pub(crate) fn section(&self) -> Section {
        let rows = self.around.iter().map(|event| {
            let mark = if event.event == self.event { "→" } else { "" };
            vec![
                Cell::Text(mark.to_owned()),
                Cell::Count(event.event.into()),
                Cell::Text(event.action.to_owned()),
                Cell::Text(address(event.addr)),
                Cell::Bytes(Bytes(event.size)),
                event
                    .place
                    .as_ref()
                    .map_or(Cell::Unknown, |place| Cell::Place(place.place(), None)),
            ]
        });
        Section::Table(Table {
            title: "Recorded around it".to_owned(),
            columns: ["", "event", "action", "address", "size", "line"].map(column).into(),
            rows: rows.collect(),
            left_out: None,
        })
    }
}

impl EventV1 {
    fn of(source: Source, index: u32, event: &Event) -> EventV1 {
        EventV1 {
            event: index,
            action: event.kind.action(),
            addr: event.addr,
            size: event.size.0,
            stream: event.stream,
            place: source.place(event.stack),
        }
    }
}

fn address(addr: u64) -> String {
    format!("{addr:#x}")
}

/// `at event 12 the model hands out 2.00 MiB at 0x7f..; recorded is alloc ...`.
fn words(divergence: &Divergence) -> String {
    let action = divergence.model;
    let at = if action.addr == 0 { String::new() } else { format!(" at {}", address(action.addr)) };
    let size = action.size;
    let model = match action.kind {
        EventKind::Alloc if action.addr == 0 => {
            format!("serves the request for {size} without these calls to the device")
        }
        EventKind::Alloc => format!("hands out {size}{at}"),
        EventKind::SegmentAlloc => format!("obtains a segment of {size}"),
        EventKind::SegmentMap => format!("maps {size}{at}"),
        EventKind::SegmentFree => format!("gives back the segment of {size}{at}"),
        EventKind::SegmentUnmap => format!("unmaps {size}{at}"),
        EventKind::Oom => format!("fails the request for {size}"),
        EventKind::FreeRequested
        | EventKind::FreeCompleted
        | EventKind::Snapshot
        | EventKind::Other => "does nothing of the kind".to_owned(),
    };
    let recorded = match divergence.recorded {
        None => "the trace ends".to_owned(),
        Some(event) => {
            let (action, size) = (event.kind.action(), event.size);
            format!("recorded is `{action}` of {size} at {}", address(event.addr))
        }
    };
    format!("at event {} the model {model}; {recorded}", grouped(divergence.event.0.into()))
}
