//! Reserved and active bytes over the events, of both runs on the same stretches of events.

use oomscope_allocator::Point;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::timeline::{BucketsV1, SeriesV1, TimelineV1};
use super::super::wire::{CountersV1, PointV1};
use super::{OomV1, ReplayV1, Replayed};

/// Stretches that the events are cut into.
const STRETCHES: u64 = 600;

/// Counters over the events.
#[derive(Serialize, JsonSchema)]
pub(crate) struct CurveV1 {
    /// The first event of each stretch.
    pub(crate) event: Vec<u32>,
    /// The recorded run.
    pub(crate) recorded: CountsV1,
    /// The changed one; null without a change.
    pub(crate) changed: Option<CountsV1>,
}

/// The highest of a stretch, in bytes; 0 behind the end of the run.
#[derive(Serialize, JsonSchema)]
pub(crate) struct CountsV1 {
    /// Held from the device.
    pub(crate) reserved: Vec<u64>,
    /// In blocks in use.
    pub(crate) active: Vec<u64>,
}

impl CurveV1 {
    pub(super) fn of(replayed: &Replayed, events: u64) -> CurveV1 {
        let each = events.div_ceil(STRETCHES).max(1);
        let starts = (0..events).step_by(usize::try_from(each).unwrap_or(usize::MAX));
        let event: Vec<u32> = starts.filter_map(|start| u32::try_from(start).ok()).collect();
        let counts = |run: &oomscope_diagnose::replay::Run| {
            let end = run.outcome.failure.map(|failure| failure.event);
            CountsV1::of(&run.curve, &event, end)
        };
        let recorded = counts(replayed.as_recorded);
        let changed = replayed.changed.map(counts);
        CurveV1 { event, recorded, changed }
    }

    /// The highest of all.
    pub(super) fn most(&self) -> u64 {
        let all = [Some(&self.recorded), self.changed.as_ref()].into_iter().flatten();
        all.flat_map(|counts| &counts.reserved).copied().max().unwrap_or(0)
    }
}

impl CountsV1 {
    /// A curve on stretches that begin at `starts`; the run ends with the event `end`, if it fails.
    fn of(curve: &[Point], starts: &[u32], end: Option<u32>) -> CountsV1 {
        let mut points = curve.iter().peekable();
        let (mut reserved, mut active) = (Vec::new(), Vec::new());
        let mut last = Point::default();
        for (index, start) in starts.iter().enumerate() {
            let next = starts.get(index + 1).copied().unwrap_or(u32::MAX);
            let mut most: Option<Point> = None;
            while let Some(point) = points.next_if(|point| point.event < next) {
                last = *point;
                let most = most.get_or_insert(*point);
                most.reserved = most.reserved.max(point.reserved);
                most.peak_active = most.peak_active.max(point.peak_active);
            }
            let is_over = end.is_some_and(|end| end < *start);
            let shown = if is_over { Point::default() } else { most.unwrap_or(last) };
            reserved.push(shown.reserved);
            active.push(shown.peak_active);
        }
        CountsV1 { reserved, active }
    }
}

impl ReplayV1 {
    /// Series over the events as a timeline has them, with failures to mark.
    pub(super) fn timeline(&self, series: Vec<(&str, &[u64])>, failures: &[&OomV1]) -> TimelineV1 {
        let events = u32::try_from(self.read.events).unwrap_or(u32::MAX);
        let starts = &self.curve.event;
        let ends = starts.iter().skip(1).copied().chain([events]);
        TimelineV1 {
            axis: "events",
            from_event: 0,
            events,
            epoch_us: None,
            end_us: None,
            exact: true,
            by: None,
            peak: None,
            asked: None,
            failures: failures
                .iter()
                .map(|oom| PointV1 {
                    kind: "oom",
                    event: Some(oom.event),
                    since_start_us: None,
                    failed_request: Some(oom.size),
                })
                .collect(),
            buckets: BucketsV1 {
                event: starts.clone(),
                events: starts.iter().zip(ends).map(|(at, end)| end.saturating_sub(*at)).collect(),
                start_us: None,
            },
            series: series
                .into_iter()
                .map(|(name, values)| SeriesV1 {
                    name: name.to_owned(),
                    kind: "counter",
                    peak: values.iter().copied().max().unwrap_or(0),
                    first: None,
                    min: None,
                    max: None,
                    last: values.to_vec(),
                    at_highest: None,
                })
                .collect(),
            end: CountersV1 {
                reserved: self.recorded.reserved,
                allocated: self.recorded.active,
                active: self.recorded.active,
                requested: None,
                cached: self.recorded.reserved.saturating_sub(self.recorded.active),
                pending_free: 0,
                private_pools: 0,
                largest_free_block: None,
                inactive_split: None,
            },
        }
    }
}
