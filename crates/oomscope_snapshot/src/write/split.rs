//! A snapshot in several: by device, or in stretches of events.

use std::ops::Range;

use oomscope_model::{DeviceId, EventIndex};

use crate::snapshot::Snapshot;
use crate::write::cut::{Pasts, first_traced, window};

/// How a snapshot is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// One part a device.
    Device,
    /// Parts of at most so many events of the first device that has any.
    Events(u32),
    /// So many parts, with equally many events.
    Parts(u32),
}

/// The parts of a snapshot, each with a name (`device0`, `part03`) that sorts and may become part
/// of a file's name. Parts in stretches of events are made as [`cut`](crate::cut) makes them:
/// together they hold every event once.
pub fn split(snapshot: &Snapshot, how: Split) -> impl Iterator<Item = (String, Snapshot)> + '_ {
    let pasts = Pasts::of(snapshot);
    let parts = parts(snapshot, how);
    let digits = parts.len().saturating_sub(1).max(1).ilog10() as usize + 1;
    parts.into_iter().enumerate().map(move |(number, part)| match part {
        Part::Device(device) => (format!("device{}", device.0), pasts.only(device)),
        Part::Events(Range { start, end }) => {
            (format!("part{number:0digits$}"), pasts.cut(window(snapshot, start, end)))
        }
    })
}

enum Part {
    Device(DeviceId),
    Events(Range<EventIndex>),
}

fn parts(snapshot: &Snapshot, how: Split) -> Vec<Part> {
    let len = first_traced(snapshot).map_or(0, |trace| trace.len() as u64);
    let stretch = |start: u64, end: u64| {
        // The last part takes the events of other devices that came later.
        let end = if end >= len { u32::MAX } else { end as u32 };
        Part::Events(EventIndex(start as u32)..EventIndex(end))
    };
    match how {
        Split::Device => snapshot.devices().into_iter().map(Part::Device).collect(),
        Split::Events(events) => {
            let events = u64::from(events.max(1));
            let count = len.div_ceil(events).max(1);
            (0..count).map(|part| stretch(part * events, (part + 1) * events)).collect()
        }
        Split::Parts(parts) => {
            let parts = u64::from(parts).clamp(1, len.max(1));
            (0..parts).map(|part| stretch(part * len / parts, (part + 1) * len / parts)).collect()
        }
    }
}
