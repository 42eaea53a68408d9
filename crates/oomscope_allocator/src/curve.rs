//! Counters over time, in as many points as a chart has.

use crate::counters::Counters;
use crate::replay::Watch;

/// A point of a curve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// The last event of the recorded trace that it stands for.
    pub event: u32,
    /// Highest bytes held from the device.
    pub reserved: u64,
    /// Bytes in blocks in use, active ones, when that much was held.
    pub active: u64,
    /// Highest bytes in active blocks.
    pub peak_active: u64,
}

/// Collects a curve while a replay runs.
#[derive(Clone, Debug)]
pub struct Curve {
    points: Vec<Point>,
    events_each: u32,
}

impl Curve {
    /// A curve of about `points` points over `events` events.
    pub fn new(events: usize, points: usize) -> Curve {
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        let points = u32::try_from(points.max(1)).unwrap_or(u32::MAX);
        Curve { points: Vec::new(), events_each: events.div_ceil(points).max(1) }
    }

    /// The points, oldest first.
    pub fn points(&self) -> &[Point] {
        &self.points
    }
}

impl Watch for Curve {
    #[inline]
    fn step(&mut self, event: u32, counters: &Counters) {
        let bucket = event / self.events_each;
        let same = self.points.last_mut().filter(|last| last.event / self.events_each == bucket);
        let Some(last) = same else {
            self.points.push(Point {
                event,
                reserved: counters.reserved,
                active: counters.active,
                peak_active: counters.active,
            });
            return;
        };
        last.event = event;
        last.peak_active = last.peak_active.max(counters.active);
        if counters.reserved >= last.reserved {
            last.reserved = counters.reserved;
            last.active = counters.active;
        }
    }
}
