//! A snapshot as PyTorch's `_dump_snapshot` writes it (`torch/csrc/cuda/memory_snapshot.cpp`), with
//! the keys of the release that it came from. Streams: beside the snapshot, it needs a number for
//! each stack and frame.

use std::io;

use oomscope_model::{BlockState, EventIndex, EventKind, FrameId, Segment, SegmentPool, StackId};

use crate::snapshot::{Snapshot, Stage, Trace};
use crate::write::pickler::{Memo, Pickler};

/// Items of a list that Python's pickler writes in one go.
const BATCH: usize = 1000;
/// A frame or stack that was not written yet.
const NOT_STORED: u32 = u32::MAX;

/// Writes a snapshot as PyTorch of the same release does: loadable by `pickle.load`, PyTorch's
/// memory viewer and [`read`](crate::read). Equal stacks are written once. What the reader met and
/// did not understand ([`Snapshot::problems`], [`Snapshot::unknown`]) is not written, nor is pinned host
/// memory, of which the reader keeps the sum only.
pub fn write_pickle(snapshot: &Snapshot, out: &mut dyn io::Write) -> io::Result<()> {
    let mut writer = Writer {
        snapshot,
        keys: Keys::of(snapshot.torch_version),
        to: Pickler::new(out, Memo::WhatRecurs)?,
        frames: vec![NOT_STORED; snapshot.stacks.frame_count()],
        stacks: vec![NOT_STORED; snapshot.stacks.len()],
        no_frames: NOT_STORED,
    };
    writer.top()?;
    writer.to.finish()
}

/// Releases by the keys that they added, oldest first; each writes those of the ones before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Keys {
    Segments,
    Settings,
    Annotations,
    CompileContext,
    /// User metadata, pools of events.
    UserMetadata,
    /// Pinned host memory and its limits.
    Newest,
}

impl Keys {
    fn of(release: Option<&str>) -> Keys {
        match release {
            Some("2.0 to 2.2") => Keys::Segments,
            Some("2.3 to 2.5") => Keys::Settings,
            Some("2.6" | "2.6 or later") => Keys::Annotations,
            Some("2.7 to 2.9") => Keys::CompileContext,
            Some("2.10 to 2.12") => Keys::UserMetadata,
            _ => Keys::Newest,
        }
    }
}

struct Writer<'o, 's> {
    snapshot: &'s Snapshot,
    keys: Keys,
    to: Pickler<'o, 's>,
    /// What refers to a frame, by id.
    frames: Vec<u32>,
    /// What refers to a stack's list, by id.
    stacks: Vec<u32>,
    /// What refers to the list of no frames.
    no_frames: u32,
}

