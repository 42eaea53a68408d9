//! From the machine's records to the public tables. Records that a file refers to again and again
//! are counted against its size, so that a small file cannot become a large snapshot.

use std::sync::Arc;

use oomscope_model::{AllocatorSettings, Block, BlockState, Bytes, DeviceId, Segment};

use crate::reader::containers::{Item, List, NO_RUN, Run};
use crate::reader::error::{ReadError, ReadProblem};
use crate::reader::machine::Machine;
use crate::reader::records::{AnnotationRecord, BlockRecord, Dict, SegmentRecord, Top};
use crate::reader::value::Value;
use crate::reader::word::Word;
use crate::snapshot::{Annotation, PinnedHost, Rows, Shared, Snapshot, Stage, Trace, UnknownWord};
use oomscope_model::rounding::Rounding;

/// Makes the snapshot. `problem` is what stopped the reading early, if anything did.
pub(crate) fn assemble(
    mut machine: Machine,
    problem: Option<ReadProblem>,
) -> Result<Snapshot, ReadError> {
    let Some(top) = top_of(&machine) else { return Err(ReadError::NoSnapshot { problem }) };
    let lost_tail = problem.is_some() && top.traces.is_some();
    let mut problems: Vec<ReadProblem> = problem.into_iter().collect();
    // Event times are 32 bits wide.
    let mut budget = machine.input.len().min(u32::MAX as usize - 2);
    machine.forget_what_only_reading_needs();
    let mut pinned_host = None;
    let host = ids(&machine, top.host_segments, Item::Segment, &mut budget);
    for id in host {
        let Some(record) = machine.segments.get_mut(id as usize) else { continue };
        add_to_host(&mut pinned_host, record);
    }
    let segments = segments(&mut machine, top, &mut pinned_host, &mut budget, &mut problems);
    let annotations = annotations(&machine, top, &mut budget, &mut problems);
    let (settings, rounding) = settings(&machine, top);
    let torch_version = Some(torch_version(&machine, top));
    let traces = traces(&mut machine, top, &mut budget, &mut problems);
    let unknown = machine.unknown.into_iter().map(|(word, count)| UnknownWord { word, count });
    Ok(Snapshot {
        lost_tail,
        settings,
        torch_version,
        segments,
        pinned_host,
        traces,
        annotations,
        stacks: machine.interner.finish(),
        problems,
        unknown: unknown.collect(),
        rounding,
    })
}

/// The outermost dict: the result of the file, or the last one that looks like it when the result
/// wraps it. PyTorch 1 wrote the bare list of segments.
fn top_of(machine: &Machine) -> Option<Top> {
    match machine.stack.first() {
        Some(&Value::Dict(dict)) => {
            if let Some(&Dict::Top(index)) = machine.dicts.get(dict as usize) {
                return machine.tops.get(index as usize).copied();
            }
        }
        Some(&Value::List(list)) => {
            let first = runs(machine, list).next();
            if first.is_some_and(|run| run.items == Item::Segment) {
                return Some(Top { segments: Some(list), ..Top::default() });
            }
        }
        _ => {}
    }
    machine.tops.last().copied()
}

fn runs<'m>(machine: &'m Machine, list: u32) -> impl Iterator<Item = Run> + 'm {
    let mut next = match machine.lists.get(list as usize) {
        Some(&List::Runs { first, .. }) => first,
        _ => NO_RUN,
    };
    std::iter::from_fn(move || {
        let run = *machine.runs.get(next as usize)?;
        next = run.next;
        Some(run)
    })
}

/// A list's runs of one kind, cut to the budget. Each run looked at costs one, whatever its kind,
/// and each item of a wanted one: many lists may refer to one of many runs.
fn affordable_runs(machine: &Machine, list: u32, items: Item, budget: &mut usize) -> Vec<Run> {
    let mut wanted = Vec::new();
    for run in runs(machine, list) {
        let Some(left) = budget.checked_sub(1) else { break };
        *budget = left;
        if run.items == items {
            let len = run.len.min(u32::try_from(*budget).unwrap_or(u32::MAX));
            *budget -= len as usize;
            wanted.push(Run { len, ..run });
        }
    }
    wanted
}

/// The ids of a list's items of one kind, as far as the budget reaches.
fn ids(machine: &Machine, list: Option<u32>, items: Item, budget: &mut usize) -> Vec<u32> {
    let Some(list) = list else { return Vec::new() };
    affordable_runs(machine, list, items, budget)
        .into_iter()
        .flat_map(|run| run.start..run.start.saturating_add(run.len))
        .collect()
}

