//! What dicts turn into once a key tells their kind. Keys may come in any order and batches.

use oomscope_model::{BlockState, EventKind, SegmentPool, StackId};

use crate::reader::value::{Text, Value};
use crate::reader::word::Word;

/// What a dict is, by the keys seen so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dict {
    /// Undecided; the index of its newest property, or [`NO_PROPERTY`].
    Loose(u32),
    /// A row of the trace.
    Event(u32),
    Frame(u32),
    Segment(u32),
    Block(u32),
    Annotation(u32),
    Top(u32),
}

pub(crate) const NO_PROPERTY: u32 = u32::MAX;

/// A property of a dict whose kind is open, or that stays a plain dict (settings).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Property {
    pub(crate) key: Word,
    pub(crate) value: Value,
    /// The dict's property before this one.
    pub(crate) older: u32,
}

/// The kinds that a key gives away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Event,
    Frame,
    Segment,
    Block,
    Annotation,
    Top,
}

/// The kind that `key` gives away, if any: keys that no other dict of the schema has.
pub(crate) fn kind_of(key: Word) -> Option<Kind> {
    match key {
        Word::Action => Some(Kind::Event),
        Word::Filename => Some(Kind::Frame),
        Word::TotalSize | Word::Blocks | Word::SegmentType => Some(Kind::Segment),
        // Blocks, and the entries of a block's `history` in PyTorch 2.0.
        Word::State | Word::RealSize => Some(Kind::Block),
        Word::Stage => Some(Kind::Annotation),
        Word::Segments | Word::DeviceTraces => Some(Kind::Top),
        _ => None,
    }
}

/// The file's outermost dict.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Top {
    pub(crate) segments: Option<u32>,
    pub(crate) traces: Option<u32>,
    pub(crate) settings: Option<u32>,
    pub(crate) annotations: Option<u32>,
    pub(crate) host_segments: Option<u32>,
    pub(crate) has_host_traces: bool,
}

impl Top {
    pub(crate) fn set(&mut self, key: Word, value: Value) -> Known {
        match (key, value) {
            (Word::Segments, Value::List(list)) => self.segments = Some(list),
            (Word::DeviceTraces, Value::List(list)) => self.traces = Some(list),
            (Word::AllocatorSettings, Value::Dict(dict)) => self.settings = Some(dict),
            (Word::ExternalAnnotations, Value::List(list)) => self.annotations = Some(list),
            (Word::HostSegments, Value::List(list)) => self.host_segments = Some(list),
            (Word::HostTraces, _) => self.has_host_traces = true,
            (Word::Unknown, _) => return Known::No,
            _ => {}
        }
        Known::Yes
    }
}

/// Whether a key was one of the schema's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Yes,
    No,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FrameRecord {
    pub(crate) file: Option<Text>,
    pub(crate) function: Option<Text>,
    pub(crate) line: u32,
    pub(crate) interned: Option<oomscope_model::FrameId>,
    /// Index into [`Machine::fx_nodes`](crate::reader::machine::Machine), counted from 1.
    pub(crate) fx_node: u32,
}

/// What PyTorch tells of a frame of generated code (`_dump_snapshot(augment_with_fx_traces=True)`).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FxRecord {
    pub(crate) op: Option<Text>,
    pub(crate) name: Option<Text>,
    pub(crate) target: Option<Text>,
    pub(crate) original_trace: Option<Text>,
}

impl FxRecord {
    pub(crate) fn set(&mut self, key: Word, value: Value) {
        let Value::Text(text) = value else { return };
        match key {
            Word::FxNodeOp => self.op = Some(text),
            Word::FxNodeName => self.name = Some(text),
            Word::FxNodeTarget => self.target = Some(text),
            Word::FxOriginalTrace => self.original_trace = Some(text),
            _ => {}
        }
    }
}

/// Whether a key belongs to a frame of generated code.
pub(crate) fn is_fx(key: Word) -> bool {
    matches!(key, Word::FxNodeOp | Word::FxNodeName | Word::FxNodeTarget | Word::FxOriginalTrace)
}

/// An entry of `external_annotations`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AnnotationRecord {
    pub(crate) name: Option<Text>,
    pub(crate) device: Option<u64>,
    pub(crate) time_us: Option<u64>,
    pub(crate) stage: Option<Word>,
}

impl AnnotationRecord {
    pub(crate) fn set(&mut self, key: Word, value: Value) -> Known {
        match (key, value) {
            (Word::Name, Value::Text(text)) => self.name = Some(text),
            (Word::Device, value) => self.device = value.int(),
            (Word::TimeUs, value) => self.time_us = value.int(),
            (Word::Stage, value) => self.stage = Some(value.word()),
            (Word::Unknown, _) => return Known::No,
            _ => {}
        }
        Known::Yes
    }
}

