//! What happened after each failure: did the program go on, and which rank died first?

use oomscope_model::Failure;

use super::clean::clean;
use super::figures::patterns;
use super::gather::{Candidate, Form};
use super::lines::{Span, line_after, line_at, line_before};
use super::prefix::strip;
use super::traceback;

patterns! {
    PROGRESS = r"(?i)^\W*(?:\w+ ){0,3}(?:step|epoch|iter(?:ation)?|batch|token|round|update|sample|episode)s?\W{0,3}\d|\bloss\W{0,3}\d|\d(?:\.\d+)?(?:it/s|s/it)\b|^\W*(?:finished|done|completed|retry\w*|training complete)\b|\btrying (?:again|with|\d)|retrying";
    FOLLOWS = r"(?i)ChildFailedError|SignalException|got signal: ?15|BrokenPipe|Connection (?:reset|closed)|ConnectionReset|EOFError|remote process (?:exited|has exited)|NCCL (?:watchdog|timeout)|Watchdog caught collective|Engine core initialization failed|EngineDeadError|scheduler is dead|WorkerProc (?:initialization failed|hit)|ProcessExited|CalledProcessError|KeyboardInterrupt|DistStoreError|Socket Timeout|communicator (?:was )?aborted|DistNetworkError|RayActorError|ActorDiedError|child process.{0,30}(?:died|terminated)";
}

/// Progress is looked for this many lines before and after a failure.
const NEAR_LINES: usize = 200;

/// Settles order, `caught` and `follows_another`.
pub(crate) fn settle(
    text: &str,
    mut found: Vec<Candidate>,
    root_rank: Option<u32>,
) -> Vec<Candidate> {
    for candidate in &mut found {
        if candidate.form != Form::Death && !candidate.failure.caught {
            candidate.failure.caught = went_on(text, candidate);
        }
    }
    if let Some(root) = root_rank
        && let [only] =
            found.iter_mut().filter(|c| c.form == Form::Death).collect::<Vec<_>>().as_mut_slice()
    {
        only.failure.rank = only.failure.rank.or(Some(root));
    }
    if let Some(root) = root_rank
        && let Some(at) = found.iter().position(|candidate| {
            candidate.failure.rank == Some(root)
                && !candidate.failure.caught
                && !follows(&candidate.failure)
        })
    {
        let first = found.iter().position(|c| !c.failure.caught).unwrap_or(0).min(at);
        if let Some(range) = found.get_mut(first..=at) {
            range.rotate_right(1);
        }
    }
    mark_followers(&mut found);
    found
}

fn mark_followers(found: &mut [Candidate]) {
    let has_cause =
        found.iter().any(|candidate| !follows(&candidate.failure) && !candidate.failure.caught);
    let mut has_memory_death = false;
    for candidate in found.iter_mut() {
        let failure = &mut candidate.failure;
        let is_after_death = candidate.form == Form::Death && has_memory_death;
        failure.follows_another = has_cause && (follows(failure) || is_after_death);
        has_memory_death |= !failure.caught && failure.memory.is_some() && !failure.follows_another;
    }
}

fn follows(failure: &Failure) -> bool {
    failure.memory.is_none()
        && (FOLLOWS.is_match(&failure.exception) || FOLLOWS.is_match(&failure.message))
}

/// Whether the program's own progress goes on below the failure. Buffered output that lands
/// below its traceback (`> log 2>&1`) does not count: then there is none above it.
fn went_on(text: &str, candidate: &Candidate) -> bool {
    let end = line_at(text, candidate.end, candidate.start.min(candidate.end));
    let mut at = end;
    let mut progress = 0;
    for _ in 0..NEAR_LINES {
        let Some(next) = line_after(text, at) else { break };
        at = next;
        if shows_progress(text, next, candidate.failure.rank) {
            progress += 1;
        }
    }
    if progress == 0 {
        return false;
    }
    if candidate.form == Form::Message && candidate.failure.traceback.is_empty() {
        return true;
    }
    let mut at = line_at(text, candidate.start, 0);
    for _ in 0..NEAR_LINES {
        let Some(before) = line_before(text, at) else { return false };
        at = before;
        if shows_progress(text, before, candidate.failure.rank) {
            return true;
        }
    }
    false
}

/// Whether a line without prefixes reports that the program goes on.
pub(crate) fn is_progress(words: &str) -> bool {
    PROGRESS.is_match(words)
}

fn shows_progress(text: &str, span: Span, rank: Option<u32>) -> bool {
    let line = clean(span.of(text));
    let stripped = strip(&line);
    let words = stripped.text;
    // Lines of a traceback are indented or name an exception.
    !words.starts_with("  ")
        && (rank.is_none() || stripped.rank == rank)
        && is_progress(words)
        && traceback::exception_of(words).is_none()
}
