//! The counters, or groups of blocks, over time: a window of events cut into buckets, each with
//! its true least and most, so that no spike is lost at any zoom.

use std::ops::Range;

use oomscope_model::Bytes;

use super::bands::{BandSteps, bands};
use super::grouping::GroupBy;
use super::moment::{MomentChoice, MomentError, Point};
use super::selection::Selection;
use super::series::{Extent, SeriesTree};
use crate::analysis::Recording;
use crate::history::Reservation;
use crate::{At, Life, Trace};

/// A figure that is known after every event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// In blocks that tensors hold.
    Allocated,
    /// Allocated, and waiting for a stream.
    Active,
    /// Held from the device.
    Reserved,
    /// Reserved and not active.
    Cached,
    /// The largest stretch between blocks: the largest request that needs no new memory.
    LargestFree,
}

/// What the width of a chart measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Microseconds.
    Time,
    /// Events.
    Events,
}

/// What is wanted.
#[derive(Clone, Debug)]
pub struct OverTimeOptions {
    /// Counters, in this order.
    pub counters: Vec<Counter>,
    /// What the selected blocks are split by, and how many groups are told apart.
    pub by: Option<(GroupBy, usize)>,
    /// Where the window begins; the first event without it.
    pub from: Option<MomentChoice>,
    /// Where it ends, inclusive; the last event without it.
    pub to: Option<MomentChoice>,
    /// The axis; without it, time where it was recorded and events are spread over it.
    pub axis: Option<Axis>,
    /// Buckets at most; `None` for each event by itself.
    pub points: Option<usize>,
}

/// A stretch of the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its events; none where time passed and nothing happened.
    pub events: Range<u32>,
    /// Microseconds from the first event of the trace to its start, where recorded.
    pub start_us: Option<u64>,
}

/// Blocks that share a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// The key in words; `other` for the rest.
    pub label: String,
    /// Whether it is the rest.
    pub is_rest: bool,
    /// Its most in the window.
    pub peak: Bytes,
    /// By bucket.
    pub extents: Vec<Extent>,
    /// By bucket: its bytes when the sum of all bands was highest, so that bands can be stacked.
    pub at_highest: Vec<Bytes>,
}

/// Counters over a window of the trace. A bucket of the time axis begins with what the event
/// before it left, since that is what holds until its own first event.
#[derive(Clone, Debug, PartialEq)]
pub struct OverTime {
    /// What the buckets cut evenly.
    pub axis: Axis,
    /// The window; empty when nothing was recorded.
    pub events: Range<u32>,
    /// Microseconds since the epoch at the first event of the trace, where recorded.
    pub epoch_us: Option<u64>,
    /// Microseconds from the first event of the trace to the window's last, where recorded.
    pub end_us: Option<u64>,
    /// Whether each bucket is one event.
    pub is_exact: bool,
    /// The stretches, in order.
    pub buckets: Vec<Bucket>,
    /// The counters by bucket.
    pub counters: Vec<(Counter, Vec<Extent>)>,
    /// The groups, steadiest first, the rest last; none unless asked for.
    pub bands: Vec<Band>,
    /// Where the selected blocks' allocated bytes were highest in the window.
    pub peak: Option<(Point, Bytes)>,
    /// The failures in the window.
    pub failures: Vec<Point>,
    /// The counters at the dump, for recordings without events.
    pub end: oomscope_model::MemoryState,
}

