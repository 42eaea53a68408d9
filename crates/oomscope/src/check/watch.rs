//! `--watch`: a check after every change, until Ctrl-C.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result};
use notify::{Event, EventKind, RecursiveMode, Watcher};

use super::paths::is_python;

/// An editor writes a file in several steps; they count as one change.
const SETTLE: Duration = Duration::from_millis(80);

/// Calls `check` now and after each change below the paths. Ends only with an error: Ctrl-C ends
/// the process, which holds nothing that would have to be put back.
pub(super) fn watch(paths: &[PathBuf], mut check: impl FnMut() -> Result<()>) -> Result<()> {
    let (send, changes) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(send).context("cannot watch files")?;
    for path in paths {
        let mode =
            if path.is_dir() { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        // An editor that replaces a file leaves a watch of the file itself behind.
        let folder = if path.is_dir() { path } else { folder_of(path) };
        watcher
            .watch(folder, mode)
            .with_context(|| format!("cannot watch {}", folder.display()))?;
    }
    loop {
        check()?;
        if !wait(&changes) {
            return Ok(());
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

/// Waits for a change that matters, and for the end of what comes with it.
fn wait(changes: &Receiver<notify::Result<Event>>) -> bool {
    loop {
        match changes.recv() {
            Ok(Ok(event)) if matters(&event) => break,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    loop {
        match changes.recv_timeout(SETTLE) {
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

fn matters(event: &Event) -> bool {
    let is_change =
        matches!(event.kind, EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_));
    is_change
        && event.paths.iter().any(|path| {
            let name = path.file_name().unwrap_or_default();
            is_python(path) || name == "oomscope.toml" || name == "pyproject.toml"
        })
}
