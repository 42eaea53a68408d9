//! The life of every block that the trace or the dump knows, by walking the trace backwards from
//! the final segments. Every view of a past moment is a question to this table.
//!
//! In PyTorch's `CUDACachingAllocator.cpp` (2.9): `alloc` hands a block out; `free_requested` takes
//! it back; `free_completed` makes it reusable, later than that when another stream used it
//! (`record_stream`): in between it counts as active, not as allocated.

mod layout;
mod lost_tail;
pub(crate) mod moves;
mod reservation;
mod state;
mod timeline;

pub(crate) use layout::Layout;
pub use layout::SegmentRange;
pub(crate) use reservation::Reservation;
pub use state::{At, LiveBlock, State, state_at};
pub use timeline::{Timeline, counters};

use std::collections::BTreeMap;

use hashbrown::HashMap;
use oomscope_model::{
    BlockState, Bytes, DeviceId, Event, EventIndex, EventKind, SegmentPool, StackId,
};

use crate::history::layout::{Change, Fit};
use crate::snapshot::{Snapshot, Trace};
use oomscope_model::rounding::{LARGEST, SMALL_SIZE};

/// A block's life. Times count events: time `n` is the moment after the first `n` events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Device address.
    pub addr: u64,
    /// Size after rounding: exact when the block exists at the dump or its birth is in the trace,
    /// else the request rounded up.
    pub size: Bytes,
    /// Size asked for.
    pub requested: Bytes,
    /// CUDA stream handle.
    pub stream: u64,
    /// Who asked for it; [`StackId::NONE`] when its birth is older than the trace.
    pub stack: StackId,
    /// The `alloc` event; `None` when older than the trace.
    pub allocated_at: Option<EventIndex>,
    /// From this time on it exists; 0 when it is older than the trace.
    pub(crate) born: u32,
    /// From this time on Python does not hold it; [`NEVER`] when it still does at the dump.
    pub(crate) released: u32,
    /// From this time on it is reusable; [`NEVER`] when it is not at the dump.
    pub(crate) completed: u32,
}

pub(crate) const NEVER: u32 = u32::MAX;
/// While walking: the block waits for a stream, and its `free_requested` was not met yet.
const NOT_MET: u32 = 0;

impl Life {
    /// The block's state at a time; `None` when it does not exist then.
    pub(crate) fn state_at(&self, time: u32) -> Option<BlockState> {
        if time < self.born || time >= self.completed {
            None
        } else if time < self.released {
            Some(BlockState::Allocated)
        } else {
            Some(BlockState::PendingFree)
        }
    }

    /// The event at which Python gave the block up, if the trace has it.
    pub fn released_at(&self) -> Option<EventIndex> {
        event_of(self.released)
    }

    /// The event at which the block became reusable, if the trace has it.
    pub fn completed_at(&self) -> Option<EventIndex> {
        event_of(self.completed)
    }
}

fn event_of(time: u32) -> Option<EventIndex> {
    (time != NEVER).then(|| time.checked_sub(1).map(EventIndex))?
}

/// What happened to one device's memory, as far as the file tells.
#[derive(Clone, Debug)]
pub struct History {
    /// All blocks, in no order.
    pub lives: Vec<Life>,
    /// Number of events in the trace.
    pub events: u32,
    /// Events that contradict the final segments or each other. A few are normal when recording was
    /// switched off and on; many mean that the past is not to be trusted.
    pub contradictions: u32,
    pub(crate) layout: Layout,
    pub(crate) changes: Vec<Change>,
}

/// Builds the history of a device: O(n log n) in events.
pub fn history(snapshot: &Snapshot, device: DeviceId) -> History {
    let empty = Trace { device, rows: crate::snapshot::Rows::default() };
    let trace = snapshot.trace(device).unwrap_or(&empty);
    let mut walk = if snapshot.lost_tail && !trace.is_empty() {
        Walk::from_the_cut(snapshot, device, trace)
    } else {
        Walk::from_the_dump(snapshot, device)
    };
    let layout = walk.layout.clone();
    for (index, event) in trace.iter().rev() {
        walk.undo(index, event, trace);
    }
    walk.reach_the_head(trace);
    walk.changes.reverse();
    History {
        lives: walk.lives,
        events: trace.len() as u32,
        contradictions: walk.contradictions,
        layout,
        changes: walk.changes,
    }
}