impl<'s> Writer<'_, 's> {
    fn top(&mut self) -> io::Result<()> {
        let snapshot = self.snapshot;
        self.to.begin_dict();
        self.to.word("segments");
        self.to.list();
        for batch in snapshot.segments.chunks(BATCH) {
            self.to.begin_batch();
            for segment in batch {
                self.segment(segment)?;
            }
            self.to.end_batch();
        }
        self.to.word("device_traces");
        self.traces()?;
        if self.keys >= Keys::Settings {
            self.to.word("allocator_settings");
            self.settings();
        }
        if self.keys >= Keys::Annotations {
            self.to.word("external_annotations");
            self.annotations()?;
        }
        if self.keys == Keys::Newest {
            self.to.word("host_segments");
            self.to.list();
            self.to.word("host_traces");
            self.to.list();
        }
        self.to.end_dict();
        Ok(())
    }

    fn number(&mut self, key: &'static str, number: u64) {
        self.to.word(key);
        self.to.int(number);
    }

    fn segment(&mut self, segment: &Segment) -> io::Result<()> {
        self.to.begin_dict();
        self.number("device", segment.device.0.into());
        self.number("address", segment.addr);
        self.number("total_size", segment.total.0);
        self.number("allocated_size", segment.allocated.0);
        self.number("active_size", segment.active.0);
        if let Some(requested) = segment.requested {
            self.number("requested_size", requested.0);
        }
        self.number("stream", segment.stream);
        if let Some(pool) = pool_name(segment.pool) {
            self.to.word("segment_type");
            self.to.word(pool);
        }
        self.to.word("segment_pool_id");
        self.to.pair(segment.pool_id);
        self.to.word("is_expandable");
        self.to.bool(segment.is_expandable);
        // PyTorch fills in recorded frames last.
        if segment.stack == StackId::NONE {
            self.stack(StackId::NONE)?;
            self.blocks(segment)?;
        } else {
            self.blocks(segment)?;
            self.stack(segment.stack)?;
        }
        self.to.end_dict();
        self.to.settle()
    }

    fn blocks(&mut self, segment: &Segment) -> io::Result<()> {
        self.to.word("blocks");
        self.to.list();
        for batch in segment.blocks.chunks(BATCH) {
            self.to.begin_batch();
            for block in batch {
                self.to.begin_dict();
                self.number("address", block.addr);
                self.number("size", block.size.0);
                self.number("requested_size", block.requested.0);
                self.to.word("state");
                self.to.word(match block.state {
                    BlockState::Allocated => "active_allocated",
                    BlockState::PendingFree => "active_pending_free",
                    BlockState::Inactive => "inactive",
                });
                self.stack(block.stack)?;
                self.to.end_dict();
                self.to.settle()?;
            }
            self.to.end_batch();
        }
        Ok(())
    }

    /// One list a device, by ordinal.
    fn traces(&mut self) -> io::Result<()> {
        let snapshot = self.snapshot;
        self.to.list();
        for batch in snapshot.traces.chunks(BATCH) {
            self.to.begin_batch();
            for trace in batch {
                self.trace(trace)?;
            }
            self.to.end_batch();
        }
        Ok(())
    }

    fn trace(&mut self, trace: &'s Trace) -> io::Result<()> {
        self.to.list();
        let mut in_batch = 0;
        for (index, _) in trace.iter() {
            if in_batch == 0 {
                self.to.begin_batch();
            }
            self.event(trace, index)?;
            in_batch += 1;
            if in_batch == BATCH {
                self.to.end_batch();
                in_batch = 0;
            }
        }
        if in_batch > 0 {
            self.to.end_batch();
        }
        Ok(())
    }

    fn event(&mut self, trace: &'s Trace, index: EventIndex) -> io::Result<()> {
        let Some(event) = trace.event(index) else { return Ok(()) };
        self.to.begin_dict();
        self.to.word("action");
        self.to.word(action_name(event.kind, self.keys));
        self.number(if event.kind == EventKind::Oom { "device_free" } else { "addr" }, event.addr);
        self.number("size", event.size.0);
        self.number("stream", event.stream);
        if let Some(time) = event.time_us {
            self.number("time_us", time);
        }
        if self.keys >= Keys::CompileContext {
            self.to.word("compile_context");
            match trace.compile_context(index) {
                Some(context) => self.to.text(context),
                None => self.to.word("N/A"),
            }
        }
        let pool = trace.pool_id(index);
        if self.keys >= Keys::UserMetadata {
            self.to.word("user_metadata");
            match trace.user_metadata(index) {
                Some(metadata) => self.to.text(metadata),
                None => self.to.word(""),
            }
        }
        if self.keys >= Keys::UserMetadata || pool != (0, 0) {
            self.to.word("pool_id");
            self.to.pair(pool);
        }
        // Older releases leave the key out.
        if event.stack != StackId::NONE || self.keys >= Keys::UserMetadata {
            self.stack(event.stack)?;
        }
        self.to.end_dict();
        self.to.settle()
    }

    /// The key `frames` and the list, innermost frame first.
    fn stack(&mut self, stack: StackId) -> io::Result<()> {
        self.to.word("frames");
        let snapshot = self.snapshot;
        let Some(&known) = self.stacks.get(stack.0 as usize) else {
            if self.no_frames == NOT_STORED {
                self.no_frames = self.to.stored_list();
            } else {
                self.to.refer(self.no_frames);
            }
            return Ok(());
        };
        if known != NOT_STORED {
            self.to.refer(known);
            return Ok(());
        }
        let stored = self.to.stored_list();
        if let Some(cell) = self.stacks.get_mut(stack.0 as usize) {
            *cell = stored;
        }
        let mut in_batch = 0;
        for frame in snapshot.stacks.frame_ids_of(stack) {
            if in_batch == 0 {
                self.to.begin_batch();
            }
            self.frame(frame);
            self.to.settle()?;
            in_batch += 1;
            if in_batch == BATCH {
                self.to.end_batch();
                in_batch = 0;
            }
        }
        if in_batch > 0 {
            self.to.end_batch();
        }
        Ok(())
    }

    fn frame(&mut self, id: FrameId) {
        let snapshot = self.snapshot;
        let (Some(frame), Some(cell)) =
            (snapshot.stacks.frame(id), self.frames.get_mut(id.0 as usize))
        else {
            return;
        };
        if *cell != NOT_STORED {
            return self.to.refer(*cell);
        }
        *cell = self.to.begin_stored_dict();
        self.to.word("name");
        self.to.text(&frame.function);
        self.to.word("filename");
        self.to.text(&frame.file);
        self.number("line", frame.line.into());
        if let Some(node) = snapshot.stacks.fx_node(id) {
            for (key, part) in [
                ("fx_node_op", &node.op),
                ("fx_node_name", &node.name),
                ("fx_node_target", &node.target),
                ("fx_original_trace", &node.original_trace),
            ] {
                if let Some(part) = part {
                    self.to.word(key);
                    self.to.text(part);
                }
            }
        }
        self.to.end_dict();
    }

    fn annotations(&mut self) -> io::Result<()> {
        let snapshot = self.snapshot;
        self.to.list();
        for batch in snapshot.annotations.chunks(BATCH) {
            self.to.begin_batch();
            for annotation in batch {
                self.to.begin_dict();
                self.to.word("stage");
                self.to.word(match annotation.stage {
                    Stage::Start => "START",
                    Stage::End => "END",
                    Stage::Instant => "INSTANT",
                });
                self.to.word("name");
                self.to.text(&annotation.name);
                if let Some(device) = annotation.device {
                    self.number("device", device.0.into());
                }
                if let Some(time) = annotation.time_us {
                    self.number("time_us", time);
                }
                self.to.end_dict();
                self.to.settle()?;
            }
            self.to.end_batch();
        }
        Ok(())
    }

    fn settings(&mut self) {
        let snapshot = self.snapshot;
        let settings = &snapshot.settings;
        self.to.begin_dict();
        if let Some(conf) = &settings.conf {
            self.to.word("PYTORCH_CUDA_ALLOC_CONF");
            self.to.text(conf);
        }
        self.to.word("max_split_size");
        match settings.max_split_size {
            Some(size) => self.to.int(size.0),
            None => self.to.minus_one(),
        }
        self.to.word("garbage_collection_threshold");
        self.to.float(match settings.garbage_collection_threshold_percent {
            // Set, and rounded to nothing.
            Some(0) => 0.001,
            Some(percent) => f64::from(percent) / 100.0,
            None => 0.0,
        });
        if let Some(expandable) = settings.expandable_segments {
            self.to.word("expandable_segments");
            self.to.bool(expandable);
        }
        if self.keys == Keys::Newest {
            // Limits of pinned host memory: what they were is not kept, the release is.
            for key in ["max_round_threshold", "max_cached_size"] {
                self.to.word(key);
                self.to.minus_one();
            }
        }
        self.to.word("roundup_power2_divisions");
        self.to.begin_dict();
        for (power, divisions) in POWERS.into_iter().zip(snapshot.rounding.divisions) {
            self.number(power, divisions.into());
        }
        self.to.end_dict();
        self.to.end_dict();
    }
}

