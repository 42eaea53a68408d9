//! Which events have which label, as spans of events.

use std::collections::HashMap;

use oomscope_model::{EventIndex, EventKind, StackId};
use rustc_hash::FxHashMap;

use crate::analysis::Recording;
use crate::{Life, Stage, Trace};

/// A span of events, `from` included, `to` not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) from: u32,
    pub(super) to: u32,
    /// Microseconds since the epoch at both ends; `None` where not recorded.
    pub(super) times: Option<(u64, u64)>,
}

/// The spans of each label.
#[derive(Default)]
pub(super) struct Labelled {
    pub(super) labels: Vec<(String, Vec<Span>)>,
    pub(super) unmatched: u64,
}

/// Named ranges: a `START` and the next `END` of its name, the youngest `START` first. Those of the
/// device; all of them where none is of it.
pub(super) fn annotated(recording: &Recording<'_>) -> Labelled {
    let all = &recording.snapshot().annotations;
    let device = Some(recording.device());
    let has_own = all.iter().any(|annotation| annotation.device == device);
    let Some(trace) = recording.trace() else { return Labelled::default() };
    let times = running_times(trace);
    let last = times.last().copied().unwrap_or(0);
    let span = |start: u64, end: u64| Span {
        from: times.partition_point(|time| *time < start) as u32,
        to: times.partition_point(|time| *time <= end) as u32,
        times: Some((start, end)),
    };
    let mut unmatched = 0;
    let mut names: HashMap<&str, usize> = HashMap::new();
    let mut labels: Vec<(String, Vec<Span>)> = Vec::new();
    let mut open: Vec<Vec<u64>> = Vec::new();
    for annotation in all {
        let (Some(time), true) = (annotation.time_us, !has_own || annotation.device == device)
        else {
            continue;
        };
        let at = *names.entry(&annotation.name).or_insert_with(|| {
            labels.push((annotation.name.clone(), Vec::new()));
            open.push(Vec::new());
            labels.len() - 1
        });
        let (Some((_, spans)), Some(open)) = (labels.get_mut(at), open.get_mut(at)) else {
            continue;
        };
        match annotation.stage {
            Stage::Start => open.push(time),
            Stage::End => match open.pop() {
                Some(start) => spans.push(span(start, time)),
                None => unmatched += 1,
            },
            Stage::Instant => spans.push(span(time, time)),
        }
    }
    for ((_, spans), open) in labels.iter_mut().zip(open) {
        unmatched += open.len() as u64;
        spans.extend(open.into_iter().map(|start| span(start, last.max(start))));
    }
    labels.retain(|(_, spans)| !spans.is_empty());
    Labelled { labels, unmatched }
}

/// The time of each event, never less than that of the one before.
fn running_times(trace: &Trace) -> Vec<u64> {
    let mut latest = 0;
    let times = trace.iter().map(|(_, event)| {
        latest = latest.max(event.time_us.unwrap_or(0));
        latest
    });
    times.collect()
}

/// Runs of events whose text is the same.
pub(super) fn by_text<'t>(
    recording: &Recording<'t>,
    text: impl Fn(&'t Trace, EventIndex) -> Option<&'t str>,
) -> Labelled {
    let Some(trace) = recording.trace() else { return Labelled::default() };
    let mut names: HashMap<&str, u32> = HashMap::new();
    let mut runs = Runs::default();
    for (index, event) in trace.iter() {
        let label = text(trace, index)
            .map(|text| *names.entry(text).or_insert_with(|| runs.name(text.to_owned())));
        runs.event(index.0, event.time_us, label);
    }
    runs.finish(trace)
}

/// Runs of events made by stacks of the same label. What is given up where its stack was recorded
/// anew belongs to that stack, other events to the run that they are in.
pub(super) fn by_stack(
    recording: &Recording<'_>,
    lives: &[&Life],
    label: impl Fn(StackId) -> Option<String>,
) -> Labelled {
    let Some(trace) = recording.trace() else { return Labelled::default() };
    let mut made_by: Vec<Option<StackId>> = vec![None; trace.len()];
    for life in lives {
        if let Some(EventIndex(event)) = life.released_at()
            && let Some(slot) = made_by.get_mut(event as usize)
        {
            *slot = Some(life.stack);
        }
    }
    let mut runs = Runs::default();
    let mut by_stack: FxHashMap<StackId, Option<u32>> = FxHashMap::default();
    let mut names: HashMap<String, u32> = HashMap::new();
    let mut current = None;
    for ((index, event), made_by) in trace.iter().zip(made_by) {
        let tells = match event.kind {
            EventKind::Alloc => true,
            EventKind::FreeRequested | EventKind::FreeCompleted => {
                made_by.is_some_and(|made_by| made_by != event.stack)
            }
            _ => false,
        };
        if tells {
            current = *by_stack.entry(event.stack).or_insert_with(|| {
                let label = label(event.stack)?;
                Some(*names.entry(label.clone()).or_insert_with(|| runs.name(label)))
            });
        }
        runs.event(index.0, event.time_us, current);
    }
    runs.finish(trace)
}

/// Runs of labels, built event by event.
#[derive(Default)]
struct Runs {
    labels: Vec<(String, Vec<Span>)>,
    /// Label, first event, its time.
    current: Option<(u32, u32, Option<u64>)>,
    last_time: Option<u64>,
}

impl Runs {
    fn name(&mut self, label: String) -> u32 {
        self.labels.push((label, Vec::new()));
        self.labels.len() as u32 - 1
    }

    fn event(&mut self, index: u32, time: Option<u64>, label: Option<u32>) {
        if self.current.map(|(current, ..)| current) != label {
            self.close(index, time);
            self.current = label.map(|label| (label, index, time));
        }
        self.last_time = time.or(self.last_time);
    }

    /// A run lasts until the next begins.
    fn close(&mut self, to: u32, end: Option<u64>) {
        let Some((label, from, start)) = self.current.take() else { return };
        let end = end.or(self.last_time);
        let times = start.zip(end).map(|(start, end)| (start, end.max(start)));
        if let Some((_, spans)) = self.labels.get_mut(label as usize) {
            spans.push(Span { from, to, times });
        }
    }

    fn finish(mut self, trace: &Trace) -> Labelled {
        let last = self.last_time;
        self.close(trace.len() as u32, last);
        Labelled { labels: self.labels, unmatched: 0 }
    }
}
