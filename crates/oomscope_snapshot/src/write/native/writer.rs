//! Writes the compact form, a group of events at a time.

use std::collections::HashMap;
use std::io;

use oomscope_model::{Block, Bytes, Segment, StackId};

use super::columns::{RUN, Width, put_column, put_number};
use super::{END, KINDS, LOST_TAIL, MAGIC, POOLS, RELEASES, STAGES, STATES, VERSION, code};
use crate::columns::Stretches;
use crate::snapshot::{Annotation, Shared, Snapshot, Trace};
use crate::stacks::FxNode;

/// Writes a snapshot in the compact form that [`read`](crate::read) opens in milliseconds; all of
/// it comes back, its problems and the ids of its stacks included.
pub fn write_native(snapshot: &Snapshot, out: &mut dyn io::Write) -> io::Result<()> {
    out.write_all(&MAGIC)?;
    out.write_all(&VERSION.to_le_bytes())?;
    let mut part = Vec::new();
    put_head(&mut part, snapshot);
    out.write_all(&part)?;
    part.clear();
    put_annotations(&mut part, snapshot);
    put_stacks(&mut part, snapshot);
    put_segments(&mut part, snapshot);
    put_shared(&mut part, snapshot);
    put_number(&mut part, snapshot.traces.len() as u64);
    out.write_all(&part)?;
    for trace in &snapshot.traces {
        write_trace(trace, out)?;
    }
    out.write_all(&END)
}

/// The table of texts: where each stands.
fn texts(snapshot: &Snapshot) -> (Vec<&str>, HashMap<&str, u64>) {
    let mut table = Vec::new();
    let mut places = HashMap::new();
    let frames = snapshot.stacks.frames().iter();
    let of_frames = frames.flat_map(|frame| [frame.file.as_str(), frame.function.as_str()]);
    let of_nodes = snapshot.stacks.fx_nodes().iter().flat_map(|(_, node)| parts(node)).flatten();
    let of_ranges = snapshot.annotations.iter().map(|annotation| annotation.name.as_str());
    for text in of_frames.chain(of_nodes).chain(of_ranges) {
        places.entry(text).or_insert_with(|| {
            table.push(text);
            table.len() as u64 - 1
        });
    }
    (table, places)
}

fn parts(node: &FxNode) -> [Option<&str>; 4] {
    [&node.op, &node.name, &node.target, &node.original_trace].map(Option::as_deref)
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn put_option<T>(out: &mut Vec<u8>, value: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(out, value);
    }
}

fn put_head(out: &mut Vec<u8>, snapshot: &Snapshot) {
    let (table, _) = texts(snapshot);
    put_number(out, table.len() as u64);
    for text in table {
        put_text(out, text);
    }
    let release = snapshot.torch_version.and_then(|it| RELEASES.iter().position(|&l| l == it));
    let release = release.map_or(0, |at| at as u8 + 1);
    out.push(release | if snapshot.lost_tail { LOST_TAIL } else { 0 });
    let settings = &snapshot.settings;
    put_option(out, settings.conf.as_deref(), put_text);
    put_option(out, settings.expandable_segments, |out, value| out.push(value.into()));
    put_option(out, settings.max_split_size, |out, size| put_number(out, size.0));
    put_option(out, settings.garbage_collection_threshold_percent, Vec::push);
    for divisions in snapshot.rounding.divisions {
        put_number(out, divisions.into());
    }
    put_number(out, snapshot.problems.len() as u64);
    for problem in &snapshot.problems {
        put_text(out, &problem.at);
        put_text(out, &problem.what);
        put_option(out, problem.hint.as_deref(), put_text);
    }
    put_number(out, snapshot.unknown.len() as u64);
    for unknown in &snapshot.unknown {
        put_text(out, &unknown.word);
        put_number(out, unknown.count);
    }
    put_option(out, snapshot.pinned_host, |out, pinned| {
        put_number(out, pinned.reserved.0);
        put_number(out, pinned.allocated.0);
        put_number(out, pinned.segments.into());
    });
}

fn put_annotations(out: &mut Vec<u8>, snapshot: &Snapshot) {
    use Width::{Any, AtLeastAByte};
    let (_, places) = texts(snapshot);
    let annotations: &[Annotation] = &snapshot.annotations;
    put_number(out, annotations.len() as u64);
    put_field(out, annotations, AtLeastAByte, |it| {
        places.get(it.name.as_str()).copied().unwrap_or(0)
    });
    put_field(out, annotations, Any, |it| it.device.map_or(0, |device| u64::from(device.0) + 1));
    put_field(out, annotations, Any, |it| it.time_us.map_or(0, |time| time.saturating_add(1)));
    put_field(out, annotations, Any, |it| code(&STAGES, &it.stage));
}

/// The tables of streams and labels, which all traces of a snapshot share.
fn put_shared(out: &mut Vec<u8>, snapshot: &Snapshot) {
    let none = Shared::default();
    let shared = snapshot.traces.iter().map(|trace| &*trace.rows.shared);
    let shared = shared.max_by_key(|shared| shared.streams.len()).unwrap_or(&none);
    put_number(out, shared.streams.len() as u64);
    put_column(out, &shared.streams, Width::AtLeastAByte);
    put_number(out, shared.texts.iter().count() as u64);
    for text in shared.texts.iter() {
        put_text(out, text);
    }
}

