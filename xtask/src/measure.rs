//! One process, measured: wall time, peak memory where GNU time is installed, or why it failed.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

const GNU_TIME: &str = "/usr/bin/time";

/// What one run of a process took.
pub(crate) struct Figure {
    pub(crate) seconds: f64,
    /// Peak resident KiB, where GNU time is installed.
    pub(crate) peak_kib: Option<u64>,
    /// CPU seconds of all its threads, where GNU time is installed.
    pub(crate) cpu: Option<f64>,
}

/// Runs `words` in its own process. Exit code 1 is no failure: linters and `oomscope diagnose` say
/// with it that they found something.
///
/// `home`, where given, is the home folder that the process sees, so that it neither finds nor
/// leaves anything in the real one.
pub(crate) fn measure(words: &[String], home: Option<&Path>) -> Result<Figure> {
    let Some((program, rest)) = words.split_first() else { bail!("no command") };
    let is_timed = Path::new(GNU_TIME).exists();
    let mut process = Command::new(if is_timed { GNU_TIME } else { program });
    if is_timed {
        process.args(["--quiet", "--format", "%M %U %S", program]);
    }
    if let Some(home) = home {
        process.env("HOME", home).env("XDG_CONFIG_HOME", home).env("XDG_CACHE_HOME", home);
    }
    process.args(rest).stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let output = process.output().with_context(|| format!("cannot run {program}"))?;
    let seconds = start.elapsed().as_secs_f64();
    let text = String::from_utf8_lossy(&output.stderr);
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let timed = if is_timed { lines.pop().unwrap_or_default() } else { "" };
    let mut timed = timed.split_whitespace();
    let peak_kib = timed.next().and_then(|word| word.parse().ok());
    let cpu: Option<f64> = timed.map(|word| word.parse::<f64>().ok()).sum();
    let code = output.status.code();
    if !matches!(code, Some(0 | 1)) || (code == Some(1) && is_traceback(&text)) {
        bail!("{program}: {}: {}", output.status, lines.last().unwrap_or(&"no message"));
    }
    Ok(Figure { seconds, peak_kib, cpu: cpu.filter(|_| is_timed) })
}

/// Python, too, exits with 1 when it dies of an exception.
fn is_traceback(stderr: &str) -> bool {
    stderr.contains("Traceback (most recent call last)")
}

/// The run whose wall time lies in the middle; `None` of none.
pub(crate) fn median(mut figures: Vec<Figure>) -> Option<Figure> {
    figures.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let middle = figures.len() / 2;
    figures.into_iter().nth(middle)
}

/// Builds the release binary and returns its path.
pub(crate) fn release_binary() -> Result<String> {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--package", "oomscope"])
        .status()?;
    if !status.success() {
        bail!("the release build failed");
    }
    let folder = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    Ok(format!("{folder}/release/oomscope"))
}
