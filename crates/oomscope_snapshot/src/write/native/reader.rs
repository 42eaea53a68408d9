//! Reads the compact form. Every length is checked against the input before anything is made of
//! it; a damaged tail costs the events behind the damage and no more.

use oomscope_model::{
    AllocatorSettings, Block, BlockState, Bytes, DeviceId, EventKind, Frame, FrameId, Segment,
    SegmentPool, StackId,
};

use super::columns::{Damage, RUN, Source, Width};
use super::{END, KINDS, LOST_TAIL, MAGIC, POOLS, RELEASES, STAGES, STATES, VERSION};
use crate::columns::Stretches;
use crate::reader::{ReadError, ReadProblem};
use crate::snapshot::{Annotation, PinnedHost, Rows, Shared, Snapshot, Stage, Trace, UnknownWord};
use crate::stacks::{FxNode, Stacks};
use oomscope_model::rounding::Rounding;

/// Ten million stacks of depth 100.
const MOST_FRAMES: u64 = 1 << 30;

/// Whether the bytes begin as the compact form.
pub(crate) fn is_native(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

pub(crate) fn read(bytes: &[u8]) -> Result<Snapshot, ReadError> {
    let mut source = Source::new(bytes, MAGIC.len());
    let mut snapshot = Snapshot::default();
    let version = source.bytes(2).map(|bytes| bytes.iter().rfold(0, |v, &b| v << 8 | u16::from(b)));
    match version {
        Ok(version) if version > VERSION => {
            return Err(ReadError::NewerNative { version, known: VERSION });
        }
        Ok(_) => {}
        Err(damage) => return Err(ReadError::NoSnapshot { problem: Some(problem(damage, 8)) }),
    }
    let before_traces = read_before_traces(&mut source, &mut snapshot);
    if let Err(damage) = before_traces {
        let problem = Some(problem(damage, source.offset()));
        return Err(ReadError::NoSnapshot { problem });
    }
    if let Err(damage) = read_traces(&mut source, &mut snapshot) {
        snapshot.lost_tail = true;
        snapshot.problems.push(problem(damage, source.offset()));
    }
    Ok(snapshot)
}

fn problem(damage: Damage, offset: usize) -> ReadProblem {
    let what = match damage {
        Damage::Ends => "the file ends inside a record",
        Damage::Malformed(what) => what,
    };
    ReadProblem {
        at: format!("byte {offset}"),
        what: what.to_owned(),
        hint: Some("the copy was cut short or damaged; what came before was read".to_owned()),
    }
}

fn read_before_traces(source: &mut Source, snapshot: &mut Snapshot) -> Result<(), Damage> {
    let texts = read_head(source, snapshot)?;
    snapshot.annotations = annotations(source, &texts)?;
    snapshot.stacks = stacks(source, &texts)?;
    snapshot.segments = segments(source, &snapshot.stacks)?;
    Ok(())
}

fn text<'a>(source: &mut Source<'a>) -> Result<&'a str, Damage> {
    let len = source.count()?;
    std::str::from_utf8(source.bytes(len)?).map_err(|_| Damage::Malformed("a text is not UTF-8"))
}

fn option<'a, T>(
    source: &mut Source<'a>,
    read: impl FnOnce(&mut Source<'a>) -> Result<T, Damage>,
) -> Result<Option<T>, Damage> {
    match source.byte()? {
        0 => Ok(None),
        _ => read(source).map(Some),
    }
}

