//! How fast a snapshot is read: `cargo bench -p oomscope_snapshot -- FILE`, or without a file one
//! that is made up here.
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::rc::Rc;
use std::time::Instant;

use oomscope_snapshot::fixture::{Node, event, frame, snapshot};
use oomscope_snapshot::read;

fn main() {
    let path = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let bytes = match path {
        Some(path) => std::fs::read(path).expect("the file is readable"),
        None => made_up(),
    };
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        let snapshot = read(&bytes).expect("the file is a snapshot");
        best = best.min(start.elapsed().as_secs_f64());
        let events: usize = snapshot.traces.iter().map(oomscope_snapshot::Trace::len).sum();
        println!(
            "{events} events, {} segments, {} stacks, {} problems, {:.3} s",
            snapshot.segments.len(),
            snapshot.stacks.len(),
            snapshot.problems.len(),
            start.elapsed().as_secs_f64()
        );
    }
    println!("{:.0} MB/s", bytes.len() as f64 / 1e6 / best);
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
