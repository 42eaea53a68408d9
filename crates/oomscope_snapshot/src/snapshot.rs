//! What a snapshot file says, as tables. No view of any moment but the dump's.

use std::sync::Arc;

use oomscope_model::{AllocatorSettings, Bytes, DeviceId, Event, EventIndex, EventKind};
use oomscope_model::{Segment, StackId};

use crate::columns::{Stretches, Texts};
use crate::reader::ReadProblem;
use crate::stacks::Stacks;
use oomscope_model::rounding::Rounding;

/// A snapshot that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The allocator's settings.
    pub settings: AllocatorSettings,
    /// The PyTorch releases that write such a file, told by its keys: `2.10 or later`.
    pub torch_version: Option<&'static str>,
    /// Segments at the dump, in the file's order; those of pinned host memory are summed up in
    /// [`Snapshot::pinned_host`].
    pub segments: Vec<Segment>,
    /// Pinned host memory at the dump; `None` where it was not recorded.
    pub pinned_host: Option<PinnedHost>,
    /// One trace a device, by ordinal.
    pub traces: Vec<Trace>,
    /// Ranges that the program or PyTorch named (`record_function`), in the file's order.
    pub annotations: Vec<Annotation>,
    /// The stacks that segments, blocks and events refer to.
    pub stacks: Stacks,
    /// Whether the file ends inside its trace: the events right before the dump are lost.
    pub lost_tail: bool,
    /// What could not be read.
    pub problems: Vec<ReadProblem>,
    /// Keys and actions that this crate does not know, and so skipped.
    pub unknown: Vec<UnknownWord>,
    pub(crate) rounding: Rounding,
}

impl Snapshot {
    /// The trace of a device, if the file has one.
    pub fn trace(&self, device: DeviceId) -> Option<&Trace> {
        self.traces.iter().find(|trace| trace.device == device)
    }

    /// `roundup_power2_divisions` as the file states it: divisions of each power of two from 1 MiB
    /// on; 0 where it does not.
    pub fn roundup_power2_divisions(&self) -> [u16; 16] {
        self.rounding.divisions
    }

    /// The segments of a device.
    pub fn segments_of(&self, device: DeviceId) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(move |segment| segment.device == device)
    }

    /// The devices that have segments or events, by ordinal.
    pub fn devices(&self) -> Vec<DeviceId> {
        let traced = self.traces.iter().filter(|trace| !trace.is_empty()).map(|trace| trace.device);
        let held = self.segments.iter().map(|segment| segment.device);
        let mut devices: Vec<DeviceId> = traced.chain(held).collect();
        devices.sort_unstable();
        devices.dedup();
        devices
    }
}

/// A key or action of a newer PyTorch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownWord {
    /// The word.
    pub word: String,
    /// How often it was met.
    pub count: u64,
}

/// Pinned host memory, `host_segments` of PyTorch 2.10 or later. It is recorded only with
/// `_record_memory_history(record_pinned_host_memory=True)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinnedHost {
    /// Bytes held from the system.
    pub reserved: Bytes,
    /// Bytes in blocks that are in use.
    pub allocated: Bytes,
    /// Number of segments.
    pub segments: u32,
}

/// One end of a named range: an entry of `external_annotations`, PyTorch 2.6 or later. Names are
/// those of `torch.profiler.record_function`, and PyTorch's own, as `Optimizer.step#Adam.step`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// The range's name.
    pub name: String,
    /// The device that was current; `None` when it is not recorded.
    pub device: Option<DeviceId>,
    /// Microseconds since the epoch, the clock of [`Event::time_us`]; `None` when not recorded.
    pub time_us: Option<u64>,
    /// Which end.
    pub stage: Stage,
}

/// Which end of a named range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// It begins.
    Start,
    /// It ends.
    End,
    /// It is a point in time: neither `START` nor `END`.
    Instant,
}

/// The events of one device, oldest first, kept by column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The device.
    pub device: DeviceId,
    pub(crate) rows: Rows,
}

/// Columns of events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) kind: Vec<EventKind>,
    pub(crate) addr: Vec<u64>,
    pub(crate) size: Vec<u64>,
    /// Index into [`Shared::streams`].
    pub(crate) stream: Vec<u32>,
    /// 0: not recorded.
    pub(crate) time_us: Vec<u64>,
    pub(crate) stack: Vec<StackId>,
    pub(crate) pool_id: Stretches<(u32, u32)>,
    /// Number of a text of [`Shared::texts`].
    pub(crate) user_metadata: Stretches<u32>,
    /// Number of a text of [`Shared::texts`].
    pub(crate) compile_context: Stretches<u32>,
    pub(crate) shared: Arc<Shared>,
}

/// What the columns of all devices refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shared {
    pub(crate) streams: Vec<u64>,
    pub(crate) texts: Texts,
}

