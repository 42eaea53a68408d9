//! The counters after every event, for plots and peaks.

use oomscope_model::{Bytes, DeviceId, EventIndex};

use crate::history::{History, Life, history};
use crate::snapshot::Snapshot;

/// Bytes after each event, by event index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// In blocks that Python holds.
    pub allocated: Vec<u64>,
    /// Allocated plus waiting for a stream.
    pub active: Vec<u64>,
    /// Held from the device.
    pub reserved: Vec<u64>,
}

/// The counters of `device` after every event.
pub fn counters(snapshot: &Snapshot, device: DeviceId) -> Timeline {
    history(snapshot, device).timeline()
}

impl History {
    /// The counters after every event; equal to [`History::state_at`] at each.
    pub fn timeline(&self) -> Timeline {
        let (allocated, active) = self.blocks_by_event(&self.lives);
        Timeline { allocated, active, reserved: self.reserved_by_event() }
    }

    /// Bytes in blocks that Python holds, and in those that wait as well, after every event.
    pub(crate) fn blocks_by_event<'l>(
        &self,
        lives: impl IntoIterator<Item = &'l Life, IntoIter: Clone>,
    ) -> (Vec<u64>, Vec<u64>) {
        let lives = lives.into_iter();
        (self.held_by_event(lives.clone(), released), self.held_by_event(lives, completed))
    }

    /// The first event after which the most bytes were allocated, and how many: as
    /// [`Timeline::peak_allocated`], at a third of the cost.
    pub fn peak_allocated(&self) -> Option<(EventIndex, Bytes)> {
        first_highest(&self.held_by_event(self.lives.iter(), released))
    }

    /// The most bytes that were held from the device after any event, or at the dump.
    pub fn peak_reserved(&self) -> Bytes {
        let mut layout = self.layout.clone();
        let mut most = layout.reserved();
        for &change in self.changes.iter().rev() {
            layout.undo(change);
            // What is before the first event is not of the trace.
            if change.time > 1 {
                most = most.max(layout.reserved());
            }
        }
        Bytes(most)
    }

    /// Bytes of blocks from their birth to their end, after every event.
    fn held_by_event<'l>(
        &self,
        lives: impl Iterator<Item = &'l Life>,
        end: fn(&Life) -> u32,
    ) -> Vec<u64> {
        let mut held = vec![0_u64; self.events as usize + 1];
        for life in lives {
            change(&mut held, life.born, life.size.0);
            change(&mut held, end(life), life.size.0.wrapping_neg());
        }
        summed(held)
    }

    fn reserved_by_event(&self) -> Vec<u64> {
        let mut reserved = vec![0_u64; self.events as usize];
        let mut layout = self.layout.clone();
        let mut changes = self.changes.iter().rev().peekable();
        for (cell, before) in reserved.iter_mut().zip(0..self.events).rev() {
            let time = before + 1;
            while let Some(&change) = changes.next_if(|change| change.time > time) {
                layout.undo(change);
            }
            *cell = layout.reserved();
        }
        reserved
    }
}

/// A block that waits from birth on is never allocated.
fn released(life: &Life) -> u32 {
    life.released.max(life.born).min(life.completed)
}

fn completed(life: &Life) -> u32 {
    life.completed
}

fn first_highest(bytes: &[u64]) -> Option<(EventIndex, Bytes)> {
    let most = *bytes.iter().max()?;
    let at = bytes.iter().position(|&bytes| bytes == most)?;
    Some((EventIndex(u32::try_from(at).ok()?), Bytes(most)))
}

fn change(deltas: &mut [u64], time: u32, by: u64) {
    if let Some(delta) = deltas.get_mut(time as usize) {
        *delta = delta.wrapping_add(by);
    }
}

/// Running sums; what was before the first event is added in, not listed.
fn summed(mut deltas: Vec<u64>) -> Vec<u64> {
    let mut sum = 0_u64;
    for delta in &mut deltas {
        sum = sum.wrapping_add(*delta);
        *delta = sum;
    }
    deltas.remove(0);
    deltas
}

impl Timeline {
    /// Number of events.
    pub fn len(&self) -> usize {
        self.allocated.len()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.allocated.is_empty()
    }

    /// The first event after which the most bytes were allocated, and how many.
    pub fn peak_allocated(&self) -> Option<(EventIndex, Bytes)> {
        first_highest(&self.allocated)
    }
}
