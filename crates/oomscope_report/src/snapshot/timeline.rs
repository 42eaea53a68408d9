//! `timeline`: the counters, or groups of blocks, over a window of the trace.

use oomscope_model::Bytes;
use oomscope_snapshot::views::{Axis, Band, Counter, Extent, GroupBy, OverTime, Point};
use schemars::JsonSchema;
use serde::Serialize;

use super::View;
use super::chart;
use super::live::name;
use super::section::{Section, duration, grouped};
use super::wire::{CountersV1, PointV1};

/// Counters over a window of the trace, by bucket.
#[derive(Serialize, JsonSchema)]
pub struct TimelineV1 {
    /// What the buckets cut evenly: `time` or `events`.
    pub(crate) axis: &'static str,
    /// The window's first event.
    pub(crate) from_event: u32,
    /// Events in the window; 0 when nothing was recorded.
    pub(crate) events: u32,
    /// Microseconds since the epoch at the trace's first event; null where not recorded.
    pub(crate) epoch_us: Option<u64>,
    /// Microseconds from the trace's first event to the window's last; null where not recorded.
    pub(crate) end_us: Option<u64>,
    /// Whether each bucket is one event: then series have `last` only.
    pub(crate) exact: bool,
    /// What blocks are grouped by; null when they are not.
    pub(crate) by: Option<&'static str>,
    /// Where the allocated bytes of the blocks that the filters keep were highest in the window.
    pub(crate) peak: Option<PeakV1>,
    /// The moment that was asked for by `--at`.
    pub(crate) asked: Option<PointV1>,
    /// The failures in the window, oldest first.
    pub(crate) failures: Vec<PointV1>,
    /// The stretches that the window is cut into, by column.
    pub(crate) buckets: BucketsV1,
    /// Counters, then groups, steadiest first. Each list has an entry for each bucket, in bytes.
    pub(crate) series: Vec<SeriesV1>,
    /// The counters at the dump.
    pub(crate) end: CountersV1,
}

/// The highest moment of the window.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PeakV1 {
    /// Where.
    pub(crate) at: PointV1,
    /// In blocks that tensors hold, in bytes.
    pub(crate) allocated: u64,
}

/// Stretches of events. On the time axis a bucket begins with what the event before it left.
#[derive(Serialize, JsonSchema)]
pub(crate) struct BucketsV1 {
    /// The first event.
    pub(crate) event: Vec<u32>,
    /// The number of events; 0 where time passed and nothing happened.
    pub(crate) events: Vec<u32>,
    /// Microseconds from the trace's first event; null where not recorded.
    pub(crate) start_us: Option<Vec<u64>>,
}

/// A counter or a group.
#[derive(Serialize, JsonSchema)]
pub(crate) struct SeriesV1 {
    /// The counter, or the group's key in words.
    pub(crate) name: String,
    /// `counter`, `group` or `rest`.
    pub(crate) kind: &'static str,
    /// The most in the window.
    pub(crate) peak: u64,
    /// After the bucket's first event; null when exact.
    pub(crate) first: Option<Vec<u64>>,
    /// The least in the bucket; null when exact.
    pub(crate) min: Option<Vec<u64>>,
    /// The most in the bucket; null when exact.
    pub(crate) max: Option<Vec<u64>>,
    /// After the bucket's last event.
    pub(crate) last: Vec<u64>,
    /// Of a group: when the sum of all groups was highest in the bucket; null when exact.
    pub(crate) at_highest: Option<Vec<u64>>,
}

impl SeriesV1 {
    fn new(name: String, kind: &'static str, extents: &[Extent], is_exact: bool) -> SeriesV1 {
        let column = |of: fn(&Extent) -> u64| extents.iter().map(of).collect::<Vec<u64>>();
        let unless_exact = |of: fn(&Extent) -> u64| (!is_exact).then(|| column(of));
        SeriesV1 {
            name,
            kind,
            peak: extents.iter().map(|extent| extent.max).max().unwrap_or(0),
            first: unless_exact(|extent| extent.first),
            min: unless_exact(|extent| extent.min),
            max: unless_exact(|extent| extent.max),
            last: column(|extent| extent.last),
            at_highest: None,
        }
    }

    fn of_band(band: &Band, is_exact: bool) -> SeriesV1 {
        let kind = if band.is_rest { "rest" } else { "group" };
        let highest = || band.at_highest.iter().map(|bytes| bytes.0).collect();
        SeriesV1 {
            at_highest: (!is_exact).then(highest),
            ..SeriesV1::new(band.label.clone(), kind, &band.extents, is_exact)
        }
    }

    /// The most by bucket.
    pub(crate) fn most(&self) -> &[u64] {
        self.max.as_deref().unwrap_or(&self.last)
    }

    /// The least by bucket.
    pub(crate) fn least(&self) -> &[u64] {
        self.min.as_deref().unwrap_or(&self.last)
    }

    /// What can be stacked, by bucket.
    pub(crate) fn stackable(&self) -> &[u64] {
        self.at_highest.as_deref().unwrap_or(&self.last)
    }

    pub(crate) fn is_band(&self) -> bool {
        self.kind != "counter"
    }
}

