//! The end of the program's log, where standard error is a file: read beside it, not intercepted,
//! so that a terminal stays one and the order of lines is the program's own.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::output::{self, Replace};

/// How much of the end is kept.
const KEPT: u64 = 256 << 10;

/// The name within a run directory.
pub(super) const FILE: &str = "log.txt";

/// Standard error, as a file that can be read again; nothing elsewhere than on Linux.
const STANDARD_ERROR: &str = "/proc/self/fd/2";

/// Where the program's part of the log begins; `None` where standard error is no file.
pub(super) fn begin() -> Option<u64> {
    let metadata = fs::metadata(STANDARD_ERROR).ok()?;
    metadata.is_file().then_some(metadata.len())
}

/// Copies the end of what was written since `begin` into the run directory.
pub(super) fn keep(run: &Path, begin: Option<u64>) {
    let Some(text) = begin.and_then(written_since) else { return };
    let _ = output::deliver(Some(&run.join(FILE)), Replace::Allow, |out| out.write_all(&text));
}

fn written_since(begin: u64) -> Option<Vec<u8>> {
    let mut file = File::open(STANDARD_ERROR).ok()?;
    let length = file.metadata().ok()?.len();
    // A log that was cut meanwhile holds nothing else than what came after.
    let begin = if begin <= length { begin } else { 0 };
    file.seek(SeekFrom::Start(begin.max(length.saturating_sub(KEPT)))).ok()?;
    let mut text = Vec::new();
    file.take(KEPT).read_to_end(&mut text).ok()?;
    (!text.is_empty()).then_some(text)
}

/// The kept end of a run's log.
pub(super) fn read(run: &Path) -> Option<String> {
    let path = run.join(FILE);
    let is_small = fs::metadata(&path).is_ok_and(|metadata| metadata.len() <= KEPT);
    let bytes = is_small.then(|| fs::read(&path).ok()).flatten()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether the kept end shows that memory ran out.
pub(super) fn ran_out(run: &Path) -> bool {
    let Some(text) = read(run) else { return false };
    let log = oomscope_diagnose::log::read(FILE, &text);
    let of_memory = |memory: &oomscope_model::MemoryError| memory.is_memory_error;
    log.failures.iter().any(|failure| failure.memory.as_ref().is_some_and(of_memory))
}
