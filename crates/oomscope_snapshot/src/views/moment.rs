//! The moment that a view describes, as a user names it: an event, a time, the peak, the failure.

use std::str::FromStr;

use oomscope_model::{Bytes, EventIndex, Moment};
use thiserror::Error;

use crate::analysis::{Recording, chosen_moment};
use crate::{At, Trace, oom_events};

/// A moment by name. Parsed from `peak`, `oom`, `oom:2`, `end`, an event's index (`1234`), a time
/// since the first event (`1.5s`, `300ms`, `20us`, `2min`) or since the epoch (`@1700000000000000`,
/// microseconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MomentChoice {
    /// Right after the event with the most allocated bytes.
    Peak,
    /// Right before a request failed: the given failure, counted from 1, or the one that matters.
    Oom(Option<u32>),
    /// The dump.
    End,
    /// The failure where there is one, else the dump.
    OomOrEnd,
    /// Right after an event.
    Event(u32),
    /// Microseconds since the first event.
    Since(u64),
    /// Microseconds since the epoch.
    Epoch(u64),
}

/// A moment of one recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The moment.
    pub at: At,
    /// The event that it stands at, if it is one of the trace.
    pub event: Option<EventIndex>,
    /// Microseconds since the first event, where times were recorded.
    pub since_start_us: Option<u64>,
    /// Why this one.
    pub choice: MomentChoice,
    /// The request that failed, when this is a failure.
    pub failed_request: Option<Bytes>,
}

/// Why a moment cannot be had.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MomentError {
    /// Not a moment's spelling.
    #[error(
        "`{0}` is no moment: give an event's index, `peak`, `oom`, `oom:N`, `end`, a time since the start (`1.5s`, `300ms`) or `@MICROSECONDS` since the epoch"
    )]
    Spelling(String),
    /// The trace has no failure, or fewer.
    #[error("{}", no_such_failure(*found))]
    NoSuchOom {
        /// Failures in the trace.
        found: usize,
    },
    /// The event is not in the trace.
    #[error("{}", no_such_event(*event, *events))]
    NoSuchEvent {
        /// The event asked for.
        event: u32,
        /// Events in the trace.
        events: usize,
    },
    /// A stretch that ends before it begins.
    #[error("nothing lies between: `--from` (event {from}) is after `--to` (event {to})")]
    Reversed {
        /// The first event asked for.
        from: u32,
        /// The last event asked for.
        to: u32,
    },
    /// The time is before the first event or after the last.
    #[error(
        "that time is outside the recording, which lasts {:.3} s from @{start}",
        (.last - .start) as f64 / 1e6
    )]
    OutsideTheRecording {
        /// Microseconds since the epoch of the first event.
        start: u64,
        /// And of the last one.
        last: u64,
    },
    /// Times were not recorded.
    #[error("no times were recorded (PyTorch before 2.1, or no trace): name an event instead")]
    NoTimes,
}

fn no_such_failure(found: usize) -> String {
    match found {
        0 => "no request failed in this recording: `peak`, `end` or an event's index can be had"
            .to_owned(),
        1 => "one request failed in this recording: `oom` is that moment".to_owned(),
        _ => format!("{found} requests failed in this recording: `oom:1` to `oom:{found}`"),
    }
}

fn no_such_event(event: u32, events: usize) -> String {
    match events {
        0 => "no events were recorded: only `end` can be had".to_owned(),
        _ => format!("no event {event}: the trace has events 0 to {}", events - 1),
    }
}

impl FromStr for MomentChoice {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<MomentChoice, MomentError> {
        let spelling = || MomentError::Spelling(text.to_owned());
        match text {
            "peak" => return Ok(MomentChoice::Peak),
            "oom" => return Ok(MomentChoice::Oom(None)),
            "end" => return Ok(MomentChoice::End),
            "start" => return Ok(MomentChoice::Since(0)),
            _ => {}
        }
        if let Some(number) = text.strip_prefix("oom:") {
            let number = number.parse().ok().filter(|&number| number > 0);
            return number.map(|number| MomentChoice::Oom(Some(number))).ok_or_else(spelling);
        }
        if let Some(time) = text.strip_prefix('@') {
            return time.parse().map(MomentChoice::Epoch).map_err(|_| spelling());
        }
        if let Ok(event) = text.parse() {
            return Ok(MomentChoice::Event(event));
        }
        // The longer unit first: "ms" ends in "s" too.
        let units = [("min", 60e6), ("us", 1.0), ("ms", 1e3), ("s", 1e6)];
        let (number, unit) = units
            .iter()
            .find_map(|&(name, unit)| Some((text.strip_suffix(name)?, unit)))
            .ok_or_else(spelling)?;
        let number: f64 = number.trim().parse().map_err(|_| spelling())?;
        if !number.is_finite() || number < 0.0 {
            return Err(spelling());
        }
        Ok(MomentChoice::Since((number * unit) as u64))
    }
}