impl FrameRecord {
    pub(crate) fn set(&mut self, key: Word, value: Value) -> Known {
        match (key, value) {
            (Word::Filename, Value::Text(text)) => self.file = Some(text),
            (Word::Name, Value::Text(text)) => self.function = Some(text),
            (Word::Line, Value::Int(line)) => self.line = u32::try_from(line).unwrap_or(0),
            (Word::Unknown, _) => return Known::No,
            _ => {}
        }
        Known::Yes
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentRecord {
    pub(crate) device: Option<u64>,
    pub(crate) addr: Option<u64>,
    pub(crate) total: u64,
    pub(crate) allocated: u64,
    pub(crate) active: u64,
    pub(crate) requested: Option<u64>,
    pub(crate) stream: u64,
    pub(crate) pool: SegmentPool,
    pub(crate) pool_id: (u64, u64),
    pub(crate) is_expandable: bool,
    pub(crate) stack: StackId,
    pub(crate) blocks: Option<u32>,
    /// Already part of the result: a file can refer to one segment many times.
    pub(crate) is_used: bool,
}

impl Default for SegmentRecord {
    fn default() -> SegmentRecord {
        SegmentRecord {
            device: Some(0),
            addr: None,
            total: 0,
            allocated: 0,
            active: 0,
            requested: None,
            stream: 0,
            pool: SegmentPool::Unknown,
            pool_id: (0, 0),
            is_expandable: false,
            stack: StackId::NONE,
            blocks: None,
            is_used: false,
        }
    }
}

impl SegmentRecord {
    pub(crate) fn set(&mut self, key: Word, value: Value, stack: StackId) -> Known {
        match (key, value) {
            (Word::Device, value) => self.device = value.int(),
            (Word::Address, Value::Int(addr)) => self.addr = Some(addr),
            (Word::TotalSize, Value::Int(size)) => self.total = size,
            (Word::AllocatedSize, Value::Int(size)) => self.allocated = size,
            (Word::ActiveSize, Value::Int(size)) => self.active = size,
            (Word::RequestedSize, Value::Int(size)) => self.requested = Some(size),
            (Word::Stream, Value::Int(stream)) => self.stream = stream,
            (Word::SegmentType, value) => {
                self.pool = match value.word() {
                    Word::Small => SegmentPool::Small,
                    Word::Large => SegmentPool::Large,
                    _ => SegmentPool::Unknown,
                }
            }
            (Word::PoolId, Value::Pair(owner, id)) => self.pool_id = (owner.into(), id.into()),
            (Word::IsExpandable, Value::Bool(is_expandable)) => self.is_expandable = is_expandable,
            (Word::Frames, _) => self.stack = stack,
            (Word::Blocks, Value::List(list)) => self.blocks = Some(list),
            (Word::Unknown, _) => return Known::No,
            _ => {}
        }
        Known::Yes
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockRecord {
    pub(crate) addr: Option<u64>,
    pub(crate) size: u64,
    pub(crate) requested: Option<u64>,
    pub(crate) state: BlockState,
    pub(crate) stack: StackId,
    pub(crate) history: Option<u32>,
}

impl Default for BlockRecord {
    fn default() -> BlockRecord {
        BlockRecord {
            addr: None,
            size: 0,
            requested: None,
            state: BlockState::Inactive,
            stack: StackId::NONE,
            history: None,
        }
    }
}

impl BlockRecord {
    pub(crate) fn set(&mut self, key: Word, value: Value, stack: StackId) -> Known {
        match (key, value) {
            (Word::Address, Value::Int(addr)) => self.addr = Some(addr),
            (Word::Size, Value::Int(size)) => self.size = size,
            (Word::RequestedSize | Word::RealSize, Value::Int(size)) => self.requested = Some(size),
            (Word::State, value) => {
                self.state = match value.word() {
                    Word::ActiveAllocated => BlockState::Allocated,
                    Word::ActivePending => BlockState::PendingFree,
                    _ => BlockState::Inactive,
                }
            }
            (Word::Frames, _) => self.stack = stack,
            (Word::History, Value::List(list)) => self.history = Some(list),
            (Word::Unknown, _) => return Known::No,
            _ => {}
        }
        Known::Yes
    }
}

/// The event that an action's name stands for; `None` for a name of a newer PyTorch.
pub(crate) fn event_kind(action: Word) -> Option<EventKind> {
    Some(match action {
        Word::Alloc => EventKind::Alloc,
        Word::FreeRequested => EventKind::FreeRequested,
        Word::FreeCompleted => EventKind::FreeCompleted,
        Word::SegmentAlloc => EventKind::SegmentAlloc,
        Word::SegmentFree => EventKind::SegmentFree,
        Word::SegmentMap => EventKind::SegmentMap,
        Word::SegmentUnmap => EventKind::SegmentUnmap,
        Word::Oom => EventKind::Oom,
        Word::SnapshotTaken => EventKind::Snapshot,
        Word::Annotation => EventKind::Other,
        _ => return None,
    })
}
