//! How fast a snapshot is read: `cargo bench -p oomscope_snapshot -- FILE`, or without a file one
//! that is made up here.
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::time::Instant;

use oomscope_snapshot::read;

fn main() {
    let path = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let Some(bytes) = path.as_ref().map(|path| std::fs::read(path).expect("the file is readable"))
    else {
        return println!("no file named");
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