impl Recording<'_> {
    /// The moment that a choice names in this recording.
    pub fn point(&self, choice: MomentChoice) -> Result<Point, MomentError> {
        let Some(trace) = self.trace() else {
            return match choice {
                MomentChoice::Peak | MomentChoice::End | MomentChoice::OomOrEnd => {
                    Ok(end(MomentChoice::End))
                }
                MomentChoice::Oom(_) => Err(MomentError::NoSuchOom { found: 0 }),
                MomentChoice::Event(event) => Err(MomentError::NoSuchEvent { event, events: 0 }),
                MomentChoice::Since(_) | MomentChoice::Epoch(_) => Err(MomentError::NoTimes),
            };
        };
        match choice {
            MomentChoice::Peak => {
                let peak = self.peak_allocated().map(|(event, _)| event);
                Ok(peak.map_or(end(choice), |event| after(trace, event, choice)))
            }
            MomentChoice::End => Ok(end(choice)),
            MomentChoice::OomOrEnd if oom_events(trace).is_empty() => Ok(end(MomentChoice::End)),
            MomentChoice::Oom(None) | MomentChoice::OomOrEnd => {
                match chosen_moment(trace, self.timeline()) {
                    Moment::Oom { event, .. } => Ok(before(trace, event)),
                    Moment::Peak { .. } | Moment::End => Err(MomentError::NoSuchOom { found: 0 }),
                }
            }
            MomentChoice::Oom(Some(number)) => {
                let events = oom_events(trace);
                let event = events.get((number as usize).saturating_sub(1)).copied();
                let event = event.ok_or(MomentError::NoSuchOom { found: events.len() })?;
                Ok(before(trace, event))
            }
            MomentChoice::Event(event) if (event as usize) < trace.len() => {
                Ok(after(trace, EventIndex(event), choice))
            }
            MomentChoice::Event(event) => {
                Err(MomentError::NoSuchEvent { event, events: trace.len() })
            }
            MomentChoice::Since(micros) => {
                let start = first_time(trace).ok_or(MomentError::NoTimes)?;
                within(trace, start, start.saturating_add(micros), choice)
            }
            MomentChoice::Epoch(micros) => {
                let start = first_time(trace).ok_or(MomentError::NoTimes)?;
                within(trace, start, micros, choice)
            }
        }
    }
}

impl Recording<'_> {
    /// The failures of the trace, oldest first.
    pub fn failures(&self) -> Vec<Point> {
        let Some(trace) = self.trace() else { return Vec::new() };
        oom_events(trace).into_iter().map(|event| before(trace, event)).collect()
    }
}

fn first_time(trace: &Trace) -> Option<u64> {
    trace.iter().find_map(|(_, event)| event.time_us)
}

/// The moment at a time inside the recording.
fn within(
    trace: &Trace,
    start: u64,
    micros: u64,
    choice: MomentChoice,
) -> Result<Point, MomentError> {
    let last = trace.iter().rev().find_map(|(_, event)| event.time_us).unwrap_or(start);
    // A time that is read off a report is rounded to its last digit.
    if micros < start || micros > last.saturating_add(last.saturating_sub(start) / 100 + 1000) {
        return Err(MomentError::OutsideTheRecording { start, last });
    }
    Ok(at_time(trace, micros, choice))
}

/// The last event that is not later than a time; before the first one: the first.
fn at_time(trace: &Trace, micros: u64, choice: MomentChoice) -> Point {
    let later = trace.iter().position(|(_, event)| event.time_us.is_some_and(|at| at > micros));
    let last = later.unwrap_or(trace.len()).saturating_sub(1);
    after(trace, EventIndex(last as u32), choice)
}

fn since_start(trace: &Trace, event: EventIndex) -> Option<u64> {
    trace.event(event)?.time_us?.checked_sub(first_time(trace)?)
}

fn after(trace: &Trace, event: EventIndex, choice: MomentChoice) -> Point {
    Point {
        at: At::After(event),
        event: Some(event),
        since_start_us: since_start(trace, event),
        choice,
        failed_request: None,
    }
}

fn before(trace: &Trace, event: EventIndex) -> Point {
    Point {
        at: At::Before(event),
        event: Some(event),
        since_start_us: since_start(trace, event),
        choice: MomentChoice::Oom(None),
        failed_request: trace.event(event).map(|event| event.size),
    }
}

fn end(choice: MomentChoice) -> Point {
    Point { at: At::End, event: None, since_start_us: None, choice, failed_request: None }
}

#[cfg(test)]
mod tests {
    use super::MomentChoice;

    #[test]
    fn moments_are_spelt_as_events_names_and_times() {
        for (text, choice) in [
            ("peak", MomentChoice::Peak),
            ("oom", MomentChoice::Oom(None)),
            ("oom:2", MomentChoice::Oom(Some(2))),
            ("1234", MomentChoice::Event(1234)),
            ("1.5s", MomentChoice::Since(1_500_000)),
            ("300ms", MomentChoice::Since(300_000)),
            ("20us", MomentChoice::Since(20)),
            ("2min", MomentChoice::Since(120_000_000)),
            ("@17", MomentChoice::Epoch(17)),
        ] {
            assert_eq!(text.parse(), Ok(choice), "{text}");
        }
        for text in ["", "s", "-1s", "nans", "oom:0", "1.5", "@x", "99999999999"] {
            assert!(text.parse::<MomentChoice>().is_err(), "{text}");
        }
    }
}