/// Keys of `roundup_power2_divisions`, in MiB.
const POWERS: [&str; 16] = [
    "1", "2", "4", "8", "16", "32", "64", "128", "256", "512", "1024", "2048", "4096", "8192",
    "16384", "32768",
];

fn pool_name(pool: SegmentPool) -> Option<&'static str> {
    match pool {
        SegmentPool::Small => Some("small"),
        SegmentPool::Large => Some("large"),
        SegmentPool::Unknown => None,
    }
}

/// `action_to_str` in `memory_snapshot.cpp`. Which record [`EventKind::Other`] was is not kept: it is
/// written as what a program of that release adds by itself.
fn action_name(kind: EventKind, keys: Keys) -> &'static str {
    match kind {
        EventKind::Alloc => "alloc",
        EventKind::FreeRequested => "free_requested",
        EventKind::FreeCompleted => "free_completed",
        EventKind::SegmentAlloc => "segment_alloc",
        EventKind::SegmentFree => "segment_free",
        EventKind::SegmentMap => "segment_map",
        EventKind::SegmentUnmap => "segment_unmap",
        EventKind::Oom => "oom",
        EventKind::Snapshot => "snapshot",
        EventKind::Other if keys >= Keys::UserMetadata => "annotate",
        EventKind::Other => "user_defined",
    }
}
