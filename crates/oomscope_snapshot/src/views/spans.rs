//! The counters over time and the lives of large blocks, for viewers of traces.

use oomscope_model::{Bytes, EventIndex, StackId};

use super::selection::Selection;
use crate::analysis::Recording;
use crate::{Trace, oom_events};

/// Counters at one event. Times are microseconds, or the event's index where none are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CounterSample {
    /// When.
    pub time: u64,
    /// In blocks that tensors hold.
    pub allocated: u64,
    /// Allocated, and waiting for a stream.
    pub active: u64,
    /// Held from the device.
    pub reserved: u64,
}

/// A block from its birth to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSpan {
    /// Who asked for it.
    pub stack: StackId,
    /// Bytes after rounding.
    pub size: Bytes,
    /// Bytes asked for.
    pub requested: Bytes,
    /// Device address.
    pub addr: u64,
    /// When it was handed out; the first event's time when it is older.
    pub from: u64,
    /// When it was given up; the last event's time when it was not.
    pub until: u64,
}

/// One device's recording as a viewer of traces shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    /// Whether times are microseconds; else they are indices of events.
    pub has_times: bool,
    /// The counters, at most twice as many as asked for.
    pub counters: Vec<CounterSample>,
    /// The largest selected blocks, largest first.
    pub blocks: Vec<BlockSpan>,
    /// Selected blocks that the limit left out.
    pub blocks_left_out: u64,
    /// Requests that failed: when, and their size.
    pub failures: Vec<(u64, Bytes)>,
}

/// The device's counters in `samples` stretches, of each the highest and the last, and its
/// `most` largest selected blocks.
pub fn spans(
    recording: &Recording<'_>,
    selection: &Selection,
    samples: usize,
    most: usize,
) -> Spans {
    let Some(trace) = recording.trace() else { return Spans::default() };
    let first_time = trace.iter().find_map(|(_, event)| event.time_us);
    let has_times = first_time.is_some();
    let time = |event: EventIndex| time_of(trace, event, has_times);
    let start = time(EventIndex(0)).unwrap_or(0);
    let end = trace.iter().next_back().and_then(|(last, _)| time(last)).unwrap_or(start);
    let mut lives = recording.lives(selection);
    lives.sort_unstable_by_key(|life| (std::cmp::Reverse(life.size), life.born, life.addr));
    let blocks_left_out = lives.len().saturating_sub(most) as u64;
    let blocks = lives.into_iter().take(most).map(|life| BlockSpan {
        stack: life.stack,
        size: life.size,
        requested: life.requested,
        addr: life.addr,
        from: life.allocated_at.and_then(time).unwrap_or(start),
        until: life.released_at().and_then(time).unwrap_or(end),
    });
    let failures = oom_events(trace).into_iter().filter_map(|event| {
        let size = trace.event(event)?.size;
        Some((time(event)?, size))
    });
    Spans {
        has_times,
        counters: counters(recording, trace, has_times, samples),
        blocks: blocks.collect(),
        blocks_left_out,
        failures: failures.collect(),
    }
}

fn time_of(trace: &Trace, event: EventIndex, has_times: bool) -> Option<u64> {
    if has_times { trace.event(event)?.time_us } else { Some(event.0.into()) }
}

fn counters(
    recording: &Recording<'_>,
    trace: &Trace,
    has_times: bool,
    samples: usize,
) -> Vec<CounterSample> {
    let timeline = recording.timeline();
    let sample = |index: usize| {
        Some(CounterSample {
            time: time_of(trace, EventIndex(index as u32), has_times)?,
            allocated: *timeline.allocated.get(index)?,
            active: *timeline.active.get(index)?,
            reserved: *timeline.reserved.get(index)?,
        })
    };
    let stretch = timeline.len().div_ceil(samples.max(1)).max(1);
    let mut shown = Vec::new();
    for from in (0..timeline.len()).step_by(stretch) {
        let last = (from + stretch).min(timeline.len()) - 1;
        let highest = (from..=last).max_by_key(|&index| timeline.allocated.get(index));
        shown.extend(highest.filter(|&highest| highest != last).and_then(sample));
        shown.extend(sample(last));
    }
    shown
}
