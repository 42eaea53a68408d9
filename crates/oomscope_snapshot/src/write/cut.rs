//! A stretch of a recording as a recording of its own: what PyTorch would have dumped right after
//! the last kept event, had its ring buffer begun at the first.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use oomscope_model::{Block, BlockState, Bytes, DeviceId, EventIndex, EventKind, Segment, StackId};
use rustc_hash::FxHashMap;

use crate::history::{At, History, LiveBlock, SegmentRange, history};
use crate::snapshot::{Annotation, Rows, Snapshot, Trace};
use crate::stacks::Stacks;

/// The events `from..to` of a snapshot, with the segments as they were after the last of them.
///
/// The indices are those of the first device that has events. Of every other device, the events of
/// the same stretch of time are kept; where times were not recorded, the same share of its events.
/// `from` 0 and `to` beyond the end stand for "from the beginning" and "to the end" on all devices.
///
/// [`state_at`](crate::state_at) of a kept event says the same as before, with two exceptions that
/// every recording has whose head is lost: a block that is older than `from` and was freed before
/// `to` has no stack, and its size is the request rounded up.
pub fn cut(snapshot: &Snapshot, from: EventIndex, to: EventIndex) -> Snapshot {
    Pasts::of(snapshot).cut(window(snapshot, from, to))
}

/// As [`cut`], with a range of events for each trace.
pub fn cut_by(snapshot: &Snapshot, keep: impl Fn(&Trace) -> Range<EventIndex>) -> Snapshot {
    Pasts::of(snapshot).cut(keep)
}

/// The range of each trace that `from..to` of the first one stands for.
pub(crate) fn window(
    snapshot: &Snapshot,
    from: EventIndex,
    to: EventIndex,
) -> impl Fn(&Trace) -> Range<EventIndex> + '_ {
    let leader = first_traced(snapshot);
    move |trace| {
        let Some(leader) = leader.filter(|leader| leader.device != trace.device) else {
            return from..to;
        };
        counterpart(leader, trace, from)..counterpart(leader, trace, to)
    }
}

pub(crate) fn first_traced(snapshot: &Snapshot) -> Option<&Trace> {
    snapshot.traces.iter().find(|trace| !trace.is_empty())
}

/// The event of `trace` at which the moment of `index` in `leader` is reached.
fn counterpart(leader: &Trace, trace: &Trace, index: EventIndex) -> EventIndex {
    let at = match leader.event(index) {
        None => trace.len(),
        Some(_) if index.0 == 0 => 0,
        Some(event) => {
            let times = || trace.iter().filter_map(|(index, event)| Some((index, event.time_us?)));
            match event.time_us.filter(|_| times().next().is_some()) {
                Some(moment) => {
                    let reached = times().find(|&(_, time)| time >= moment);
                    reached.map_or(trace.len(), |(index, _)| index.0 as usize)
                }
                None => (u64::from(index.0) * trace.len() as u64 / leader.len() as u64) as usize,
            }
        }
    };
    EventIndex(u32::try_from(at).unwrap_or(u32::MAX))
}

/// The histories of a snapshot's devices, so that several cuts cost one walk. A device's is made
/// when a cut first needs it: a hostile file has 100,000 devices without events.
pub(crate) struct Pasts<'s> {
    snapshot: &'s Snapshot,
    /// By trace.
    histories: Vec<OnceCell<History>>,
    /// The dump's, in the file's order.
    segments: BTreeMap<DeviceId, Vec<&'s Segment>>,
    /// Places in [`Snapshot::traces`].
    traces: FxHashMap<DeviceId, usize>,
}