/// Reads the head; the texts that frames refer to.
fn read_head<'a>(source: &mut Source<'a>, snapshot: &mut Snapshot) -> Result<Vec<&'a str>, Damage> {
    let count = source.count()?;
    let texts = (0..count).map(|_| text(source)).collect::<Result<Vec<_>, _>>()?;
    let release = source.byte()?;
    snapshot.lost_tail = release & LOST_TAIL != 0;
    let release = usize::from(release & !LOST_TAIL);
    snapshot.torch_version = release.checked_sub(1).and_then(|at| RELEASES.get(at)).copied();
    snapshot.settings = AllocatorSettings {
        conf: option(source, text)?.map(str::to_owned),
        expandable_segments: option(source, |source| Ok(source.byte()? != 0))?,
        max_split_size: option(source, |source| source.number().map(Bytes))?,
        garbage_collection_threshold_percent: option(source, Source::byte)?,
    };
    snapshot.rounding = Rounding::default();
    for divisions in &mut snapshot.rounding.divisions {
        *divisions = u16::try_from(source.number()?).unwrap_or(0);
    }
    for _ in 0..source.count()? {
        snapshot.problems.push(ReadProblem {
            at: text(source)?.to_owned(),
            what: text(source)?.to_owned(),
            hint: option(source, text)?.map(str::to_owned),
        });
    }
    for _ in 0..source.count()? {
        let (word, count) = (text(source)?.to_owned(), source.number()?);
        snapshot.unknown.push(UnknownWord { word, count });
    }
    snapshot.pinned_host = option(source, |source| {
        Ok(PinnedHost {
            reserved: Bytes(source.number()?),
            allocated: Bytes(source.number()?),
            segments: u32::try_from(source.number()?).unwrap_or(u32::MAX),
        })
    })?;
    Ok(texts)
}

fn annotations(source: &mut Source, texts: &[&str]) -> Result<Vec<Annotation>, Damage> {
    use Width::{Any, AtLeastAByte};
    let mut room = room(source);
    let count = source.count()?;
    let names = source.column(count, AtLeastAByte)?;
    let devices = source.column(count, Any)?;
    let times = source.column(count, Any)?;
    let stages = source.column(count, Any)?;
    let rest = devices.into_iter().zip(times).zip(stages);
    names
        .into_iter()
        .zip(rest)
        .map(|(name, ((device, time_us), stage))| {
            let name = text_at(texts, name).ok_or(REPEATED)?;
            room = room.checked_sub(name.len()).ok_or(REPEATED)?;
            Ok(Annotation {
                name: name.to_owned(),
                device: device.checked_sub(1).and_then(|it| u32::try_from(it).ok()).map(DeviceId),
                time_us: time_us.checked_sub(1),
                stage: of_code(&STAGES, stage, Stage::Instant),
            })
        })
        .collect()
}

const REPEATED: Damage = Damage::Malformed("names are repeated beyond the size of the file");

/// Bytes that names may take: one text can be the name of many things; see
/// `StackInterner::for_input_of`.
fn room(source: &Source) -> usize {
    source.left().saturating_mul(16).saturating_add(16 << 20)
}

fn text_at<'a>(texts: &[&'a str], at: u64) -> Option<&'a str> {
    texts.get(usize::try_from(at).ok()?).copied()
}

/// The stack of a stored id; `None` is also what no table has.
fn stack_of(stored: u64, stacks: &Stacks) -> StackId {
    match stored.checked_sub(1) {
        Some(id) if id < stacks.len() as u64 => StackId(id as u32),
        _ => StackId::NONE,
    }
}

fn stacks(source: &mut Source, texts: &[&str]) -> Result<Stacks, Damage> {
    use Width::{Any, AtLeastAByte};
    const MISSING: Damage = Damage::Malformed("a stack refers to what is not there");
    let mut room = room(source);
    let count = source.count()?;
    let files = source.column(count, AtLeastAByte)?;
    let functions = source.column(count, Any)?;
    let lines = source.column(count, Any)?;
    let mut frames = Vec::with_capacity(count);
    for ((file, function), line) in files.into_iter().zip(functions).zip(lines) {
        let text = |at| text_at(texts, at).ok_or(MISSING);
        let (file, function) = (text(file)?, text(function)?);
        room = room.checked_sub(file.len() + function.len()).ok_or(REPEATED)?;
        let line = u32::try_from(line).unwrap_or(0);
        frames.push(Frame { file: file.to_owned(), line, function: function.to_owned() });
    }
    let fx_nodes = fx_nodes(source, texts, &mut room)?;
    let count = source.count()?;
    let callers = source.column(count, Any)?;
    let called = source.column(count, AtLeastAByte)?;
    let id = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let callers = callers
        .into_iter()
        .map(|caller| caller.checked_sub(1).map_or(StackId::NONE, |at| StackId(id(at))));
    let edges: Vec<_> = callers.zip(called.into_iter().map(|frame| FrameId(id(frame)))).collect();
    if frames_in_all(&edges) > MOST_FRAMES {
        return Err(Damage::Malformed("stacks are too deep"));
    }
    Stacks::from_edges(frames, fx_nodes, edges.into_iter()).ok_or(MISSING)
}

