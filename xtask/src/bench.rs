//! `oomscope diagnose` of a snapshot against Python's bare `pickle.load` of it, in pairs, one
//! process each: wall time and peak memory, and their ratio.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Pairs that are counted; one more warms the cache.
const PAIRS: usize = 5;

struct Figure {
    seconds: f64,
    /// Peak resident KiB, where GNU time is installed.
    peak_kib: Option<u64>,
}

/// Runs both on `file` and prints medians and the ratio.
pub(crate) fn run(file: &str) -> Result<()> {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--package", "oomscope"])
        .status()?;
    if !status.success() {
        bail!("the release build failed");
    }
    let folder = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    let ours = [format!("{folder}/release/oomscope"), "diagnose".to_owned(), file.to_owned()];
    let load = "import pickle,sys; pickle.load(open(sys.argv[1],'rb'))";
    let theirs = ["python3".to_owned(), "-c".to_owned(), load.to_owned(), file.to_owned()];
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for pair in 0..=PAIRS {
        let figures = (measure(&ours)?, measure(&theirs)?);
        if pair > 0 {
            left.push(figures.0);
            right.push(figures.1);
        }
    }
    let (ours, theirs) = (median(left), median(right));
    println!("oomscope diagnose  {:6.2} s  {}", ours.seconds, mib(ours.peak_kib));
    println!("pickle.load        {:6.2} s  {}", theirs.seconds, mib(theirs.peak_kib));
    println!("ratio              {:6.1} x", theirs.seconds / ours.seconds);
    Ok(())
}

fn measure(command: &[String]) -> Result<Figure> {
    const TIME: &str = "/usr/bin/time";
    let timed = std::path::Path::new(TIME).exists();
    let mut process = if timed { Command::new(TIME) } else { Command::new(&command[0]) };
    if timed {
        process.args(["--format", "%M"]).args(command);
    } else {
        process.args(&command[1..]);
    }
    let start = Instant::now();
    let output = process
        .stdout(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", command[0]))?;
    let seconds = start.elapsed().as_secs_f64();
    let text = String::from_utf8_lossy(&output.stderr);
    let peak_kib = text.lines().last().and_then(|line| line.trim().parse().ok());
    Ok(Figure { seconds, peak_kib: peak_kib.filter(|_| timed) })
}

fn median(mut figures: Vec<Figure>) -> Figure {
    figures.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    figures.swap_remove(figures.len() / 2)
}

fn mib(kib: Option<u64>) -> String {
    kib.map_or_else(
        || "peak memory unknown (no GNU time)".to_owned(),
        |kib| format!("{:5} MiB peak", kib / 1024),
    )
}
