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
        lives: impl IntoIterator<Item = &'l Life>,
    ) -> (Vec<u64>, Vec<u64>) {
        let mut allocated = vec![0_u64; self.events as usize + 1];
        let mut active = allocated.clone();
        for life in lives {
            let size = life.size.0;
            change(&mut active, life.born, size);
            change(&mut active, life.completed, size.wrapping_neg());
            change(&mut allocated, life.born, size);
            // A block that waits from birth on is never allocated.
            let released = life.released.max(life.born).min(life.completed);
            change(&mut allocated, released, size.wrapping_neg());
        }
        (summed(allocated), summed(active))
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
        let most = *self.allocated.iter().max()?;
        let at = self.allocated.iter().position(|&bytes| bytes == most)?;
        Some((EventIndex(u32::try_from(at).ok()?), Bytes(most)))
    }
}