fn fx_nodes(
    source: &mut Source,
    texts: &[&str],
    room: &mut usize,
) -> Result<Vec<(FrameId, FxNode)>, Damage> {
    let count = source.count()?;
    let frames = source.column(count, Width::AtLeastAByte)?;
    let mut parts = Vec::with_capacity(4);
    for _ in 0..4 {
        parts.push(source.column(count, Width::Any)?.into_iter());
    }
    let mut nodes: Vec<(FrameId, FxNode)> = Vec::with_capacity(count);
    for frame in frames {
        let mut part = |at: usize| -> Result<Option<String>, Damage> {
            let stored = parts.get_mut(at).and_then(Iterator::next).unwrap_or(0);
            let Some(text) = stored.checked_sub(1).and_then(|at| text_at(texts, at)) else {
                return Ok(None);
            };
            *room = room.checked_sub(text.len()).ok_or(REPEATED)?;
            Ok(Some(text.to_owned()))
        };
        let node =
            FxNode { op: part(0)?, name: part(1)?, target: part(2)?, original_trace: part(3)? };
        let frame = FrameId(u32::try_from(frame).unwrap_or(u32::MAX));
        if nodes.last().is_none_or(|&(last, _)| last < frame) {
            nodes.push((frame, node));
        }
    }
    Ok(nodes)
}

/// Frames of all stacks, spelt out. Each node adds one to its caller's depth, so that a small file
/// could make every look at its stacks endless.
fn frames_in_all(edges: &[(StackId, FrameId)]) -> u64 {
    let mut depths: Vec<u32> = Vec::with_capacity(edges.len());
    for &(caller, _) in edges {
        let above = depths.get(caller.0 as usize).copied().unwrap_or(0);
        depths.push(above.saturating_add(1));
    }
    depths.into_iter().map(u64::from).sum()
}

fn segments(source: &mut Source, stacks: &Stacks) -> Result<Vec<Segment>, Damage> {
    use Width::{Any, AtLeastAByte};
    let count = source.count()?;
    let mut column = |width| source.column(count, width).map(Vec::into_iter);
    let mut device = column(Any)?;
    let mut addr = column(Any)?;
    let mut total = column(Any)?;
    let mut allocated = column(Any)?;
    let mut active = column(Any)?;
    let mut has_requested = column(Any)?;
    let mut requested = column(Any)?;
    let mut stream = column(Any)?;
    let mut pool = column(AtLeastAByte)?;
    let mut owner = column(Any)?;
    let mut id = column(Any)?;
    let mut is_expandable = column(Any)?;
    let mut stack = column(Any)?;
    let block_counts = column(Any)?;
    let mut blocks = blocks(source, stacks)?.into_iter();
    let mut segments = Vec::with_capacity(count);
    for blocks_here in block_counts {
        let next = |column: &mut std::vec::IntoIter<u64>| column.next().unwrap_or(0);
        let device = DeviceId(u32::try_from(next(&mut device)).unwrap_or(0));
        let stated = Bytes(next(&mut requested));
        segments.push(Segment {
            device,
            addr: next(&mut addr),
            total: Bytes(next(&mut total)),
            allocated: Bytes(next(&mut allocated)),
            active: Bytes(next(&mut active)),
            requested: (next(&mut has_requested) != 0).then_some(stated),
            stream: next(&mut stream),
            pool: of_code(&POOLS, next(&mut pool), SegmentPool::Unknown),
            pool_id: (next(&mut owner), next(&mut id)),
            is_expandable: next(&mut is_expandable) != 0,
            stack: stack_of(next(&mut stack), stacks),
            blocks: blocks
                .by_ref()
                .take(usize::try_from(blocks_here).unwrap_or(usize::MAX))
                .collect(),
        });
    }
    Ok(segments)
}

fn blocks(source: &mut Source, stacks: &Stacks) -> Result<Vec<Block>, Damage> {
    use Width::{Any, AtLeastAByte};
    let count = source.count()?;
    let addr = source.column(count, Any)?;
    let size = source.column(count, Any)?;
    let requested = source.column(count, Any)?;
    let state = source.column(count, AtLeastAByte)?;
    let stack = source.column(count, Any)?;
    let places = addr.into_iter().zip(size);
    let rest = requested.into_iter().zip(state).zip(stack);
    let blocks = places.zip(rest).map(|((addr, size), ((requested, state), stack))| Block {
        addr,
        size: Bytes(size),
        requested: Bytes(requested),
        state: of_code(&STATES, state, BlockState::Inactive),
        stack: stack_of(stack, stacks),
    });
    Ok(blocks.collect())
}

