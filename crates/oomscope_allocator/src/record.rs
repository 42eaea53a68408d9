//! The trace that PyTorch would record of a program: what [`crate::follow`] reads, made by a
//! replay.

use oomscope_model::{Bytes, Event, EventKind, StackId};

use crate::counters::Counters;
use crate::device::Device;
use crate::pool::PoolId;
use crate::program::{Lane, Program, Step};
use crate::release::Release;
use crate::replay::{Capacity, Run, rules};
use crate::settings::Settings;
use crate::trace::Trace;
use crate::world::World;

/// The stacks of requests, of frees, and of what empties the cache.
const REQUEST: StackId = StackId(0);
const FREE: StackId = StackId(1);
const EMPTY_CACHE: StackId = StackId(2);

/// A trace that the model wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    events: Vec<Event>,
    /// The pool of each event.
    pools: Vec<PoolId>,
    /// The counters at the end.
    pub counters: Counters,
}

impl Recording {
    /// The events, oldest first.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The same without the first `events`, as a ring that wrapped leaves it.
    #[must_use]
    pub fn without_head(&self, events: usize) -> Recording {
        Recording {
            events: self.events.iter().skip(events).copied().collect(),
            pools: self.pools.iter().skip(events).copied().collect(),
            counters: self.counters,
        }
    }
}

impl Trace for Recording {
    fn len(&self) -> usize {
        self.events.len()
    }

    #[inline]
    fn event(&self, index: usize) -> Option<Event> {
        self.events.get(index).copied()
    }

    #[inline]
    fn pool(&self, index: usize) -> PoolId {
        self.pools.get(index).copied().unwrap_or_default()
    }
}

/// Runs `program` as [`crate::replay()`] does, up to the first failure that was none when it was
/// recorded, and writes down what PyTorch would. The settings' backend does not count.
pub fn record(
    program: &Program,
    settings: &Settings,
    release: Release,
    capacity: Capacity,
) -> Recording {
    let device = Device::holding(&program.start, capacity.available);
    let tape = Tape {
        device,
        capacity: capacity.available,
        context: REQUEST,
        events: Vec::new(),
        pools: Vec::new(),
    };
    let mut run = Run::new(program, rules(settings, release, capacity), tape);
    for step in &program.steps {
        run.world.context = match step {
            Step::Free { .. } | Step::GiveUp { .. } => FREE,
            Step::EmptyCache => EMPTY_CACHE,
            _ => REQUEST,
        };
        if run.step(program, *step).is_some() {
            break;
        }
    }
    let Tape { events, pools, .. } = run.world;
    Recording { events, pools, counters: run.allocator.counters }
}

/// A device that notes what is asked of it, and of the allocator.
struct Tape {
    device: Device,
    capacity: u64,
    context: StackId,
    events: Vec<Event>,
    pools: Vec<PoolId>,
}

impl Tape {
    fn note(&mut self, kind: EventKind, addr: u64, size: u64, lane: Lane) {
        let time_us = Some(self.events.len() as u64);
        let Lane { stream, pool } = lane;
        let stack = self.context;
        self.events.push(Event { kind, addr, size: Bytes(size), stream, time_us, stack });
        self.pools.push(pool);
    }

    fn note_device(&mut self, kind: EventKind, addr: u64, size: u64, stream: u64) {
        self.note(kind, addr, size, Lane { stream, pool: (0, 0) });
    }
}

impl World for Tape {
    fn malloc(&mut self, size: u64, stream: u64) -> Option<u64> {
        let addr = self.device.malloc(size, stream)?;
        self.note_device(EventKind::SegmentAlloc, addr, size, stream);
        Some(addr)
    }

    fn free(&mut self, addr: u64, size: u64, stream: u64) {
        self.note_device(EventKind::SegmentFree, addr, size, stream);
        self.device.free(addr, size, stream);
    }

    fn reserve(&mut self, size: u64, stream: u64) -> u64 {
        self.device.reserve(size, stream)
    }

    fn release(&mut self, base: u64, size: u64) {
        self.device.release(base, size);
    }

    fn map(&mut self, addr: u64, size: u64, stream: u64) -> bool {
        let is_mapped = self.device.map(addr, size, stream);
        if is_mapped {
            self.note_device(EventKind::SegmentMap, addr, size, stream);
        }
        is_mapped
    }

    fn unmap(&mut self, addr: u64, size: u64, stream: u64) {
        self.note_device(EventKind::SegmentUnmap, addr, size, stream);
        self.device.unmap(addr, size, stream);
    }

    fn served(&mut self, addr: u64, size: u64, lane: Lane) {
        self.note(EventKind::Alloc, addr, size, lane);
    }

    fn failed(&mut self, size: u64, lane: Lane) {
        let left = self.capacity.saturating_sub(self.device.used());
        self.note(EventKind::Oom, left, size, lane);
    }

    fn gave_up(&mut self, addr: u64, size: u64) {
        self.note_device(EventKind::FreeRequested, addr, size, 0);
    }

    fn completed(&mut self, addr: u64, size: u64) {
        self.note_device(EventKind::FreeCompleted, addr, size, 0);
    }
}
