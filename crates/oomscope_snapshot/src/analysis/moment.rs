//! Which moment of the trace matters: the failure that the log is about, else the peak.

use crate::{Timeline, Trace, oom_events};
use oomscope_model::{Bytes, EventIndex, Moment};

/// The moment to describe. A program that caught its error has long freed the memory at the dump,
/// so an `oom` event wins over everything. Among several: the one whose request is the log's
/// (an expandable segment's event may be smaller than the message, never larger), else the last
/// when the trace ends there, else the first, from which the program recovered by giving things up.
pub(super) fn choose(
    trace: Option<&Trace>,
    timeline: &Timeline,
    failed_request: Option<Bytes>,
) -> Moment {
    let Some(trace) = trace.filter(|trace| !trace.is_empty()) else { return Moment::End };
    let failures = oom_events(trace);
    let matching = failed_request.and_then(|wanted| {
        failures
            .iter()
            .rev()
            .find(|event| trace.event(**event).is_some_and(|event| is_about(event.size, wanted)))
    });
    let chosen = matching.or_else(|| {
        let last = failures.last()?;
        let tail = trace.len().saturating_sub(last.0 as usize);
        if tail <= trace.len() / 20 + 64 { Some(last) } else { failures.first() }
    });
    if let Some((index, event)) = chosen.and_then(|index| Some((*index, trace.event(*index)?))) {
        return Moment::Oom { event: index, requested: event.size, device_free: Bytes(event.addr) };
    }
    // The last of equal peaks has the most history before it.
    let most = timeline.allocated.iter().max();
    let peak = timeline.allocated.iter().rposition(|bytes| Some(bytes) == most);
    Moment::Peak { event: EventIndex(peak.unwrap_or(trace.len() - 1) as u32) }
}

/// The message states the segment that was asked for: the request rounded up to 2 MiB (20 MiB
/// segments below 10 MiB), printed with two decimals.
fn is_about(recorded: Bytes, stated: Bytes) -> bool {
    let low = stated.saturating_sub(Bytes::from_mib(20)).0 as f64 * 0.99;
    let high = stated.0 as f64 * 1.01;
    (low..=high).contains(&(recorded.0 as f64))
}
