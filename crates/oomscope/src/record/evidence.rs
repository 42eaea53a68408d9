//! A run directory as evidence: the traceback as a log, the snapshot of the failure, memory step
//! by step, and the source files that the frames name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use oomscope_diagnose::record::{ProcessRecord, device_at, device_of};
use oomscope_diagnose::verify::{Point, Question, Reason, judge};
use oomscope_model::{
    Cause, Evidence, Frame, FrameOrigin, LiveDevice, LogEvidence, MemorySample, Problem, Signal,
    SignalKind,
};
use oomscope_source::InputFile;

use super::directory::read_info;
use super::reading::{Process, processes};
use super::{sampler, tail};
use crate::diagnose;
use crate::input::{Content, Gathered, Input, Kind, open};

/// More source files than this are not read, and none above this size.
const MOST_SOURCES: usize = 200;
const LARGEST_SOURCE: u64 = 8 << 20;

/// The sampler writes a fourth of it.
const LARGEST_SAMPLES: u64 = 64 << 20;

/// Reads a run: of its processes the one that died of memory first, else one that ran out of it,
/// else the first.
pub(crate) fn evidence(run: &Path) -> Evidence {
    let all = processes(run);
    let cwd = read_info(run).map(|info| PathBuf::from(info.cwd)).unwrap_or_default();
    let Some(process) = chosen(&all) else { return without_processes(run, &cwd) };
    let mut gathered = Gathered::default();
    let records = process.folder.join("records.jsonl").display().to_string();
    if let Some(text) = failure_text(&process.record) {
        gathered.inputs.push(log(records.clone(), text));
    } else if let Some(text) = tail::read(run) {
        gathered.inputs.push(log(run.join(tail::FILE).display().to_string(), text));
    }
    if let Some(path) = process.failure().or_else(|| process.snapshot("exit")) {
        let name = path.display().to_string();
        match open(&path) {
            Ok(content) => gathered.inputs.push(Input { name, kind: Kind::Snapshot, content }),
            Err(error) => gathered.problems.push(Problem {
                input: name,
                at: None,
                what: format!("cannot read: {error}"),
                hint: None,
            }),
        }
    }
    gathered.problems.extend(process.record.unread.iter().cloned());
    let mut evidence = diagnose::evidence(gathered);
    // Before what the program itself printed: exact beats printed.
    evidence.logs.insert(0, steps(&process.record, records));
    evidence.device_at_failure = device_at_failure(run, &process.record);
    with_sources(evidence, &process.record, &cwd)
}

/// With the source that the frames name.
fn with_sources(mut evidence: Evidence, record: &ProcessRecord, cwd: &Path) -> Evidence {
    let sources = sources(&evidence, record, cwd);
    evidence.inputs.extend(sources.iter().map(|file| format!("source {}", file.path)));
    let (source, problems) = oomscope_source::analyse_with_problems(sources);
    evidence.source = source;
    evidence.problems.extend(problems);
    evidence
}

/// A command of which no process was recorded: the end of its log may say what happened.
fn without_processes(run: &Path, cwd: &Path) -> Evidence {
    let mut gathered = Gathered::default();
    if let Some(text) = tail::read(run) {
        gathered.inputs.push(log(run.join(tail::FILE).display().to_string(), text));
    }
    gathered.problems.push(Problem {
        input: run.display().to_string(),
        at: None,
        what: "no process of this run used a device".to_owned(),
        hint: Some("was it Python with PyTorch, and started without `-I` or `-E`?".to_owned()),
    });
    with_sources(diagnose::evidence(gathered), &ProcessRecord::default(), cwd)
}

fn log(name: String, text: String) -> Input {
    Input { name, kind: Kind::Log, content: Content::Owned(text.into_bytes()) }
}

fn chosen(processes: &[Process]) -> Option<&Process> {
    let first_failure = |process: &&Process| {
        let oom = process.record.ooms.iter().find(|oom| !oom.caught);
        oom.map_or(f64::INFINITY, |oom| oom.t)
    };
    let died = processes.iter().filter(|process| process.record.died_of_memory());
    died.min_by(|a, b| first_failure(a).total_cmp(&first_failure(b)))
        .or_else(|| processes.iter().find(|process| !process.record.ooms.is_empty()))
        .or_else(|| processes.iter().find(|process| !process.record.exceptions.is_empty()))
        .or_else(|| processes.first())
}

