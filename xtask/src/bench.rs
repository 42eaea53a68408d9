//! `oomscope diagnose` of a snapshot against Python's bare `pickle.load` of it, in pairs, one
//! process each: wall time and peak memory, and their ratio.

use anyhow::{Context, Result};

use crate::measure::{measure, median, release_binary};

/// Pairs that are counted; one more warms the cache.
const PAIRS: usize = 5;

/// Runs both on `file` and prints medians and the ratio.
pub(crate) fn run(file: &str) -> Result<()> {
    let ours = [release_binary()?, "diagnose".to_owned(), file.to_owned()];
    let load = "import pickle,sys; pickle.load(open(sys.argv[1],'rb'))";
    let theirs = ["python3".to_owned(), "-c".to_owned(), load.to_owned(), file.to_owned()];
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for pair in 0..=PAIRS {
        let figures = (measure(&ours, None)?, measure(&theirs, None)?);
        if pair > 0 {
            left.push(figures.0);
            right.push(figures.1);
        }
    }
    let (ours, theirs) = median(left).zip(median(right)).context("no pair was run")?;
    println!("oomscope diagnose  {:6.2} s  {}", ours.seconds, mib(ours.peak_kib));
    println!("pickle.load        {:6.2} s  {}", theirs.seconds, mib(theirs.peak_kib));
    println!("ratio              {:6.1} x", theirs.seconds / ours.seconds);
    Ok(())
}

fn mib(kib: Option<u64>) -> String {
    kib.map_or_else(
        || "peak memory unknown (no GNU time)".to_owned(),
        |kib| format!("{:5} MiB peak", kib / 1024),
    )
}