struct Walk<'s> {
    snapshot: &'s Snapshot,
    lives: Vec<Life>,
    /// Lives that exist at the current moment, by address.
    live: HashMap<u64, u32>,
    /// Those above 1 MiB, in order: what lies after a block tells its exact size.
    large: BTreeMap<u64, u32>,
    layout: Layout,
    changes: Vec<Change>,
    contradictions: u32,
    /// Lives below this index are of blocks that exist at the dump: their size is exact.
    exact: u32,
    events: u32,
}

impl<'s> Walk<'s> {
    fn from_the_dump(snapshot: &'s Snapshot, device: DeviceId) -> Walk<'s> {
        let mut walk = Walk {
            snapshot,
            lives: Vec::new(),
            live: HashMap::new(),
            large: BTreeMap::new(),
            layout: Layout::of_segments(snapshot.segments_of(device)),
            changes: Vec::new(),
            contradictions: 0,
            exact: 0,
            events: snapshot.trace(device).map_or(0, |trace| trace.len() as u32),
        };
        for segment in snapshot.segments_of(device) {
            for block in &segment.blocks {
                let released = match block.state {
                    BlockState::Allocated => NEVER,
                    BlockState::PendingFree => NOT_MET,
                    BlockState::Inactive => continue,
                };
                walk.insert(Life {
                    addr: block.addr,
                    size: Bytes(block.size.0.min(LARGEST)),
                    requested: block.requested,
                    stream: segment.stream,
                    stack: block.stack,
                    allocated_at: None,
                    born: 0,
                    released,
                    completed: NEVER,
                });
            }
        }
        walk.exact = walk.lives.len() as u32;
        walk
    }

    /// A file that ends inside its trace does not show what the last events did.
    fn from_the_cut(snapshot: &'s Snapshot, device: DeviceId, trace: &Trace) -> Walk<'s> {
        let cut = lost_tail::at_the_cut(snapshot, device, trace);
        let mut walk = Walk {
            snapshot,
            lives: Vec::new(),
            live: HashMap::default(),
            large: BTreeMap::new(),
            layout: Layout::of_ranges(cut.segments.into_iter()),
            changes: Vec::new(),
            contradictions: 0,
            exact: cut.older.len() as u32,
            events: trace.len() as u32,
        };
        for held in cut.older.into_iter().chain(cut.made) {
            walk.insert(Life {
                addr: held.addr,
                size: Bytes(held.size.0.min(LARGEST)),
                requested: held.requested,
                stream: held.stream,
                stack: held.stack,
                allocated_at: None,
                born: 0,
                released: if held.is_pending { NOT_MET } else { NEVER },
                completed: NEVER,
            });
        }
        walk
    }

    fn insert(&mut self, life: Life) {
        let index = self.lives.len() as u32;
        self.live.insert(life.addr, index);
        if life.size.0 > SMALL_SIZE {
            self.large.insert(life.addr, index);
        }
        self.lives.push(life);
    }

    fn undo(&mut self, index: EventIndex, event: Event, trace: &Trace) {
        let time = index.0 + 1;
        match event.kind {
            EventKind::Alloc => self.undo_alloc(index, event),
            EventKind::FreeRequested => {
                let life = self.live.get(&event.addr).and_then(|&at| {
                    self.lives.get_mut(at as usize).filter(|life| life.released == NOT_MET)
                });
                match life {
                    Some(life) => life.released = time,
                    // `free_completed` was not recorded.
                    None => self.undo_free(event, time, time),
                }
            }
            EventKind::FreeCompleted => self.undo_free(event, NOT_MET, time),
            EventKind::SegmentAlloc
            | EventKind::SegmentFree
            | EventKind::SegmentMap
            | EventKind::SegmentUnmap => {
                let change = Change {
                    time,
                    kind: event.kind,
                    addr: event.addr,
                    size: event.size.0,
                    stream: event.stream,
                    pool_id: trace.pool_id(index),
                };
                match self.layout.undo(change) {
                    Fit::Fits => self.changes.push(change),
                    Fit::Contradicts => self.contradictions += 1,
                }
            }
            EventKind::Oom | EventKind::Snapshot | EventKind::Other => {}
        }
    }

    fn undo_alloc(&mut self, index: EventIndex, event: Event) {
        let Some(at) = self.live.remove(&event.addr) else {
            // Freed while nothing was recorded: when, nobody knows.
            self.contradictions += 1;
            return;
        };
        self.large.remove(&event.addr);
        let exact = self.exact_size(event.addr, event.size.0);
        let is_at_dump = at < self.exact;
        let events = self.events;
        let Some(life) = self.lives.get_mut(at as usize) else { return };
        life.born = index.0 + 1;
        life.allocated_at = Some(index);
        life.released = settle(life.released, life.completed, events);
        if is_at_dump {
            if life.requested != event.size {
                self.contradictions += 1;
            }
            if life.stack == StackId::NONE {
                life.stack = event.stack;
            }
        } else {
            life.stack = event.stack;
            life.stream = event.stream;
            life.requested = event.size;
            life.size = Bytes(exact);
        }
    }

    fn undo_free(&mut self, event: Event, released: u32, completed: u32) {
        if let Some(&at) = self.live.get(&event.addr) {
            // Handed out again without a record: born some time after this event.
            self.contradictions += 1;
            self.large.remove(&event.addr);
            if let Some(life) = self.lives.get_mut(at as usize) {
                life.born = completed;
                life.released = settle(life.released, life.completed, self.events);
            }
        }
        self.insert(Life {
            addr: event.addr,
            size: Bytes(self.snapshot.rounding.block_size(event.size.0)),
            requested: event.size,
            stream: event.stream,
            stack: StackId::NONE,
            allocated_at: None,
            born: 0,
            released,
            completed,
        });
    }

    /// The size of a block that is handed out at this moment. In the large pool a rest of 1 MiB or
    /// less is not split off (`should_split`), so that the free bytes after it are its own.
    fn exact_size(&self, addr: u64, requested: u64) -> u64 {
        let rounded = self.snapshot.rounding.block_size(requested);
        if rounded <= SMALL_SIZE {
            return rounded;
        }
        let Some(range) = self.layout.range_of(addr) else { return rounded };
        if range.is_expandable || range.pool == SegmentPool::Small {
            return rounded;
        }
        let next = self.large.range(addr.saturating_add(1)..).next();
        let limit = next.map_or(range.end(), |(&next, _)| next.min(range.end()));
        let Some(room) = limit.checked_sub(addr).filter(|&room| room >= rounded) else {
            return rounded;
        };
        let settings = &self.snapshot.settings;
        let is_oversize = settings.max_split_size.is_some_and(|largest| rounded >= largest.0);
        if room - rounded <= SMALL_SIZE || is_oversize { room } else { rounded }
    }

    /// What still exists is older than the trace.
    fn reach_the_head(&mut self, trace: &Trace) {
        let kinds = &trace.rows.kind;
        let has_requests = kinds.contains(&EventKind::FreeRequested);
        let older: Vec<u32> = self.live.values().copied().filter(|&at| at >= self.exact).collect();
        for at in older {
            let Some(&life) = self.lives.get(at as usize) else { continue };
            let exact = self.exact_size(life.addr, life.requested.0);
            let released = match life.released {
                NOT_MET if !has_requests => life.completed,
                released => released,
            };
            if let Some(life) = self.lives.get_mut(at as usize) {
                life.size = Bytes(exact);
                life.released = released;
            }
        }
    }
}

/// The release time of a block whose birth was met before its `free_requested`: that event was
/// skipped in recording, so it is taken to be released when it was completed.
fn settle(released: u32, completed: u32, events: u32) -> u32 {
    match released {
        NOT_MET if completed == NEVER => events,
        NOT_MET => completed,
        released => released,
    }
}