impl<'s> Pasts<'s> {
    pub(crate) fn of(snapshot: &'s Snapshot) -> Pasts<'s> {
        let mut segments = BTreeMap::<DeviceId, Vec<&Segment>>::new();
        for segment in &snapshot.segments {
            segments.entry(segment.device).or_default().push(segment);
        }
        let traces = snapshot.traces.iter().zip(0..);
        Pasts {
            snapshot,
            histories: snapshot.traces.iter().map(|_| OnceCell::new()).collect(),
            segments,
            traces: traces.map(|(trace, at)| (trace.device, at)).collect(),
        }
    }

    pub(crate) fn cut(&self, keep: impl Fn(&Trace) -> Range<EventIndex>) -> Snapshot {
        with_stacks_in_use(self.cut_with_all_stacks(keep))
    }

    /// One device, whole. The traces of the others are empty, so that it keeps its ordinal.
    pub(crate) fn only(&self, device: DeviceId) -> Snapshot {
        let snapshot = self.snapshot;
        let traces = snapshot.traces.iter().map(|trace| {
            let is_kept = trace.device == device;
            let rows = if is_kept { trace.rows.clone() } else { Rows::default() };
            Trace { device: trace.device, rows }
        });
        with_stacks_in_use(Snapshot {
            segments: self.segments_of(device).cloned().collect(),
            traces: traces.collect(),
            annotations: snapshot.annotations.clone(),
            lost_tail: snapshot.lost_tail,
            ..self.without_tables()
        })
    }

    fn cut_with_all_stacks(&self, keep: impl Fn(&Trace) -> Range<EventIndex>) -> Snapshot {
        let snapshot = self.snapshot;
        let mut traces = Vec::with_capacity(snapshot.traces.len());
        let mut ends = Vec::with_capacity(snapshot.traces.len());
        for trace in &snapshot.traces {
            let Range { start, end } = keep(trace);
            let end = (end.0 as usize).min(trace.len());
            let start = (start.0 as usize).min(end);
            let mut rows = Rows { shared: Arc::clone(&trace.rows.shared), ..Rows::default() };
            rows.copy_from(&trace.rows, start, end - start);
            traces.push(Trace { device: trace.device, rows });
            ends.push(end);
        }
        let to_end = snapshot.traces.iter().zip(&ends).all(|(trace, &end)| end == trace.len());
        let is_whole = to_end && !snapshot.lost_tail;
        let segments = if is_whole { snapshot.segments.clone() } else { self.segments_at(&ends) };
        Snapshot {
            segments,
            annotations: self.annotations_of(&ends, &traces),
            // The segments are made for the last kept event.
            lost_tail: false,
            traces,
            ..self.without_tables()
        }
    }

    /// What every part has.
    fn without_tables(&self) -> Snapshot {
        let snapshot = self.snapshot;
        Snapshot {
            settings: snapshot.settings.clone(),
            torch_version: snapshot.torch_version,
            stacks: snapshot.stacks.clone(),
            pinned_host: snapshot.pinned_host,
            problems: snapshot.problems.clone(),
            unknown: snapshot.unknown.clone(),
            rounding: snapshot.rounding,
            ..Snapshot::default()
        }
    }

    fn segments_of(&self, device: DeviceId) -> impl Iterator<Item = &'s Segment> {
        self.segments.get(&device).into_iter().flatten().copied()
    }

    /// The annotations of the stretch of time that a cut owns: from its first event up to, but not
    /// with, the first event after it, so that the next cut goes on where this one ends. All of them
    /// where times were not recorded. A cut that reaches an end of the recording keeps what lies
    /// beyond it.
    fn annotations_of(&self, ends: &[usize], kept: &[Trace]) -> Vec<Annotation> {
        let snapshot = self.snapshot;
        let all = || snapshot.traces.iter().zip(kept).zip(ends);
        let from_start = all().all(|((_, kept), &end)| kept.len() == end);
        let to_end = all().all(|((trace, _), &end)| end == trace.len());
        let first =
            first_time(all().map(|((trace, kept), &end)| (trace, end.saturating_sub(kept.len()))));
        let next = first_time(all().map(|((trace, _), &end)| (trace, end)));
        let is_inside = |time: u64| {
            (from_start || first.is_none_or(|first| time >= first))
                && (to_end || next.is_none_or(|next| time < next))
        };
        let annotations = snapshot.annotations.iter();
        annotations.filter(|it| it.time_us.is_none_or(is_inside)).cloned().collect()
    }

