//! How fast a snapshot is read: `cargo bench -p oomscope_snapshot -- FILE`, or without a file one
//! that is made up here.
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use oomscope_model::{Bytes, DeviceId};
use oomscope_snapshot::fixture::{Node, event, frame, snapshot};
use oomscope_snapshot::{At, History, Snapshot, Trace, history, read};

const ROUNDS: usize = 5;

fn main() {
    let path = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let bytes = match path {
        Some(path) => std::fs::read(path).expect("the file is readable"),
        None => made_up(),
    };
    let mut best = [f64::INFINITY; 3];
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let snapshot = read(&bytes).expect("the file is a snapshot");
        let read = start.elapsed().as_secs_f64();
        let histories: Vec<(DeviceId, History)> =
            snapshot.devices().into_iter().map(|it| (it, history(&snapshot, it))).collect();
        let walked = start.elapsed().as_secs_f64();
        let lines: usize = histories.iter().map(|(_, it)| peak_by_line(&snapshot, it).len()).sum();
        let summed = start.elapsed().as_secs_f64();
        let events: usize = snapshot.traces.iter().map(Trace::len).sum();
        let lives: usize = histories.iter().map(|(_, history)| history.lives.len()).sum();
        println!(
            "{events} events, {lives} blocks, {} stacks, {lines} lines at the peak, {} problems",
            snapshot.stacks.len(),
            snapshot.problems.len(),
        );
        for (best, time) in best.iter_mut().zip([read, walked, summed]) {
            *best = best.min(time);
        }
    }
    let [read, walked, summed] = best;
    println!("best of {ROUNDS}:");
    println!(
        "read                              {read:.3} s, {:.0} MB/s",
        bytes.len() as f64 / 1e6 / read
    );
    println!("read, history                     {walked:.3} s");
    println!("read, history, peak by user line  {summed:.3} s");
}

/// Live bytes at the peak by the innermost frame that is the user's own.
fn peak_by_line<'s>(snapshot: &'s Snapshot, history: &History) -> HashMap<(&'s str, u32), Bytes> {
    let mut lines: HashMap<(&str, u32), Bytes> = HashMap::new();
    let Some((peak, _)) = history.timeline().peak_allocated() else { return lines };
    for block in history.state_at(At::After(peak)).live {
        let is_own = |file: &str| file.ends_with(".py") && !file.contains("site-packages");
        let own = snapshot.stacks.frames_of(block.stack).find(|frame| is_own(&frame.file));
        let line = own.map_or(("", 0), |frame| (frame.file.as_str(), frame.line));
        *lines.entry(line).or_default() += block.size;
    }
    lines
}

/// Events whose stacks are lists of shared frames, as in most of a large file's bytes.
fn made_up() -> Vec<u8> {
    let frames: Vec<Node> =
        (0..50).map(|line| Node::Shared(Rc::new(frame("train.py", "step", line)))).collect();
    let stack = |at: i64| {
        let depth = 20 + usize::try_from(at % 30).unwrap_or(0);
        Node::List(frames.iter().take(depth).cloned().collect())
    };
    let trace = (0..200_000).map(|at| event("alloc", at * 512, 512, stack(at))).collect();
    snapshot(Vec::new(), vec![trace])
}
