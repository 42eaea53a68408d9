//! How fast the allocator model runs a snapshot's trace, and where a Python with PyTorch is given,
//! how fast the real allocator serves the same requests in the same order.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use oomscope_allocator::{Capacity, Settings, Setup, Trace, follow, replay};
use oomscope_diagnose::replay::{DeviceTrace, follow_recorded};
use oomscope_model::{DeviceId, EventKind};
use oomscope_snapshot::Snapshot;

/// Runs of each, in turns; the best counts.
const ROUNDS: usize = 5;

const SCRIPT: &str = include_str!("bench_allocator.py");

/// Settings that the model is timed under.
const CONFS: [&str; 4] =
    ["", "expandable_segments:True", "max_split_size_mb:128", "roundup_power2_divisions:4"];

/// Times `FILE`, with `--torch-python PYTHON` and `--runner PROGRAM` where they are given.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    if cfg!(debug_assertions) {
        bail!("unoptimised\nhint: `cargo run --release -p xtask -- bench-allocator …`");
    }
    let [file, options @ ..] = arguments else { bail!("bench-allocator needs a snapshot") };
    let (mut python, mut runner) = (None, None);
    for pair in options.chunks(2) {
        match pair {
            ["--torch-python", path] => python = Some(*path),
            ["--runner", path] => runner = Some(*path),
            _ => bail!("unknown option `{}`", pair.join(" ")),
        }
    }
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {file}"))?;
    let snapshot =
        oomscope_snapshot::read(&bytes).with_context(|| format!("cannot read {file}"))?;
    let device = snapshot.devices().into_iter().next().unwrap_or(DeviceId(0));
    let events = DeviceTrace::new(&snapshot, device).len();
    println!("{events} events of device {}", device.0);

    let recorded = follow_recorded(&snapshot, device, None);
    let agrees = if recorded.followed.divergence.is_none() { "agrees" } else { "diverges" };
    let told = Some(recorded.release);
    let trace = DeviceTrace::new(&snapshot, device);
    let setup = Setup {
        settings: recorded.settings.clone(),
        release: recorded.release,
        allowed: recorded.allowed,
        start: &[],
    };
    let follow = best(|| {
        if recorded.is_complete {
            drop(follow(&trace, &setup));
        } else {
            // With what was held before the first event, which is read out of the file first.
            drop(follow_recorded(&snapshot, device, told));
        }
    });
    print(&format!("follow ({}, {agrees})", recorded.release), events, follow);
    let limitless = Capacity { available: u64::MAX, total: 1 << 40 };
    let program = &recorded.followed.program;
    let mut fastest = f64::INFINITY;
    for conf in CONFS {
        let Ok(settings) = Settings::parse(conf, recorded.release) else { continue };
        let replayed = best(|| {
            std::hint::black_box(replay(program, &settings, recorded.release, limitless, &mut ()));
        });
        if conf.is_empty() {
            fastest = replayed;
        }
        print(if conf.is_empty() { "replay" } else { conf }, events, replayed);
    }
    let Some(python) = python else { return Ok(()) };
    let folder = std::env::temp_dir().join(format!("oomscope-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let timed = time_torch(&folder, &requests(&snapshot, device), python, runner, events);
    std::fs::remove_dir_all(&folder)?;
    for (name, seconds) in timed? {
        println!(
            "  {name} / follow {:.1} x, / replay {:.1} x",
            seconds / follow,
            seconds / fastest
        );
    }
    Ok(())
}

fn best(mut run: impl FnMut()) -> f64 {
    let seconds = |(): ()| {
        let begin = Instant::now();
        run();
        begin.elapsed().as_secs_f64()
    };
    std::iter::repeat_n((), ROUNDS).map(seconds).fold(f64::INFINITY, f64::min)
}

fn print(name: &str, events: usize, seconds: f64) {
    println!("{name:<32} {:7.2} M events/s  {seconds:.3} s", events as f64 / seconds / 1e6);
}

/// The requests and frees of a trace, a line each, for the script.
fn requests(snapshot: &Snapshot, device: DeviceId) -> String {
    let trace = DeviceTrace::new(snapshot, device);
    let mut text = String::new();
    let mut slots: HashMap<u64, usize> = HashMap::new();
    let mut streams: HashMap<u64, usize> = HashMap::from([(0, 0)]);
    let (mut vacant, mut made) = (Vec::new(), 0);
    for event in (0..trace.len()).map_while(|index| trace.event(index)) {
        match event.kind {
            EventKind::Alloc => {
                let next = streams.len();
                let stream = *streams.entry(event.stream).or_insert(next);
                let slot = vacant.pop().unwrap_or_else(|| {
                    made += 1;
                    made - 1
                });
                slots.insert(event.addr, slot);
                let _ = writeln!(text, "a {slot} {} {stream}", event.size.0);
            }
            EventKind::FreeRequested => {
                if let Some(slot) = slots.remove(&event.addr) {
                    vacant.push(slot);
                    let _ = writeln!(text, "f {slot}");
                }
            }
            _ => {}
        }
    }
    text
}

/// Times PyTorch; seconds of each kind of call.
fn time_torch(
    folder: &Path,
    requests: &str,
    python: &str,
    runner: Option<&str>,
    events: usize,
) -> Result<Vec<(&'static str, f64)>> {
    let (script, list) = (folder.join("bench_allocator.py"), folder.join("requests.txt"));
    std::fs::write(&script, SCRIPT)?;
    std::fs::write(&list, requests)?;
    let mut timed = Vec::new();
    for kind in ["nothing", "tensors", "raw"] {
        let mut best = f64::INFINITY;
        let mut told = String::new();
        for _ in 0..ROUNDS {
            let mut process = Command::new(runner.unwrap_or(python));
            process.args(runner.map(|_| python)).arg(&script).arg(kind).arg(&list);
            let output = process.output().with_context(|| format!("cannot run {python}"))?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let seconds = text.split_whitespace().next().and_then(|word| word.parse().ok());
            let Some(seconds) = seconds else {
                bail!("{python}: {}", String::from_utf8_lossy(&output.stderr).trim_end());
            };
            if seconds < best {
                (best, told) =
                    (seconds, text.split_whitespace().skip(1).collect::<Vec<_>>().join(" "));
            }
        }
        print(&format!("PyTorch, {kind}"), events, best);
        if kind != "nothing" {
            println!("  peak reserved and version: {told}");
            timed.push((kind, best));
        }
    }
    Ok(timed)
}