/// The view of a window; `asked` is the moment to mark.
pub fn timeline(over_time: &OverTime, by: Option<GroupBy>, asked: Option<Point>) -> View {
    let is_exact = over_time.is_exact;
    let counters = over_time.counters.iter().map(|(counter, extents)| {
        SeriesV1::new(counter_name(*counter).to_owned(), "counter", extents, is_exact)
    });
    let bands = over_time.bands.iter().map(|band| SeriesV1::of_band(band, is_exact));
    View::Timeline(Box::new(TimelineV1 {
        axis: match over_time.axis {
            Axis::Time => "time",
            Axis::Events => "events",
        },
        from_event: over_time.events.start,
        events: over_time.events.end - over_time.events.start,
        epoch_us: over_time.epoch_us,
        end_us: over_time.end_us,
        exact: is_exact,
        by: by.map(name),
        peak: over_time
            .peak
            .map(|(point, bytes)| PeakV1 { at: PointV1::of(&point), allocated: bytes.0 }),
        asked: asked.as_ref().map(PointV1::of),
        failures: over_time.failures.iter().map(PointV1::of).collect(),
        buckets: BucketsV1 {
            event: over_time.buckets.iter().map(|bucket| bucket.events.start).collect(),
            events: over_time.buckets.iter().map(|bucket| bucket.events.len() as u32).collect(),
            start_us: over_time.buckets.iter().map(|bucket| bucket.start_us).collect(),
        },
        series: counters.chain(bands).collect(),
        end: CountersV1::of(&over_time.end),
    }))
}

/// A counter as the command line spells it.
fn counter_name(counter: Counter) -> &'static str {
    match counter {
        Counter::Allocated => "allocated",
        Counter::Active => "active",
        Counter::Reserved => "reserved",
        Counter::Cached => "cached",
        Counter::LargestFree => "largest-free",
    }
}

/// Something to point at in a chart.
pub(crate) struct Mark {
    pub(crate) event: u32,
    pub(crate) label: String,
    pub(crate) is_failure: bool,
}

impl TimelineV1 {
    pub(super) fn sections(&self) -> Vec<Section> {
        let Some(headline) = self.headline() else {
            let end = &self.end;
            return vec![
                Section::Headline(format!(
                    "{} allocated, {} reserved at the dump",
                    Bytes(end.allocated),
                    Bytes(end.reserved)
                )),
                Section::Note(
                    "no history was recorded, so nothing is known over time: call \
                     `torch.cuda.memory._record_memory_history()` first"
                        .to_owned(),
                ),
            ];
        };
        let mut sections = vec![Section::Headline(headline)];
        sections.extend(chart::charts(self).into_iter().map(Section::Picture));
        sections
    }

    /// What the window shows in words; `None` when it is empty.
    pub(crate) fn headline(&self) -> Option<String> {
        if self.buckets.event.is_empty() {
            return None;
        }
        let events = match self.events {
            1 => "1 event".to_owned(),
            count => format!("{} events", grouped(count.into())),
        };
        let span =
            self.end_us.zip(self.buckets.start_us.as_ref().and_then(|it| it.first().copied()));
        let span = span.and_then(|(end, start)| end.checked_sub(start)).filter(|span| *span > 0);
        let span = span.map_or_else(String::new, |span| format!(", {}", duration(span)));
        let peak = self.peak.as_ref().map_or_else(String::new, |peak| {
            let event = peak.at.event.map_or(0, u64::from);
            let time = peak.at.since_start_us.map(|micros| format!(" ({})", duration(micros)));
            let time = time.unwrap_or_default();
            format!("; peak {} allocated at event {}{time}", Bytes(peak.allocated), grouped(event))
        });
        Some(format!("{events}{span}{peak}"))
    }

    /// What to point at, by event.
    pub(crate) fn marks(&self) -> Vec<Mark> {
        let mut marks: Vec<Mark> = Vec::new();
        for failure in &self.failures {
            let request = failure.failed_request.map(Bytes);
            let label = request.map_or("oom".to_owned(), |request| format!("oom ({request})"));
            marks.extend(failure.event.map(|event| Mark { event, label, is_failure: true }));
        }
        if let Some(peak) = &self.peak {
            let label = "peak".to_owned();
            marks.extend(peak.at.event.map(|event| Mark { event, label, is_failure: false }));
        }
        let asked = self.asked.as_ref().and_then(|asked| asked.event);
        marks.extend(asked.map(|event| Mark { event, label: "at".to_owned(), is_failure: false }));
        marks.retain(|mark| mark.event >= self.from_event);
        marks.retain(|mark| mark.event - self.from_event < self.events);
        marks
    }

    /// The bucket of an event.
    pub(crate) fn bucket_of(&self, event: u32) -> usize {
        // Buckets without events share their start with the one after them.
        let after = self.buckets.event.partition_point(|&start| start <= event);
        let mut at = after.saturating_sub(1);
        while at > 0 && self.buckets.events.get(at) == Some(&0) {
            at -= 1;
        }
        at
    }

    pub(crate) fn counter(&self, name: &str) -> Option<&SeriesV1> {
        self.series.iter().find(|series| !series.is_band() && series.name == name)
    }

    pub(crate) fn bands(&self) -> impl DoubleEndedIterator<Item = &SeriesV1> {
        self.series.iter().filter(|series| series.is_band())
    }

    /// Both ends of the axis in words.
    pub(crate) fn axis_ends(&self) -> (String, String) {
        let last = (self.from_event + self.events).saturating_sub(1);
        let start_us = self.buckets.start_us.as_ref().and_then(|starts| starts.first().copied());
        match (self.axis, start_us, self.end_us) {
            ("time", Some(start), Some(end)) => (duration(start), duration(end)),
            _ => (
                format!("event {}", grouped(self.from_event.into())),
                format!("event {}", grouped(last.into())),
            ),
        }
    }
}
