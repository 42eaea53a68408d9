//! What was printed more than once becomes one failure: chained exceptions, a message that is
//! repeated, neighbouring lines that each state a part.

use oomscope_model::{Bytes, Failure, Framework, MemoryError};

use super::figures::count;
use super::gather::{Candidate, Form, UNNAMED};

/// Lines this far apart may speak of the same moment.
const NEAR_LINES: usize = 8;

/// A traceback without its exception has at most this many lines in pastes.
const CUT_OFF_LINES: usize = 80;

/// Candidates to failures, in the order of the text.
pub(crate) fn merge(candidates: Vec<Candidate>) -> Vec<Candidate> {
    let mut merged: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        let same = merged.iter().rposition(|earlier| is_same(earlier, &candidate));
        match same.and_then(|at| merged.get_mut(at)) {
            Some(earlier) => absorb(earlier, candidate),
            None => merged.push(candidate),
        }
    }
    // A remark in the program's own words adds nothing to a failure that is known in full.
    if merged.iter().any(|failure| failure.form != Form::Note && failure.failure.memory.is_some()) {
        merged.retain(|failure| !is_bare_note(failure));
    } else if merged.iter().any(|failure| !is_bare_note(failure)) {
        merged.retain(|failure| !is_bare_note(failure));
    }
    merged
}

fn is_bare_note(candidate: &Candidate) -> bool {
    candidate.form == Form::Note
        && candidate.failure.memory.as_ref().is_some_and(|memory| count(memory) == 0)
}

fn is_same(earlier: &Candidate, later: &Candidate) -> bool {
    let (first, second) = (&earlier.failure, &later.failure);
    let ranks_agree = first.rank == second.rank || first.rank.is_none() || second.rank.is_none();
    if !ranks_agree {
        return false;
    }
    if later.form == Form::ChainedTraceback && first.rank == second.rank {
        return is_traceback(earlier) && second.line.saturating_sub(first.line) < 400;
    }
    if is_cut_off(second) && first.memory.is_some() && first.traceback.is_empty() {
        // The message was logged by itself; the traceback below it lost its last line.
        return second.line.saturating_sub(first.line) <= CUT_OFF_LINES;
    }
    let (Some(one), Some(other)) = (&first.memory, &second.memory) else { return false };
    let is_near = second.line.saturating_sub(first.line) <= NEAR_LINES;
    let both_died = earlier.form == Form::Death && later.form == Form::Death;
    if both_died {
        return true;
    }
    let says_the_same =
        first.message == second.message || contains_message(&first.message, &second.message);
    if says_the_same && figures_agree(one, other) {
        return is_near || count(one) > 2 || first.message.len() > 60;
    }
    is_near
        && !(is_traceback(earlier) && is_traceback(later))
        && frameworks_agree(one, other)
        && figures_agree(one, other)
        && !(is_traceback(earlier) != is_traceback(later)
            && one.is_memory_error != other.is_memory_error)
        && earlier.form != Form::Death
        && later.form != Form::Death
}

fn is_cut_off(failure: &Failure) -> bool {
    failure.exception == UNNAMED
        && failure.message.is_empty()
        && failure.memory.is_none()
        && !failure.traceback.is_empty()
}

fn contains_message(one: &str, other: &str) -> bool {
    let shorter = one.len().min(other.len());
    shorter > 60 && (one.contains(other) || other.contains(one))
}

fn is_traceback(candidate: &Candidate) -> bool {
    matches!(candidate.form, Form::Traceback | Form::ChainedTraceback)
}

fn frameworks_agree(one: &MemoryError, other: &MemoryError) -> bool {
    use oomscope_model::Framework::{Jax, Nccl, Tf, Torch};
    match (one.framework, other.framework) {
        (Some(one), Some(other)) => {
            one == other || matches!((one, other), (Nccl, Torch) | (Torch, Nccl) | (Tf, Jax))
        }
        _ => true,
    }
}

/// No figure is stated by both with different values.
fn figures_agree(one: &MemoryError, other: &MemoryError) -> bool {
    let agree = |one: Option<Bytes>, other: Option<Bytes>| match (one, other) {
        (Some(one), Some(other)) => one.0.abs_diff(other.0) <= one.0 / 50,
        _ => true,
    };
    agree(one.requested, other.requested)
        && agree(one.capacity, other.capacity)
        && agree(one.free, other.free)
        && agree(one.allocated, other.allocated)
        && agree(one.this_process, other.this_process)
        && (one.device_index == other.device_index
            || one.device_index.is_none()
            || other.device_index.is_none())
}

fn absorb(earlier: &mut Candidate, later: Candidate) {
    let Candidate { failure, codes, end, form, .. } = later;
    earlier.end = earlier.end.max(end);
    let prefers_later = match (&earlier.failure.memory, &failure.memory) {
        // Without memory in either, the last exception is the one that ended the program.
        (None, _) => true,
        (Some(_), None) => false,
        (Some(one), Some(other)) => {
            // An account that names no figure but the device only passes the error on.
            count(other) > count(one)
                && (earlier.failure.traceback.is_empty()
                    || count(one) <= 1 && !failure.traceback.is_empty())
        }
    };
    if earlier.failure.rank.is_none() {
        earlier.failure.rank = failure.rank;
    }
    if prefers_later {
        let before = std::mem::replace(&mut earlier.failure, failure);
        if before.rank.is_some() {
            earlier.failure.rank = before.rank;
        }
        let old_codes = std::mem::replace(&mut earlier.codes, codes);
        complete(&mut earlier.failure, before);
        if earlier.codes.is_empty() {
            earlier.codes = old_codes;
        }
        if earlier.form == Form::Note || form == Form::Traceback {
            earlier.form = form;
        }
    } else {
        if earlier.failure.traceback.is_empty() && !failure.traceback.is_empty() {
            earlier.codes = codes;
            if form == Form::Traceback {
                earlier.form = form;
                earlier.failure.caught = false;
            }
        }
        complete(&mut earlier.failure, failure);
    }
}

/// Fills what `failure` does not know from another account of it.
fn complete(failure: &mut Failure, other: Failure) {
    if failure.traceback.is_empty() && !other.traceback.is_empty() {
        failure.traceback = other.traceback;
        failure.phase = other.phase;
    }
    let (Some(memory), Some(more)) = (&mut failure.memory, other.memory) else { return };
    // Only JAX itself says that the allocator, shared with TensorFlow, was its own.
    memory.framework = match (memory.framework, more.framework) {
        (Some(Framework::Tf), Some(Framework::Jax)) => Some(Framework::Jax),
        (known, other) => known.or(other),
    };
    memory.requested = memory.requested.or(more.requested);
    memory.device_index = memory.device_index.or(more.device_index);
    memory.capacity = memory.capacity.or(more.capacity);
    memory.free = memory.free.or(more.free);
    memory.this_process = memory.this_process.or(more.this_process);
    memory.allocated = memory.allocated.or(more.allocated);
    memory.reserved_unallocated = memory.reserved_unallocated.or(more.reserved_unallocated);
    memory.reserved = memory.reserved.or(more.reserved);
    memory.private_pool = memory.private_pool.or(more.private_pool);
    memory.cap = memory.cap.or(more.cap);
    if memory.other_processes.is_empty() {
        memory.other_processes = more.other_processes;
    }
}
