//! How much the device had for the process, told from what it gave and refused.

use oomscope_model::EventKind;

use crate::trace::Trace;

/// Bounds of what the process could hold, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The most that was held from the device at once.
    pub granted: u64,
    /// The least that would have been held had a refused request been served.
    pub refused: Option<u64>,
    /// What was held and what was free on the device, together, at a failed request.
    pub device: Option<u64>,
    /// Held from the device so far.
    pub(crate) reserved: u64,
}

impl Limits {
    /// The most that the process could hold, as far as the trace tells: exact when a request
    /// failed for want of device memory, the most that was held when a cap of the process's own
    /// was in the way, `None` when nothing was refused.
    pub fn capacity(&self) -> Option<u64> {
        match (self.device, self.refused) {
            (Some(device), Some(refused)) if refused > device && self.granted <= device => {
                Some(device)
            }
            (Some(device), None) if self.granted <= device => Some(device),
            (_, Some(refused)) => Some(refused.saturating_sub(1).max(self.granted)),
            _ => None,
        }
    }

    pub(crate) fn grant(&mut self, reserved: u64) {
        self.reserved = reserved;
        self.granted = self.granted.max(reserved);
    }

    /// Counts the device events from `from` to `to`.
    pub(crate) fn apply<T: Trace + ?Sized>(&mut self, trace: &T, from: usize, to: usize) {
        for event in (from..to).map_while(|index| trace.event(index)) {
            let reserved = match event.kind {
                EventKind::SegmentAlloc | EventKind::SegmentMap => {
                    self.reserved.saturating_add(event.size.0)
                }
                EventKind::SegmentFree | EventKind::SegmentUnmap => {
                    self.reserved.saturating_sub(event.size.0)
                }
                _ => self.reserved,
            };
            self.grant(reserved);
        }
    }

    pub(crate) fn refuse(&mut self, would_hold: u64) {
        self.refused = Some(self.refused.map_or(would_hold, |least| least.min(would_hold)));
    }

    /// A request for a segment failed while `free` bytes were free on the device.
    pub(crate) fn fail(&mut self, segment: u64, free: u64) {
        self.refuse(self.reserved.saturating_add(segment));
        self.device = Some(self.reserved.saturating_add(free));
    }
}