fn put_stretches<T: Copy + Default + PartialEq>(
    out: &mut Vec<u8>,
    column: &Stretches<T>,
    number_of: impl Fn(T) -> u64,
) {
    let (parts, end) = column.parts();
    put_number(out, end.into());
    put_number(out, parts.len() as u64);
    put_field(out, parts, Width::AtLeastAByte, |&(start, _)| start.into());
    put_field(out, parts, Width::Any, |&(_, value)| number_of(value));
}

/// Ids from 0 on, so that [`StackId::NONE`] is 0.
fn above_none(stack: StackId) -> u64 {
    u64::from(stack.0.wrapping_add(1))
}

/// A column of a table: one number of each record.
fn put_field<T>(out: &mut Vec<u8>, records: &[T], width: Width, field: impl Fn(&T) -> u64) {
    let values: Vec<u64> = records.iter().map(field).collect();
    put_column(out, &values, width);
}

fn put_stacks(out: &mut Vec<u8>, snapshot: &Snapshot) {
    use Width::{Any, AtLeastAByte};
    let (_, places) = texts(snapshot);
    let place = |text: &str| places.get(text).copied().unwrap_or(0);
    let frames = snapshot.stacks.frames();
    put_number(out, frames.len() as u64);
    put_field(out, frames, AtLeastAByte, |frame| place(&frame.file));
    put_field(out, frames, Any, |frame| place(&frame.function));
    put_field(out, frames, Any, |frame| frame.line.into());
    let nodes = snapshot.stacks.fx_nodes();
    put_number(out, nodes.len() as u64);
    put_field(out, nodes, AtLeastAByte, |(frame, _)| frame.0.into());
    for part in 0..4 {
        put_field(out, nodes, Any, |(_, node)| {
            let text = parts(node).get(part).copied().flatten();
            text.map_or(0, |text| place(text) + 1)
        });
    }
    let edges: Vec<_> = snapshot.stacks.edges().collect();
    put_number(out, edges.len() as u64);
    put_field(out, &edges, Any, |&(caller, _)| above_none(caller));
    put_field(out, &edges, AtLeastAByte, |&(_, frame)| frame.0.into());
}

fn put_segments(out: &mut Vec<u8>, snapshot: &Snapshot) {
    use Width::{Any, AtLeastAByte};
    let segments: &[Segment] = &snapshot.segments;
    put_number(out, segments.len() as u64);
    put_field(out, segments, Any, |it| it.device.0.into());
    put_field(out, segments, Any, |it| it.addr);
    put_field(out, segments, Any, |it| it.total.0);
    put_field(out, segments, Any, |it| it.allocated.0);
    put_field(out, segments, Any, |it| it.active.0);
    put_field(out, segments, Any, |it| it.requested.is_some().into());
    put_field(out, segments, Any, |it| it.requested.unwrap_or(Bytes::ZERO).0);
    put_field(out, segments, Any, |it| it.stream);
    put_field(out, segments, AtLeastAByte, |it| code(&POOLS, &it.pool));
    put_field(out, segments, Any, |it| it.pool_id.0);
    put_field(out, segments, Any, |it| it.pool_id.1);
    put_field(out, segments, Any, |it| it.is_expandable.into());
    put_field(out, segments, Any, |it| above_none(it.stack));
    put_field(out, segments, Any, |it| it.blocks.len() as u64);
    let blocks: Vec<Block> = segments.iter().flat_map(|it| it.blocks.iter().copied()).collect();
    put_number(out, blocks.len() as u64);
    put_field(out, &blocks, Any, |it| it.addr);
    put_field(out, &blocks, Any, |it| it.size.0);
    put_field(out, &blocks, Any, |it| it.requested.0);
    put_field(out, &blocks, AtLeastAByte, |it| code(&STATES, &it.state));
    put_field(out, &blocks, Any, |it| above_none(it.stack));
}

fn write_trace(trace: &Trace, out: &mut dyn io::Write) -> io::Result<()> {
    use Width::{Any, AtLeastAByte};
    let mut part = Vec::new();
    put_number(&mut part, trace.device.0.into());
    put_number(&mut part, trace.len() as u64);
    let mut events =
        trace.iter().zip(&trace.rows.stream).map(|((_, event), stream)| (event, *stream));
    loop {
        let group: Vec<_> = events.by_ref().take(RUN).collect();
        if group.is_empty() {
            break;
        }
        put_field(&mut part, &group, AtLeastAByte, |(it, _)| code(&KINDS, &it.kind));
        put_field(&mut part, &group, Any, |(it, _)| it.addr);
        put_field(&mut part, &group, Any, |(it, _)| it.size.0);
        put_field(&mut part, &group, Any, |&(_, stream)| stream.into());
        put_field(&mut part, &group, Any, |(it, _)| it.time_us.unwrap_or(0));
        put_field(&mut part, &group, Any, |(it, _)| above_none(it.stack));
        out.write_all(&part)?;
        part.clear();
    }
    let rows = &trace.rows;
    put_stretches(&mut part, &rows.pool_id, |(owner, id)| u64::from(owner) << 32 | u64::from(id));
    put_stretches(&mut part, &rows.user_metadata, u64::from);
    put_stretches(&mut part, &rows.compile_context, u64::from);
    out.write_all(&part)
}