    /// The segments of all devices, each after as many events as `ends` says.
    fn segments_at(&self, ends: &[usize]) -> Vec<Segment> {
        let snapshot = self.snapshot;
        let mut segments = Vec::new();
        for device in snapshot.devices() {
            let past = self.traces.get(&device).and_then(|&at| {
                let (trace, end) = (snapshot.traces.get(at)?, *ends.get(at)?);
                let is_needed = end < trace.len() || snapshot.lost_tail && !trace.is_empty();
                let cell = self.histories.get(at).filter(|_| is_needed)?;
                Some((trace, cell.get_or_init(|| history(snapshot, device)), end))
            });
            match past {
                Some((trace, history, end)) => {
                    segments.extend(self.segments_after(trace, history, end));
                }
                None => segments.extend(self.segments_of(device).cloned()),
            }
        }
        segments
    }

    fn segments_after(&self, trace: &Trace, history: &History, end: usize) -> Vec<Segment> {
        let end = end as u32;
        let state = history.state_at(At::Before(EventIndex(end)));
        let makers = self.makers_of_segments(trace, history, end);
        let mut live = state.live.as_slice();
        let mut segments = Vec::with_capacity(state.segments.len());
        for range in &state.segments {
            let before = live.partition_point(|block| block.addr < range.addr);
            let inside = live.partition_point(|block| block.addr < range.end());
            let held = live.get(before..inside).unwrap_or_default();
            live = live.get(inside..).unwrap_or_default();
            let stack = makers.get(&range.addr).copied().unwrap_or(StackId::NONE);
            segments.push(segment(trace.device, range, held, stack));
        }
        segments
    }

    /// Who obtained each segment that is there after `end` events, by address.
    fn makers_of_segments(
        &self,
        trace: &Trace,
        history: &History,
        end: u32,
    ) -> FxHashMap<u64, StackId> {
        let dumped = self.segments_of(trace.device);
        let mut makers: FxHashMap<u64, StackId> =
            dumped.map(|segment| (segment.addr, segment.stack)).collect();
        let obtains = |kind| matches!(kind, EventKind::SegmentAlloc | EventKind::SegmentMap);
        // What was obtained later was another segment.
        for change in history.changes.iter().filter(|change| change.time > end) {
            makers.remove(&change.addr);
        }
        for change in history.changes.iter().take_while(|change| change.time <= end) {
            if obtains(change.kind)
                && let Some(event) = trace.event(EventIndex(change.time - 1))
            {
                makers.insert(change.addr, event.stack);
            }
        }
        makers
    }
}

fn segment(device: DeviceId, range: &SegmentRange, held: &[LiveBlock], stack: StackId) -> Segment {
    let blocks = tiles(range, held);
    let sum = |is_wanted: fn(&LiveBlock) -> bool, size: fn(&LiveBlock) -> Bytes| -> Bytes {
        held.iter().filter(|block| is_wanted(block)).map(size).sum()
    };
    Segment {
        device,
        addr: range.addr,
        total: range.total,
        allocated: sum(|block| block.state == BlockState::Allocated, |block| block.size),
        active: sum(|_| true, |block| block.size),
        requested: Some(sum(|_| true, |block| block.requested)),
        stream: range.stream,
        pool: range.pool,
        pool_id: range.pool_id,
        is_expandable: range.is_expandable,
        stack,
        blocks,
    }
}