/// The window's counters and groups. Groups by category take the parameters live at `point` for
/// the model's.
pub fn over_time(
    recording: &Recording<'_>,
    point: &Point,
    selection: &Selection,
    options: &OverTimeOptions,
) -> Result<OverTime, MomentError> {
    let events = window(recording, options)?;
    let clock = Clock::of(recording.trace());
    let cut = cut(&clock, &events, options);
    let lives = recording.lives(selection);
    let (allocated, active) = blocks(recording, selection, &lives);
    let (allocated, active) = (SeriesTree::new(allocated), SeriesTree::new(active));
    let reservation = reservation(recording, selection, options);
    let cached = || {
        let whole = whole_active(recording, selection);
        let pairs = reservation.reserved.iter().zip(&whole);
        pairs.map(|(reserved, active)| reserved.saturating_sub(*active)).collect()
    };
    let counters = options
        .counters
        .iter()
        .map(|&counter| {
            let extents = match counter {
                Counter::Allocated => cut.extents(&allocated),
                Counter::Active => cut.extents(&active),
                Counter::Reserved => cut.extents(&SeriesTree::new(reservation.reserved.clone())),
                Counter::LargestFree => {
                    cut.extents(&SeriesTree::new(reservation.largest_free.clone()))
                }
                Counter::Cached => cut.extents(&SeriesTree::new(cached())),
            };
            (counter, extents)
        })
        .collect();
    let bands = options.by.map_or_else(Vec::new, |(by, top)| {
        bands(recording, point, &lives, by, top, &events)
            .into_iter()
            .map(|band| cut.band(band, &active))
            .collect()
    });
    let peak = allocated.extent(events.start as usize..events.end as usize).and_then(|extent| {
        let event = u32::try_from(extent.max_at).ok()?;
        Some((recording.point(MomentChoice::Event(event)).ok()?, Bytes(extent.max)))
    });
    let failures = recording.trace().map_or_else(Vec::new, |trace| failures(trace, &events));
    Ok(OverTime {
        axis: cut.axis,
        epoch_us: clock.epoch_us,
        end_us: events.end.checked_sub(1).and_then(|last| clock.since_start(last)),
        is_exact: options.points.is_none(),
        buckets: cut.buckets,
        counters,
        bands,
        peak,
        failures,
        end: recording.state(At::End).counters,
        events,
    })
}

/// The failures of a window; each is looked at once, however many there are.
fn failures(trace: &Trace, events: &Range<u32>) -> Vec<Point> {
    let start = trace.iter().find_map(|(_, event)| event.time_us);
    let inside = crate::oom_events(trace).into_iter().filter(|event| events.contains(&event.0));
    inside
        .filter_map(|index| {
            let event = trace.event(index)?;
            let times = event.time_us.zip(start);
            Some(Point {
                at: At::Before(index),
                event: Some(index),
                since_start_us: times.and_then(|(time, start)| time.checked_sub(start)),
                choice: MomentChoice::Oom(None),
                failed_request: Some(event.size),
            })
        })
        .collect()
}

fn window(recording: &Recording<'_>, options: &OverTimeOptions) -> Result<Range<u32>, MomentError> {
    let event_of = |choice: Option<MomentChoice>| -> Result<Option<u32>, MomentError> {
        let Some(choice) = choice else { return Ok(None) };
        Ok(recording.point(choice)?.event.map(|event| event.0))
    };
    let count = recording.history().events;
    let start = event_of(options.from)?.unwrap_or(0).min(count);
    let end = event_of(options.to)?.map_or(count, |last| last.saturating_add(1).min(count));
    if start >= end && count > 0 {
        return Err(MomentError::Reversed { from: start, to: end.saturating_sub(1) });
    }
    Ok(start..end.max(start))
}

/// The selected blocks' allocated and active bytes after every event.
fn blocks(
    recording: &Recording<'_>,
    selection: &Selection,
    lives: &[&Life],
) -> (Vec<u64>, Vec<u64>) {
    if selection.is_all() {
        let timeline = recording.timeline();
        return (timeline.allocated.clone(), timeline.active.clone());
    }
    recording.history().blocks_by_event(lives.iter().copied())
}

/// What the selected segments hold. The walk for the largest free block is left out where nobody
/// asks for it.
fn reservation(
    recording: &Recording<'_>,
    selection: &Selection,
    options: &OverTimeOptions,
) -> Reservation {
    let is_whole = selection.stream.is_none() && selection.pool.is_none();
    if is_whole && !options.counters.contains(&Counter::LargestFree) {
        let reserved = recording.timeline().reserved.clone();
        return Reservation { reserved, largest_free: Vec::new() };
    }
    recording.history().reservation(|segment| selection.has_segment(segment))
}

/// Active bytes of the selected streams and pools, whoever made them.
fn whole_active(recording: &Recording<'_>, selection: &Selection) -> Vec<u64> {
    if selection.stream.is_none() && selection.pool.is_none() {
        return recording.timeline().active.clone();
    }
    let of_any_stack = Selection { stacks: None, ..selection.clone() };
    recording.history().blocks_by_event(recording.lives(&of_any_stack)).1
}

/// Times since the first event that never go back.
struct Clock {
    epoch_us: Option<u64>,
    since_start: Vec<u64>,
}

impl Clock {
    fn of(trace: Option<&Trace>) -> Clock {
        let events = || trace.into_iter().flat_map(Trace::iter);
        let Some(start) = events().find_map(|(_, event)| event.time_us) else {
            return Clock { epoch_us: None, since_start: Vec::new() };
        };
        let mut now = 0;
        let since_start = events().map(|(_, event)| {
            now = event.time_us.map_or(now, |time| now.max(time.saturating_sub(start)));
            now
        });
        Clock { epoch_us: Some(start), since_start: since_start.collect() }
    }