fn of_code<T: Copy>(table: &[T], code: u64, otherwise: T) -> T {
    usize::try_from(code).ok().and_then(|at| table.get(at)).copied().unwrap_or(otherwise)
}

fn read_traces(source: &mut Source, snapshot: &mut Snapshot) -> Result<(), Damage> {
    let shared = std::sync::Arc::new(shared(source)?);
    for _ in 0..source.count()? {
        let device = DeviceId(u32::try_from(source.number()?).unwrap_or(0));
        let mut rows = Rows { shared: std::sync::Arc::clone(&shared), ..Rows::default() };
        let read = read_rows(source, &snapshot.stacks, &mut rows);
        snapshot.traces.push(Trace { device, rows });
        read?;
    }
    if source.bytes(END.len())? == END {
        Ok(())
    } else {
        Err(Damage::Malformed("the end is not marked"))
    }
}

/// What the columns of all traces refer to.
fn shared(source: &mut Source) -> Result<Shared, Damage> {
    let mut shared = Shared::default();
    let count = source.count()?;
    shared.streams = source.column(count, Width::AtLeastAByte)?;
    for _ in 0..source.count()? {
        shared.texts.push(text(source)?);
    }
    Ok(shared)
}

/// Whole groups, as far as they go.
fn read_rows(source: &mut Source, stacks: &Stacks, rows: &mut Rows) -> Result<(), Damage> {
    // Event times are 32 bits wide.
    let count = source.count()?.min(u32::MAX as usize - 2);
    rows.kind.reserve_exact(count);
    for column in [&mut rows.addr, &mut rows.size, &mut rows.time_us] {
        column.reserve_exact(count);
    }
    rows.stream.reserve_exact(count);
    rows.stack.reserve_exact(count);
    let mut buffer = vec![0; RUN];
    let mut left = count;
    while left > 0 {
        let before = rows.kind.len();
        let values = buffer.get_mut(..left.min(RUN)).unwrap_or_default();
        left -= values.len();
        if let Err(damage) = read_group(source, stacks, rows, values) {
            rows.truncate(before as u32);
            return Err(damage);
        }
    }
    rows.pool_id = stretches(source, |value| ((value >> 32) as u32, value as u32))?;
    rows.user_metadata = stretches(source, |value| value as u32)?;
    rows.compile_context = stretches(source, |value| value as u32)?;
    Ok(())
}

fn stretches<T: Copy + Default + PartialEq>(
    source: &mut Source,
    value_of: impl Fn(u64) -> T,
) -> Result<Stretches<T>, Damage> {
    let end = u32::try_from(source.number()?).unwrap_or(u32::MAX);
    let count = source.count()?;
    let starts = source.column(count, Width::AtLeastAByte)?;
    let values = source.column(count, Width::Any)?;
    let start = |start: u64| u32::try_from(start).unwrap_or(u32::MAX);
    let parts = starts.into_iter().map(start).zip(values.into_iter().map(value_of));
    Ok(Stretches::of_parts(parts, end))
}

/// One group of events, a column at a time through `values`.
fn read_group(
    source: &mut Source,
    stacks: &Stacks,
    rows: &mut Rows,
    values: &mut [u64],
) -> Result<(), Damage> {
    source.run(values, Width::AtLeastAByte)?;
    rows.kind.extend(values.iter().map(|&code| of_code(&KINDS, code, EventKind::Other)));
    for column in [&mut rows.addr, &mut rows.size] {
        source.run(values, Width::Any)?;
        column.extend_from_slice(values);
    }
    source.run(values, Width::Any)?;
    let streams = rows.shared.streams.len() as u64;
    // A stream that the table lacks would make the event unreadable.
    rows.stream.extend(values.iter().map(|&it| if it < streams { it as u32 } else { 0 }));
    source.run(values, Width::Any)?;
    rows.time_us.extend_from_slice(values);
    source.run(values, Width::Any)?;
    rows.stack.extend(values.iter().map(|&stored| stack_of(stored, stacks)));
    Ok(())
}