/// Rows are equal that say the same, however the tables that they refer to are numbered.
impl PartialEq for Rows {
    fn eq(&self, other: &Rows) -> bool {
        let label = |rows: &Rows, number| rows.shared.texts.get(number).map(str::to_owned);
        self.kind.len() == other.kind.len()
            && (0..self.kind.len()).all(|row| self.event(row) == other.event(row))
            && (0..self.kind.len() as u32).all(|row| {
                self.pool_id.get(row) == other.pool_id.get(row)
                    && label(self, self.user_metadata.get(row))
                        == label(other, other.user_metadata.get(row))
                    && label(self, self.compile_context.get(row))
                        == label(other, other.compile_context.get(row))
            })
    }
}

impl Eq for Rows {}

impl Trace {
    /// Number of events.
    pub fn len(&self) -> usize {
        self.rows.kind.len()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.rows.kind.is_empty()
    }

    /// The event at `index`.
    pub fn event(&self, index: EventIndex) -> Option<Event> {
        self.rows.event(index.0 as usize)
    }

    /// All events, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (EventIndex, Event)> {
        (0..self.len())
            .filter_map(|row| Some((EventIndex(u32::try_from(row).ok()?), self.rows.event(row)?)))
    }

    /// The events that handed a block out, oldest first.
    pub fn allocations(&self) -> impl Iterator<Item = (EventIndex, Event)> {
        let kinds = self.rows.kind.iter().zip(0_u32..);
        let rows = kinds.filter(|(kind, _)| **kind == EventKind::Alloc);
        rows.filter_map(|(_, row)| Some((EventIndex(row), self.rows.event(row as usize)?)))
    }

    /// The private pool that an event belongs to; `(0, 0)` for the default one or where the
    /// PyTorch that wrote the file did not record it.
    pub fn pool_id(&self, index: EventIndex) -> (u64, u64) {
        let (owner, id) = self.rows.pool_id.get(index.0);
        (owner.into(), id.into())
    }

    /// What the program attached to an event (`torch.cuda.memory._set_memory_metadata`, and the
    /// note of an `annotate` event), PyTorch 2.10 or later; `None` where it is empty.
    pub fn user_metadata(&self, index: EventIndex) -> Option<&str> {
        self.rows.shared.texts.get(self.rows.user_metadata.get(index.0))
    }

    /// The part of `torch.compile` that ran, as `0/0`, PyTorch 2.7 or later; `None` outside of it.
    pub fn compile_context(&self, index: EventIndex) -> Option<&str> {
        self.rows.shared.texts.get(self.rows.compile_context.get(index.0))
    }
}

impl Rows {
    pub(crate) fn event(&self, row: usize) -> Option<Event> {
        Some(Event {
            kind: *self.kind.get(row)?,
            addr: *self.addr.get(row)?,
            size: Bytes(*self.size.get(row)?),
            stream: *self.shared.streams.get(*self.stream.get(row)? as usize)?,
            time_us: self.time_us.get(row).copied().filter(|&time| time != 0),
            stack: *self.stack.get(row)?,
        })
    }

    /// A row of which nothing is known yet.
    pub(crate) fn push_blank(&mut self) -> u32 {
        let row = self.kind.len() as u32;
        self.kind.push(EventKind::Other);
        self.addr.push(0);
        self.size.push(0);
        self.stream.push(0);
        self.time_us.push(0);
        self.stack.push(StackId::NONE);
        row
    }

    /// Drops all but the first `len` rows.
    pub(crate) fn truncate(&mut self, len: u32) {
        self.pool_id.truncate(len);
        self.user_metadata.truncate(len);
        self.compile_context.truncate(len);
        let len = len as usize;
        self.kind.truncate(len);
        self.addr.truncate(len);
        self.size.truncate(len);
        self.stream.truncate(len);
        self.time_us.truncate(len);
        self.stack.truncate(len);
    }

    /// The rows `start..start + len`, appended to `self`.
    pub(crate) fn copy_from(&mut self, from: &Rows, start: usize, len: usize) {
        let range = start..start.saturating_add(len).min(from.kind.len());
        let first = self.kind.len() as u32;
        self.kind.extend_from_slice(from.kind.get(range.clone()).unwrap_or_default());
        self.addr.extend_from_slice(from.addr.get(range.clone()).unwrap_or_default());
        self.size.extend_from_slice(from.size.get(range.clone()).unwrap_or_default());
        self.stream.extend_from_slice(from.stream.get(range.clone()).unwrap_or_default());
        self.time_us.extend_from_slice(from.time_us.get(range.clone()).unwrap_or_default());
        self.stack.extend_from_slice(from.stack.get(range.clone()).unwrap_or_default());
        let (start, end) = (range.start as u32, range.end as u32);
        self.pool_id.append(first, &from.pool_id, start, end);
        self.user_metadata.append(first, &from.user_metadata, start, end);
        self.compile_context.append(first, &from.compile_context, start, end);
    }
}

/// The failures of a trace, oldest first.
pub fn oom_events(trace: &Trace) -> Vec<EventIndex> {
    let rows = trace.rows.kind.iter().zip(0_u32..);
    rows.filter(|(kind, _)| **kind == EventKind::Oom).map(|(_, row)| EventIndex(row)).collect()
}