    fn since_start(&self, event: u32) -> Option<u64> {
        self.since_start.get(event as usize).copied()
    }
}

/// A window in buckets.
struct Cut {
    axis: Axis,
    start: u32,
    buckets: Vec<Bucket>,
    is_exact: bool,
}

fn cut(clock: &Clock, events: &Range<u32>, options: &OverTimeOptions) -> Cut {
    let last = events.end.saturating_sub(1);
    let times = clock.since_start(events.start).zip(clock.since_start(last));
    let span = times.filter(|(first, last)| last > first);
    let bucket =
        |range: Range<u32>| Bucket { start_us: clock.since_start(range.start), events: range };
    let axis = match (options.axis, span) {
        (Some(Axis::Time), Some(_)) => Axis::Time,
        (None, Some((first, last))) if is_spread(clock, events, first..last) => Axis::Time,
        _ => Axis::Events,
    };
    let buckets = match (options.points, axis, span) {
        (None, ..) => events.clone().map(|event| bucket(event..event + 1)).collect(),
        (Some(points), Axis::Time, Some((first, last))) => {
            by_time(clock, events, first..last, points)
        }
        (Some(points), ..) => {
            let points = points.clamp(1, events.len().max(1)) as u64;
            let length = events.len() as u64;
            let edge = |index: u64| events.start + (length * index / points) as u32;
            let ranges = (0..points).map(|index| edge(index)..edge(index + 1));
            ranges.filter(|range| !range.is_empty()).map(bucket).collect()
        }
    };
    Cut { axis, start: events.start, buckets, is_exact: options.points.is_none() }
}

/// Whether events happen in at least a third of the time: else a chart over time shows a wall
/// after a plain.
fn is_spread(clock: &Clock, events: &Range<u32>, span: Range<u64>) -> bool {
    const PARTS: usize = 60;
    let parts = by_time(clock, events, span, PARTS);
    let busy = parts.iter().filter(|part| !part.events.is_empty()).count();
    busy * 3 >= parts.len()
}

/// Time can be cut finer than there are events, but no chart is wider than this.
const MOST_BUCKETS: u64 = 1 << 20;

fn by_time(clock: &Clock, events: &Range<u32>, span: Range<u64>, points: usize) -> Vec<Bucket> {
    let length = span.end - span.start;
    let points = (points as u64).min(MOST_BUCKETS).clamp(1, length);
    let edge = |index: u64| {
        span.start + (u128::from(length) * u128::from(index) / u128::from(points)) as u64
    };
    let inside = clock.since_start.get(events.start as usize..events.end as usize);
    let inside = inside.unwrap_or_default();
    let event_at = |time: u64| events.start + inside.partition_point(|&at| at < time) as u32;
    (0..points)
        .map(|index| {
            let end = if index + 1 == points { events.end } else { event_at(edge(index + 1)) };
            Bucket { events: event_at(edge(index))..end, start_us: Some(edge(index)) }
        })
        .collect()
}

impl Cut {
    /// The events that say what holds in a bucket.
    fn events_of(&self, bucket: &Bucket) -> Range<u32> {
        let carries = self.axis == Axis::Time && !self.is_exact && bucket.events.start > self.start;
        bucket.events.start - u32::from(carries)..bucket.events.end
    }

    fn ranges(&self) -> impl Iterator<Item = Range<u32>> {
        self.buckets.iter().map(|bucket| self.events_of(bucket))
    }

    fn extents(&self, series: &SeriesTree) -> Vec<Extent> {
        let extents = self.ranges().map(|it| series.extent(it.start as usize..it.end as usize));
        extents.map(Option::unwrap_or_default).collect()
    }

    fn band(&self, band: BandSteps, total: &SeriesTree) -> Band {
        let BandSteps { label, steps, peak, is_rest } = band;
        let highest = |it: Range<u32>| {
            let extent = total.extent(it.start as usize..it.end as usize);
            Bytes(extent.map_or(0, |extent| steps.at(extent.max_at as u32)))
        };
        Band {
            label,
            is_rest,
            peak,
            extents: self.ranges().map(|it| steps.extent(it).unwrap_or_default()).collect(),
            at_highest: self.ranges().map(highest).collect(),
        }
    }
}
