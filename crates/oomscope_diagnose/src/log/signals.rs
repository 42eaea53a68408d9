//! What words, frames and context say for or against causes. Judgements that need only the
//! figures of one message are made elsewhere, from [`oomscope_model::MemoryError`].

mod context;
mod words;

use oomscope_model::{MemorySample, Signal, SignalKind};

use super::gather::Candidate;

/// A report shows a handful; a hostile text could repeat a phrase without end.
const MOST_SIGNALS: usize = 64;

/// What the words of one message say.
pub(crate) fn phrases(message: &str, line: usize) -> Vec<Signal> {
    words::phrases(message, line)
}

/// All signals: the phrases, and what failures and samples say in context. Each statement once.
pub(crate) fn signals(
    phrases: Vec<Signal>,
    failures: &[Candidate],
    samples: &[MemorySample],
) -> Vec<Signal> {
    let mut all: Vec<Signal> = Vec::new();
    let context = context::signals(&phrases, failures, samples);
    for signal in phrases.into_iter().chain(context) {
        let is_known =
            all.iter().any(|known| known.kind == signal.kind && known.what == signal.what);
        if !is_known && all.len() < MOST_SIGNALS {
            all.push(signal);
        }
    }
    drop_refuted(&mut all);
    all
}

/// A cause that is named outright needs no weaker word for it.
fn drop_refuted(all: &mut Vec<Signal>) {
    let decided: Vec<_> = all
        .iter()
        .filter_map(|signal| match signal.kind {
            SignalKind::Decisive(cause) => Some((cause, signal.line)),
            SignalKind::Supports(_) | SignalKind::Contradicts(_) => None,
        })
        .collect();
    all.retain(|signal| match signal.kind {
        SignalKind::Supports(cause) => !decided.contains(&(cause, signal.line)),
        SignalKind::Decisive(_) | SignalKind::Contradicts(_) => true,
    });
}