/// The device as the sampler saw it about when memory ran out, else as the allocator did.
fn device_at_failure(run: &Path, record: &ProcessRecord) -> Option<LiveDevice> {
    let uncaught = record.ooms.iter().rev().find(|oom| !oom.caught);
    let oom = uncaught.or_else(|| record.ooms.first())?;
    let sampled = sampler::FILES.iter().find_map(|name| {
        let path = run.join(name);
        let is_small = fs::metadata(&path).is_ok_and(|metadata| metadata.len() <= LARGEST_SAMPLES);
        let bytes = is_small.then(|| fs::read(&path).ok()).flatten()?;
        device_at(&String::from_utf8_lossy(&bytes), record, oom)
    });
    sampled.or_else(|| device_of(record, oom))
}

/// The exception that ended the process, as Python prints it.
fn failure_text(record: &ProcessRecord) -> Option<String> {
    let of_memory = record.exceptions.iter().rev().find(|exception| exception.is_oom);
    let exception = of_memory.or_else(|| record.exceptions.last())?;
    let last = format!("{}: {}\n", exception.r#type, exception.message);
    let text = exception.traceback.clone();
    Some(if text.contains(&exception.message) { text } else { format!("{text}{last}") })
}

/// What the steps say: what was allocated at the end of each, on the device that holds most, and
/// whether what is reserved grows over it.
fn steps(record: &ProcessRecord, input: String) -> LogEvidence {
    let series = record.device_indices().into_iter().map(|device| record.series(device));
    let peak = |points: &Vec<Point>| points.iter().map(|point| point.peak).max();
    let points = series.max_by_key(peak).unwrap_or_default();
    let judgement = judge(&points, &Question::default());
    let reserved = judgement.evidence.iter().find(|r| matches!(r, Reason::ReservedRises { .. }));
    let signals = reserved.map(|reason| Signal {
        kind: SignalKind::Supports(Cause::Fragmentation),
        line: last_step(&input),
        what: reason.to_string(),
    });
    let samples = (1..).zip(points).map(|(line, point)| MemorySample {
        line,
        step: Some(point.step),
        bytes: point.allocated,
    });
    LogEvidence {
        input,
        samples: samples.collect(),
        signals: signals.into_iter().collect(),
        ..LogEvidence::default()
    }
}

/// The line of the last step's record.
fn last_step(records: &str) -> usize {
    let text = fs::read_to_string(records).unwrap_or_default();
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.contains("\"step\"") && line.contains("\"source\""));
    lines.last().map_or(0, |(index, _)| index + 1)
}

/// The user's own files that stacks and tracebacks name, and the script itself.
fn sources(evidence: &Evidence, record: &ProcessRecord, cwd: &Path) -> Vec<InputFile> {
    let mut named: BTreeSet<String> = BTreeSet::new();
    let script = record.start.as_ref().and_then(|start| start.argv.first());
    named.extend(script.filter(|script| is_users_file(script)).cloned());
    let failures = evidence.logs.iter().flat_map(|log| &log.failures);
    let frames = failures.flat_map(|failure| &failure.traceback);
    named.extend(frames.filter(|f| is_the_users(f)).map(|frame| frame.file.clone()));
    for snapshot in &evidence.snapshots {
        let request = snapshot.request.iter().flat_map(|request| &request.stack);
        named.extend(request.filter(|f| is_the_users(f)).map(|frame| frame.file.clone()));
        let grown = snapshot.growth.iter().flat_map(|growth| &growth.lines);
        for holder in snapshot.holders.iter().chain(grown) {
            let places = holder.place.iter().chain(&holder.callers);
            named.extend(places.filter(|p| is_users_file(&p.file)).map(|place| place.file.clone()));
        }
    }
    let start = record.start.as_ref();
    let base =
        start.and_then(|start| start.cwd.clone()).map_or_else(|| cwd.to_owned(), PathBuf::from);
    let read = |name: &String| {
        let told = record.sources.iter().find(|source| source.file == *name);
        if let Some(source) = told {
            return Some(InputFile { path: name.clone(), text: source.text.clone() });
        }
        let path = base.join(name);
        let is_small = fs::metadata(&path).is_ok_and(|m| m.is_file() && m.len() <= LARGEST_SOURCE);
        let text = is_small.then(|| fs::read(&path).ok()).flatten()?;
        let here = std::env::current_dir().unwrap_or_default();
        let shown = path.strip_prefix(&here).unwrap_or(&path).display().to_string();
        Some(InputFile { path: shown, text: String::from_utf8_lossy(&text).into_owned() })
    };
    let mut files: Vec<InputFile> = named.iter().take(MOST_SOURCES).filter_map(read).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    files
}

fn is_the_users(frame: &Frame) -> bool {
    frame.origin() == FrameOrigin::User && is_python(&frame.file)
}

fn is_users_file(file: &str) -> bool {
    is_the_users(&Frame { file: file.to_owned(), line: 1, function: String::new() })
}

fn is_python(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "py")
}