fn repeated(what: &str) -> ReadProblem {
    ReadProblem {
        at: "end of file".to_owned(),
        what: format!("{what} are repeated beyond the size of the file"),
        hint: Some("the file is damaged or made to exhaust memory".to_owned()),
    }
}

fn segments(
    machine: &mut Machine,
    top: Top,
    pinned_host: &mut Option<PinnedHost>,
    budget: &mut usize,
    problems: &mut Vec<ReadProblem>,
) -> Vec<Segment> {
    let ids_of_segments = ids(machine, top.segments, Item::Segment, budget);
    let mut segments = Vec::with_capacity(ids_of_segments.len());
    for id in ids_of_segments {
        let Some(record) = machine.segments.get_mut(id as usize) else { continue };
        if record.is_used {
            continue;
        }
        let Some(device) = record.device else {
            add_to_host(pinned_host, record);
            continue;
        };
        record.is_used = true;
        let record = *record;
        let (Ok(device), Some(addr)) = (u32::try_from(device), record.addr) else { continue };
        segments.push(Segment {
            device: DeviceId(device),
            addr,
            total: Bytes(record.total),
            allocated: Bytes(record.allocated),
            active: Bytes(record.active),
            requested: record.requested.map(Bytes),
            stream: record.stream,
            pool: record.pool,
            pool_id: record.pool_id,
            is_expandable: record.is_expandable,
            stack: record.stack,
            blocks: blocks(machine, addr, record.blocks, budget),
        });
    }
    if *budget == 0 {
        problems.push(repeated("segments or blocks"));
    }
    segments
}

/// Counts a segment of pinned host memory, whose device is −1, once.
fn add_to_host(host: &mut Option<PinnedHost>, record: &mut SegmentRecord) {
    if record.is_used {
        return;
    }
    record.is_used = true;
    let none = PinnedHost { reserved: Bytes::ZERO, allocated: Bytes::ZERO, segments: 0 };
    let host = host.get_or_insert(none);
    host.reserved = Bytes(host.reserved.0.saturating_add(record.total));
    host.allocated = Bytes(host.allocated.0.saturating_add(record.allocated));
    host.segments += 1;
}

/// Their names cost memory each time, so that their bytes are counted too.
fn annotations(
    machine: &Machine,
    top: Top,
    budget: &mut usize,
    problems: &mut Vec<ReadProblem>,
) -> Vec<Annotation> {
    let mut annotations = Vec::new();
    for id in ids(machine, top.annotations, Item::Annotation, budget) {
        let Some(record) = machine.annotations.get(id as usize) else { continue };
        let annotation = annotation(machine, record);
        let Some(left) = budget.checked_sub(annotation.name.len()) else {
            *budget = 0;
            break;
        };
        *budget = left;
        annotations.push(annotation);
    }
    if *budget == 0 && problems.is_empty() {
        problems.push(repeated("annotations"));
    }
    annotations
}

fn annotation(machine: &Machine, record: &AnnotationRecord) -> Annotation {
    let name = record.name.map(|name| name.resolve(machine.input).into_owned());
    let device = record.device.and_then(|device| u32::try_from(device).ok());
    Annotation {
        name: name.unwrap_or_default(),
        device: device.map(DeviceId),
        time_us: record.time_us,
        stage: match record.stage {
            Some(Word::StageStart) => Stage::Start,
            Some(Word::StageEnd) => Stage::End,
            _ => Stage::Instant,
        },
    }
}

fn blocks(machine: &Machine, addr: u64, list: Option<u32>, budget: &mut usize) -> Vec<Block> {
    // Blocks of PyTorch 2.0 have no address: they follow one another.
    let mut next_addr = addr;
    let mut blocks: Vec<Block> = ids(machine, list, Item::Block, budget)
        .into_iter()
        .filter_map(|id| machine.blocks.get(id as usize))
        .map(|record| {
            let newest = newest_of_history(machine, record);
            let addr = record.addr.unwrap_or(next_addr);
            next_addr = addr.saturating_add(record.size);
            let is_held = record.state != BlockState::Inactive;
            Block {
                addr,
                size: Bytes(record.size),
                requested: Bytes(
                    record.requested.or(newest.and_then(|it| it.requested)).unwrap_or(record.size),
                ),
                state: record.state,
                stack: match newest {
                    Some(newest) if is_held => newest.stack,
                    _ => record.stack,
                },
            }
        })
        .collect();
    blocks.sort_by_key(|block| block.addr);
    blocks
}

