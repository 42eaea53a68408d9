//! A device's trace, with the private pools that older releases do not record by event.

use std::collections::BTreeMap;

use oomscope_allocator::{PoolId, Trace};
use oomscope_model::{DeviceId, Event, EventIndex, EventKind};
use oomscope_snapshot::Snapshot;

/// The events of one device of a snapshot.
#[derive(Clone, Debug)]
pub struct DeviceTrace<'s> {
    trace: Option<&'s oomscope_snapshot::Trace>,
    /// Segments of private pools at the dump, by address: their end, their pool, and the event
    /// from which on they exist.
    private: BTreeMap<u64, (u64, PoolId, usize)>,
    len: usize,
}

impl<'s> DeviceTrace<'s> {
    /// The trace of a device; empty where the file has none.
    pub fn new(snapshot: &'s Snapshot, device: DeviceId) -> DeviceTrace<'s> {
        let trace = snapshot.trace(device);
        let segments = snapshot.segments_of(device).filter(|segment| segment.pool_id != (0, 0));
        let mut private: BTreeMap<u64, (u64, PoolId, usize)> = segments
            .map(|segment| {
                let end = segment.addr.saturating_add(segment.total.0);
                (segment.addr, (end, segment.pool_id, 0))
            })
            .collect();
        if !private.is_empty() {
            for (index, event) in trace.into_iter().flat_map(oomscope_snapshot::Trace::iter) {
                if event.kind == EventKind::SegmentAlloc
                    && let Some(segment) = private.get_mut(&event.addr)
                {
                    segment.2 = index.0 as usize;
                }
            }
        }
        DeviceTrace { trace, private, len: trace.map_or(0, oomscope_snapshot::Trace::len) }
    }

    /// The same, up to and including an event.
    #[must_use]
    pub fn until(mut self, event: EventIndex) -> DeviceTrace<'s> {
        self.len = self.len.min(event.0 as usize + 1);
        self
    }
}

impl Trace for DeviceTrace<'_> {
    fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn event(&self, index: usize) -> Option<Event> {
        self.trace.filter(|_| index < self.len)?.event(EventIndex(u32::try_from(index).ok()?))
    }

    #[inline]
    fn pool(&self, index: usize) -> PoolId {
        let recorded = u32::try_from(index).ok().zip(self.trace);
        let recorded = recorded.map_or((0, 0), |(index, trace)| trace.pool_id(EventIndex(index)));
        if recorded != (0, 0) || self.private.is_empty() {
            return recorded;
        }
        let addr = self.event(index).filter(|event| event.kind == EventKind::Alloc);
        let below = addr.and_then(|event| {
            let (_, segment) = self.private.range(..=event.addr).next_back()?;
            (event.addr < segment.0 && index > segment.2).then_some(segment.1)
        });
        below.unwrap_or_default()
    }
}
