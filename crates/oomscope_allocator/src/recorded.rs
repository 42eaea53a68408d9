//! The device as a trace recorded it: it grants what was granted then, and notes where the
//! allocator asks for something else.

use oomscope_model::{Bytes, Event, EventIndex, EventKind};

use crate::rounding::LAST_ADDRESS;
use crate::trace::Trace;
use crate::world::World;

/// Where the model and the trace part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The event that the model does not predict.
    pub event: EventIndex,
    /// What the model does there.
    pub model: Action,
    /// What the trace says; `None` where it ends.
    pub recorded: Option<Event>,
}

/// Something that an allocator does, as a trace would record it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// What.
    pub kind: EventKind,
    /// Device address; 0 where the device would choose it.
    pub addr: u64,
    /// Bytes.
    pub size: Bytes,
}

/// The recorded device.
pub(crate) struct Recorded<'t, T: ?Sized> {
    trace: &'t T,
    /// The next event.
    pub(crate) at: usize,
    pub(crate) divergence: Option<Divergence>,
    /// Where the next reservation is put that nothing is mapped into: beyond all devices.
    nowhere: u64,
}

impl<'t, T: Trace + ?Sized> Recorded<'t, T> {
    pub(crate) fn new(trace: &'t T) -> Recorded<'t, T> {
        Recorded { trace, at: 0, divergence: None, nowhere: LAST_ADDRESS }
    }

    /// Notes that the model does something else than the trace; only the first time counts.
    pub(crate) fn diverge(&mut self, kind: EventKind, addr: u64, size: u64) {
        if self.divergence.is_none() {
            self.divergence = Some(Divergence {
                event: EventIndex(u32::try_from(self.at).unwrap_or(u32::MAX)),
                model: Action { kind, addr, size: Bytes(size) },
                recorded: self.trace.event(self.at),
            });
        }
    }

    fn next(&self, kind: EventKind) -> Option<Event> {
        self.trace.event(self.at).filter(|event| event.kind == kind)
    }

    /// The next event must be exactly this.
    fn expect(&mut self, kind: EventKind, addr: u64, size: u64) {
        match self.next(kind) {
            Some(event) if event.addr == addr && event.size.0 == size => self.at += 1,
            _ => self.diverge(kind, addr, size),
        }
    }
}

impl<T: Trace + ?Sized> World for Recorded<'_, T> {
    fn malloc(&mut self, size: u64, stream: u64) -> Option<u64> {
        let event = self.next(EventKind::SegmentAlloc)?;
        if event.size.0 != size || event.stream != stream || event.addr >= LAST_ADDRESS {
            self.diverge(EventKind::SegmentAlloc, 0, size);
        }
        self.at += 1;
        Some(event.addr.min(LAST_ADDRESS - 1))
    }

    fn free(&mut self, addr: u64, size: u64, _stream: u64) {
        self.expect(EventKind::SegmentFree, addr, size);
    }

    fn reserve(&mut self, size: u64, _stream: u64) -> u64 {
        if let Some(addr) = self.maps_next() {
            return addr.min(LAST_ADDRESS - 1);
        }
        let base = self.nowhere;
        self.nowhere = base.saturating_add(size).min(LAST_ADDRESS * 2);
        base
    }

    fn maps_next(&self) -> Option<u64> {
        self.next(EventKind::SegmentMap).map(|event| event.addr)
    }

    fn settle(&mut self, base: u64) -> u64 {
        match self.next(EventKind::SegmentMap) {
            Some(event) if base >= LAST_ADDRESS => event.addr.min(LAST_ADDRESS - 1),
            _ => base,
        }
    }

    fn release(&mut self, _base: u64, _size: u64) {}

    fn map(&mut self, addr: u64, size: u64, _stream: u64) -> bool {
        let is_recorded = self.next(EventKind::SegmentMap).is_some();
        if is_recorded {
            self.expect(EventKind::SegmentMap, addr, size);
        }
        is_recorded
    }

    fn unmap(&mut self, addr: u64, size: u64, _stream: u64) {
        self.expect(EventKind::SegmentUnmap, addr, size);
    }

    fn completed(&mut self, _addr: u64, _size: u64) {
        // In an order that depends on which streams used the blocks; that all are, was seen.
        self.at += usize::from(self.next(EventKind::FreeCompleted).is_some());
    }
}