fn newest_of_history<'m>(machine: &'m Machine, block: &BlockRecord) -> Option<&'m BlockRecord> {
    let run = runs(machine, block.history?).next()?;
    (run.items == Item::Block).then(|| machine.blocks.get(run.start as usize))?
}

fn traces(
    machine: &mut Machine,
    top: Top,
    budget: &mut usize,
    problems: &mut Vec<ReadProblem>,
) -> Vec<Trace> {
    let lists = ids(machine, top.traces, Item::List, budget);
    let parts: Vec<Vec<Run>> =
        lists.iter().map(|&list| affordable_runs(machine, list, Item::Event, budget)).collect();
    machine.rows.shared = Arc::new(Shared {
        streams: std::mem::take(&mut machine.streams.values),
        texts: std::mem::take(&mut machine.texts.texts),
    });
    let filled = parts.iter().filter(|runs| !runs.is_empty()).count();
    let mut traces = Vec::with_capacity(parts.len());
    for (runs, device) in parts.iter().zip(0_u32..) {
        let rows = match runs.as_slice() {
            // The usual file: one device, its rows in order. Nothing is copied.
            [run] if filled == 1 && run.start == 0 => {
                let mut rows = std::mem::take(&mut machine.rows);
                rows.truncate(run.len);
                rows
            }
            runs => {
                let mut rows = Rows { shared: machine.rows.shared.clone(), ..Rows::default() };
                for run in runs {
                    rows.copy_from(&machine.rows, run.start as usize, run.len as usize);
                }
                rows
            }
        };
        traces.push(Trace { device: DeviceId(device), rows });
    }
    if *budget == 0 && problems.is_empty() {
        problems.push(repeated("events"));
    }
    if machine.interner.is_full() {
        problems.push(repeated("names of frames"));
    }
    traces
}

/// Told from the keys that each release added; releases 2.4, 2.6, 2.9, 2.10, 2.12, 2.13 and 2.15
/// were looked at.
fn torch_version(machine: &Machine, top: Top) -> &'static str {
    let has_limits_of_host_memory = top.settings.is_some_and(|settings| {
        properties(machine, settings).any(|(key, _)| key == Word::MaxCachedSize)
    });
    if has_limits_of_host_memory || top.has_host_traces {
        "2.13 or later"
    } else if machine.has_user_metadata && top.settings.is_some() {
        "2.10 to 2.12"
    } else if machine.has_user_metadata {
        "2.10 or later"
    } else if machine.has_compile_context {
        "2.7 to 2.9"
    } else if top.annotations.is_some() && !machine.rows.kind.is_empty() {
        "2.6"
    } else if top.annotations.is_some() {
        "2.6 or later"
    } else if top.settings.is_some() {
        "2.3 to 2.5"
    } else {
        "2.0 to 2.2"
    }
}

fn properties<'m>(machine: &'m Machine, dict: u32) -> impl Iterator<Item = (Word, Value)> + 'm {
    let mut next = match machine.dicts.get(dict as usize) {
        Some(&Dict::Loose(newest)) => newest,
        _ => u32::MAX,
    };
    std::iter::from_fn(move || {
        let property = machine.properties.get(next as usize)?;
        next = property.older;
        Some((property.key, property.value))
    })
}

fn settings(machine: &Machine, top: Top) -> (AllocatorSettings, Rounding) {
    let mut settings = AllocatorSettings::default();
    let mut rounding = Rounding::default();
    let Some(dict) = top.settings else { return (settings, rounding) };
    for (key, value) in properties(machine, dict) {
        match (key, value) {
            (Word::Conf, Value::Text(text)) => {
                settings.conf = Some(text.resolve(machine.input).into_owned());
            }
            (Word::ExpandableSegments, value) => settings.expandable_segments = value.bool(),
            // −1 stands for unlimited.
            (Word::MaxSplitSize, value) => {
                settings.max_split_size = value.int().filter(|&size| size < 1 << 62).map(Bytes);
            }
            (Word::GarbageCollectionThreshold, Value::Float(share)) if share > 0.0 => {
                settings.garbage_collection_threshold_percent =
                    Some((share * 100.0).round().clamp(0.0, 100.0) as u8);
            }
            (Word::RoundupDivisions, Value::Dict(divisions)) => {
                for (key, value) in properties(machine, divisions) {
                    if let (Word::Power(power), Value::Int(number)) = (key, value)
                        && let Some(cell) = rounding.divisions.get_mut(usize::from(power))
                    {
                        *cell = u16::try_from(number).unwrap_or(0);
                    }
                }
            }
            _ => {}
        }
    }
    (settings, rounding)
}
