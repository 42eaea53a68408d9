//! What words, frames and context say for or against causes. Judgements that need only the
//! figures of one message are made elsewhere, from [`oomscope_model::MemoryError`].

mod context;
mod words;

use oomscope_model::{Cause, Signal, SignalKind};

use super::gather::Candidate;
use super::host;

/// A report shows a handful; a hostile text could repeat a phrase without end.
const MOST_SIGNALS: usize = 64;

/// What the words of one message say.
pub(crate) fn phrases(message: &str, line: usize) -> Vec<Signal> {
    words::phrases(message, line)
}

/// All signals: the phrases, and what failures and samples say in context. Each statement once.
pub(crate) fn signals(phrases: Vec<Signal>, failures: &[Candidate]) -> Vec<Signal> {
    let mut all: Vec<Signal> = Vec::new();
    let context = context::signals(&phrases, failures);
    let phrases = phrases.into_iter().filter(|signal| !is_aftermath(signal, failures));
    for signal in phrases.chain(context) {
        let is_known = all.iter().any(|known| {
            known.kind == signal.kind && (known.what == signal.what || known.line == signal.line)
        });
        if !is_known && all.len() < MOST_SIGNALS {
            all.push(signal);
        }
    }
    drop_refuted(&mut all);
    all
}

/// A process that was killed after the device had run out was killed by its launcher.
fn is_aftermath(signal: &Signal, failures: &[Candidate]) -> bool {
    signal.kind == SignalKind::Decisive(Cause::HostMemory)
        && failures.iter().map(|candidate| &candidate.failure).any(|failure| {
            let is_device = failure.memory.as_ref().is_some_and(|memory| memory.is_memory_error)
                && host::blames_host(&failure.message).is_none()
                && !failure.caught
                && !failure.follows_another;
            is_device && failure.line < signal.line
        })
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
