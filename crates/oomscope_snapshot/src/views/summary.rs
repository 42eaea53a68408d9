//! What is in a file: the device's counters at the moments that matter, counts, what is missing.

use oomscope_model::{EventKind, Limit, MemoryState, StackId};

use super::grouping::{Group, GroupBy, Tally};
use super::live::live_set;
use super::moment::Point;
use super::selection::Selection;
use crate::At;
use crate::analysis::Recording;

/// What a recording holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Events by kind, in the order of [`EventKind`], kinds that occur only.
    pub events: Vec<(EventKind, u64)>,
    /// Segments at the dump.
    pub segments: u64,
    /// Blocks at the dump, free ones included.
    pub blocks: u64,
    /// Distinct streams of segments and events.
    pub streams: u64,
    /// Distinct stacks that made blocks.
    pub stacks: u64,
    /// Microseconds from the first event to the last, where times were recorded.
    pub duration_us: Option<u64>,
    /// When allocation was highest (or the moment asked for), who held it then.
    pub peak: Point,
    /// The counters then.
    pub at_peak: MemoryState,
    /// The selected blocks then.
    pub selected: Tally,
    /// The lines that held it, most first.
    pub holders: Vec<Group>,
    /// The most that was reserved at any event.
    pub peak_reserved: oomscope_model::Bytes,
    /// The counters at the dump.
    pub end: MemoryState,
    /// The failures, oldest first.
    pub failures: Vec<Point>,
    /// Events that contradict each other or the segments.
    pub contradictions: u32,
    /// What the recording cannot show.
    pub limits: Vec<Limit>,
}

/// Sums a recording up; the holders are those at `choice`'s moment.
pub fn summary(recording: &Recording<'_>, peak: Point, selection: &Selection) -> Summary {
    let snapshot = recording.snapshot();
    let device = recording.device();
    let live = live_set(recording, peak, selection, GroupBy::Line);
    let end = recording.state(At::End).counters;
    let counted = counted(recording);
    let failures = recording.failures();
    Summary {
        segments: snapshot.segments_of(device).count() as u64,
        blocks: snapshot.segments_of(device).map(|segment| segment.blocks.len() as u64).sum(),
        streams: counted.streams,
        stacks: counted.stacks,
        duration_us: counted.duration_us,
        peak,
        at_peak: live.counters,
        selected: live.selected,
        limits: recording.limits(peak.at, &recording.state(peak.at)),
        holders: live.groups,
        peak_reserved: recording.history().peak_reserved(),
        end,
        failures,
        contradictions: recording.history().contradictions,
        events: counted.events,
    }
}

struct Counted {
    events: Vec<(EventKind, u64)>,
    streams: u64,
    stacks: u64,
    duration_us: Option<u64>,
}

const KINDS: [EventKind; 10] = [
    EventKind::Alloc,
    EventKind::FreeRequested,
    EventKind::FreeCompleted,
    EventKind::SegmentAlloc,
    EventKind::SegmentFree,
    EventKind::SegmentMap,
    EventKind::SegmentUnmap,
    EventKind::Oom,
    EventKind::Snapshot,
    EventKind::Other,
];

fn counted(recording: &Recording<'_>) -> Counted {
    let mut counts = [0_u64; KINDS.len()];
    let mut streams: Vec<u64> =
        recording.snapshot().segments_of(recording.device()).map(|it| it.stream).collect();
    let mut has_made = vec![false; recording.snapshot().stacks.len()];
    let mut times = None;
    for (_, event) in recording.trace().into_iter().flat_map(crate::Trace::iter) {
        if let Some(count) = counts.get_mut(event.kind as usize) {
            *count += 1;
        }
        if streams.last() != Some(&event.stream) && !streams.contains(&event.stream) {
            streams.push(event.stream);
        }
        if event.kind == EventKind::Alloc
            && event.stack != StackId::NONE
            && let Some(made) = has_made.get_mut(event.stack.0 as usize)
        {
            *made = true;
        }
        if let Some(time) = event.time_us {
            let (first, _) = times.unwrap_or((time, time));
            times = Some((first, time));
        }
    }
    streams.sort_unstable();
    streams.dedup();
    Counted {
        events: KINDS.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect(),
        streams: streams.len() as u64,
        stacks: has_made.iter().filter(|made| **made).count() as u64,
        duration_us: times.and_then(|(first, last)| last.checked_sub(first)),
    }
}
