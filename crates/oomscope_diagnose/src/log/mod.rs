//! Logs and error texts to [`LogEvidence`]. Nothing here opens a file.
//!
//! Logs are large and mostly dull: one linear scan finds the words that matter, and only the
//! lines around them are cleaned, joined and understood. What is said about one moment becomes
//! one [`oomscope_model::Failure`]; figures that the text does not state stay `None`.
//!
//! ```
//! let text = "RuntimeError: CUDA out of memory. Tried to allocate 20.00 MiB (GPU 1; 8.00 GiB \
//!             total capacity; 7.00 GiB already allocated; 5.00 MiB free; 7.10 GiB reserved in \
//!             total by PyTorch)";
//! let evidence = oomscope_diagnose::log::read("train.log", text);
//! let memory = evidence.failures[0].memory.as_ref().unwrap();
//! assert_eq!(memory.device_index, Some(1));
//! ```

mod aftermath;
mod ascii;
mod block;
mod clean;
mod compute;
mod figures;
mod frameworks;
mod gather;
mod host;
mod lines;
mod merge;
mod phase;
mod prefix;
mod primary;
mod restore;
mod samples;
mod serving;
mod signals;
mod torch;
mod traceback;
mod trend;
mod trigger;
mod units;

use oomscope_model::LogEvidence;

pub use primary::primary_failure;
pub use trend::{Trend, trend};

/// Reads a log or an error text. `input` is the name that reports show. Never fails: a text
/// without failures gives empty evidence.
pub fn read(input: &str, text: &str) -> LogEvidence {
    let restored = restore::restore(text);
    let text = &*restored.text;
    let gathered = gather::gather(text);
    let failures = aftermath::settle(text, merge::merge(gathered.candidates), gathered.root_rank);
    let mut samples = samples::read_samples(text);
    let mut signals = signals::signals(gathered.phrases, &failures);
    let mut failures: Vec<_> = failures.into_iter().map(|candidate| candidate.failure).collect();
    let lines = samples
        .iter_mut()
        .map(|sample| &mut sample.line)
        .chain(signals.iter_mut().map(|signal| &mut signal.line))
        .chain(failures.iter_mut().map(|failure| &mut failure.line));
    for line in lines {
        *line = restored.line(*line);
    }
    LogEvidence { input: input.to_owned(), failures, signals, samples }
}
