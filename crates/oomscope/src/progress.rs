//! A bar for work that takes long, on a terminal only.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Shorter work shows nothing.
const PATIENCE: Duration = Duration::from_millis(700);

/// How much of some bytes is done.
pub(crate) struct Progress {
    what: String,
    total: usize,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Of reading `total` bytes of `what`.
    pub(crate) fn of_reading(what: &str, total: usize) -> Progress {
        Progress { what: what.to_owned(), total, started: Instant::now(), bar: None }
    }

    /// `done` bytes are behind.
    pub(crate) fn at(&mut self, done: usize) {
        if self.bar.is_none() {
            if self.started.elapsed() < PATIENCE || !io::stderr().is_terminal() {
                return;
            }
            let bar = ProgressBar::new(self.total as u64);
            if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes}")
            {
                bar.set_style(style);
            }
            bar.set_message(format!("reading {}", self.what.escape_debug()));
            self.bar = Some(bar);
        }
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