/// The held blocks of a segment, and a free one in each gap.
fn tiles(range: &SegmentRange, held: &[LiveBlock]) -> Vec<Block> {
    let mut blocks = Vec::with_capacity(held.len() * 2 + 1);
    let mut next = range.addr;
    let free_up_to = |blocks: &mut Vec<Block>, next: u64, end: u64| {
        if next < end {
            blocks.push(Block {
                addr: next,
                size: Bytes(end - next),
                requested: Bytes::ZERO,
                state: BlockState::Inactive,
                stack: StackId::NONE,
            });
        }
    };
    for block in held {
        free_up_to(&mut blocks, next, block.addr);
        next = next.max(block.addr.saturating_add(block.size.0));
        blocks.push(Block {
            addr: block.addr,
            size: block.size,
            requested: block.requested,
            state: block.state,
            stack: block.stack,
        });
    }
    free_up_to(&mut blocks, next, range.end());
    blocks
}

/// The earliest time at or behind a place in each of several traces.
fn first_time<'t>(places: impl Iterator<Item = (&'t Trace, usize)>) -> Option<u64> {
    let times = places.filter_map(|(trace, at)| {
        let times = trace.rows.time_us.get(at..).unwrap_or_default();
        times.iter().copied().find(|&time| time != 0)
    });
    times.min()
}

/// Drops frames and stacks that nothing refers to any more.
fn with_stacks_in_use(mut snapshot: Snapshot) -> Snapshot {
    let mut is_used = vec![false; snapshot.stacks.len()];
    let mut mark = |stack: StackId| {
        if let Some(cell) = is_used.get_mut(stack.0 as usize) {
            *cell = true;
        }
    };
    for segment in &snapshot.segments {
        mark(segment.stack);
        segment.blocks.iter().for_each(|block| mark(block.stack));
    }
    for trace in &snapshot.traces {
        trace.rows.stack.iter().copied().for_each(&mut mark);
    }
    let edges: Vec<_> = snapshot.stacks.edges().collect();
    for (at, &(caller, _)) in edges.iter().enumerate().rev() {
        if is_used.get(at) == Some(&true)
            && let Some(cell) = is_used.get_mut(caller.0 as usize)
        {
            *cell = true;
        }
    }
    if is_used.iter().all(|&is_used| is_used) {
        return snapshot;
    }
    let mut frames = Vec::new();
    let mut new_frames = vec![None; snapshot.stacks.frame_count()];
    let mut new_stacks = vec![StackId::NONE; edges.len()];
    let new_of = |new_stacks: &[StackId], stack: StackId| {
        new_stacks.get(stack.0 as usize).copied().unwrap_or(StackId::NONE)
    };
    let mut kept = Vec::new();
    for ((&(caller, frame), is_used), at) in edges.iter().zip(is_used).zip(0..) {
        let Some(old) = snapshot.stacks.frame(frame).filter(|_| is_used) else { continue };
        let Some(cell) = new_frames.get_mut(frame.0 as usize) else { continue };
        let frame = *cell.get_or_insert_with(|| {
            frames.push(old.clone());
            oomscope_model::FrameId(frames.len() as u32 - 1)
        });
        let edge = (new_of(&new_stacks, caller), frame);
        if let Some(cell) = new_stacks.get_mut::<usize>(at) {
            *cell = StackId(kept.len() as u32);
            kept.push(edge);
        }
    }
    let fx_nodes = snapshot.stacks.fx_nodes().iter().filter_map(|(frame, node)| {
        let frame = new_frames.get(frame.0 as usize).copied().flatten()?;
        Some((frame, node.clone()))
    });
    let mut fx_nodes: Vec<_> = fx_nodes.collect();
    fx_nodes.sort_by_key(|&(frame, _)| frame);
    snapshot.stacks = Stacks::from_edges(frames, fx_nodes, kept.into_iter())
        .expect("callers are kept with their callees, in the same order");
    for segment in &mut snapshot.segments {
        segment.stack = new_of(&new_stacks, segment.stack);
        for block in &mut segment.blocks {
            block.stack = new_of(&new_stacks, block.stack);
        }
    }
    for trace in &mut snapshot.traces {
        for stack in &mut trace.rows.stack {
            *stack = new_of(&new_stacks, *stack);
        }
    }
    snapshot
}
