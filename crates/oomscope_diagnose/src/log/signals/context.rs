//! What a failure says beyond its own words: its frames, its neighbours, the figures before it.

use oomscope_model::SignalKind::{self, Decisive, Supports};
use oomscope_model::{Bytes, Cause, Failure, Phase, Signal};

use crate::log::figures::patterns;
use crate::log::gather::Candidate;
use crate::log::host;

patterns! {
    GATHERING = r"(?i)nested_concat|nested_xla|new_full\(new_shape, ?padding_index|torch_pad_and_concatenate|(?:all_)?(?:outputs?|outs|preds?|predictions|logits|embeddings?|feat(?:ure)?s|results|hidden_states)\w*\s*(?:\.append\(|=\s*torch\.(?:cat|stack)\()|torch\.(?:cat|stack)\(\s*(?:all_|self\.)?(?:outputs?|outs|preds?|predictions|logits|embed\w*|feats?|features|results)\b";
    CACHE = r"(?i)past_key_values?|kv_cache|key_cache|value_cache|cache_utils|torch\.cat\(\[?\(?(?:self\.)?(?:past_|cached?_)?(?:k|v|key|value)\w*";
    STATES = r"(?i)exp_avg|momentum_buffer|state\[";
    ATTENTION = r"(?i)\b(?:attn|attention|scores)\w*\s*=.*(?:matmul|softmax|bmm|@|einsum)|repeat_kv|torch\.matmul\(q";
    LOGITS = r"(?i)logits\.float\(\)|cross_entropy\(|lm_head\(";
    RESUMING = r"(?i)torch\.load\(|load_checkpoint|load_state_dict|resume";
    WEIGHTS = r"(?i)from_pretrained|load_model|\.to\(|\.cuda\(|_apply|from_single_file";
}

/// Signals of the failures in context.
pub(super) fn signals(phrases: &[Signal], failures: &[Candidate]) -> Vec<Signal> {
    let mut found = Vec::new();
    for candidate in failures.iter().filter(|candidate| !candidate.failure.follows_another) {
        if candidate.failure.memory.as_ref().is_some_and(|memory| memory.is_memory_error) {
            of_frames(candidate, &mut found);
            of_absurd_size(&candidate.failure, &mut found);
            of_earlier_assert(phrases, &candidate.failure, &mut found);
        }
    }
    of_ranks(failures, &mut found);
    found
}

fn push(found: &mut Vec<Signal>, kind: SignalKind, line: usize, what: impl Into<String>) {
    found.push(Signal { kind, line, what: what.into() });
}

/// How much of the device this process's tensors fill, when it is nearly all of it.
fn fills_device(failure: &Failure) -> bool {
    failure.memory.as_ref().is_some_and(|memory| match (memory.allocated, memory.capacity) {
        (Some(allocated), Some(capacity)) => allocated.share_of(capacity) > 0.75,
        _ => false,
    })
}

/// Whether the request is a fair part of the device, or not stated.
fn asks_for_much(failure: &Failure) -> bool {
    failure.memory.as_ref().is_some_and(|memory| match (memory.requested, memory.capacity) {
        (Some(requested), Some(capacity)) => requested.share_of(capacity) > 0.1,
        _ => true,
    })
}

/// No device holds this: whoever computed the size overflowed, or read it from the wrong place.
const ABSURD: Bytes = Bytes(1 << 50);

fn of_absurd_size(failure: &Failure, found: &mut Vec<Signal>) {
    let requested = failure.memory.as_ref().and_then(|memory| memory.requested);
    if let Some(requested) = requested.filter(|requested| *requested >= ABSURD)
        && host::blames_host(&failure.message).is_none()
    {
        let what =
            format!("no device holds the {requested} asked for: a size computation went wrong");
        push(found, Decisive(Cause::NotOutOfMemory), failure.line, what);
    }
}

fn of_frames(candidate: &Candidate, found: &mut Vec<Signal>) {
    let failure = &candidate.failure;
    let line = failure.line;
    let is_evaluating = matches!(failure.phase, Phase::Evaluation | Phase::Generation);
    let inner: Vec<&str> = candidate.codes.iter().rev().take(6).map(String::as_str).collect();
    let code_matches = |regex: &regex::Regex| inner.iter().any(|code| regex.is_match(code));
    let frame_matches = |regex: &regex::Regex| {
        failure
            .traceback
            .iter()
            .rev()
            .take(8)
            .any(|frame| regex.is_match(&frame.function) || regex.is_match(&frame.file))
    };
    if code_matches(&GATHERING) || frame_matches(&GATHERING) {
        let sure =
            inner.iter().any(|code| code.contains("padding_index")) || frame_matches(&GATHERING);
        let kind = if sure {
            Decisive(Cause::OutputsAccumulated)
        } else {
            Supports(Cause::OutputsAccumulated)
        };
        push(
            found,
            kind,
            line,
            "it failed while gathering outputs of several batches on the device",
        );
    }
    if code_matches(&CACHE) || frame_matches(&CACHE) {
        push(
            found,
            Supports(Cause::KvCache),
            line,
            "it failed while extending the key/value cache",
        );
    } else if failure.phase == Phase::Generation {
        push(found, Supports(Cause::KvCache), line, "it failed while generating token by token");
    }
    if is_evaluating && failure.phase == Phase::Evaluation {
        push(
            found,
            Supports(Cause::EvalRecordsGraph),
            line,
            "it failed in an evaluation; with grad mode on that records graphs which nothing frees",
        );
        push(
            found,
            Supports(Cause::OutputsAccumulated),
            line,
            "it failed in an evaluation, where outputs are often gathered on the device",
        );
    }
    if failure.phase == Phase::OptimizerStep {
        let what = if code_matches(&STATES) || frame_matches(&STATES) {
            "it failed while the optimizer made or updated its states"
        } else {
            "it failed inside the optimizer's step"
        };
        push(found, Supports(Cause::OptimizerState), line, what);
    }
    if failure.phase == Phase::Loading {
        loading(
            failure,
            code_matches(&RESUMING) || frame_matches(&RESUMING),
            code_matches(&WEIGHTS) || frame_matches(&WEIGHTS),
            found,
        );
    }
    if code_matches(&ATTENTION) && asks_for_much(failure) {
        push(
            found,
            Supports(Cause::OversizedAllocation),
            line,
            "it failed where attention scores are written out in full (quadratic in the length)",
        );
    }
    if failure.phase == Phase::Loss && code_matches(&LOGITS) && asks_for_much(failure) {
        push(
            found,
            Supports(Cause::OversizedAllocation),
            line,
            "it failed at the loss over full logits (batch × length × vocabulary)",
        );
    }
    if failure.phase == Phase::Backward {
        push(
            found,
            Supports(Cause::ActivationsTooLarge),
            line,
            "it failed in backward, when one step's activations are all alive",
        );
    }
}

fn loading(failure: &Failure, is_resuming: bool, is_weights: bool, found: &mut Vec<Signal>) {
    let line = failure.line;
    if is_resuming && !is_from_pretrained(failure) {
        push(
            found,
            Supports(Cause::CheckpointLoad),
            line,
            "it failed while a checkpoint was loaded onto the device",
        );
    }
    if fills_device(failure) && (is_weights || is_from_pretrained(failure)) {
        push(
            found,
            Supports(Cause::ModelTooLarge),
            line,
            "it failed while weights were loaded or moved, with the device full of this process's tensors",
        );
    }
}

fn is_from_pretrained(failure: &Failure) -> bool {
    failure.traceback.iter().any(|frame| {
        frame.function.contains("from_pretrained") || frame.function.contains("load_model")
    })
}

/// An assertion of a kernel before a library's allocation failure is the real error.
fn of_earlier_assert(phrases: &[Signal], failure: &Failure, found: &mut Vec<Signal>) {
    let is_library = failure.message.contains("ALLOC_FAILED");
    let earlier = phrases.iter().find(|signal| {
        signal.kind == Decisive(Cause::NotOutOfMemory) && signal.line <= failure.line
    });
    if is_library && let Some(earlier) = earlier {
        let what = format!(
            "the allocation failure follows a failed kernel assertion on line {}",
            earlier.line
        );
        push(found, Decisive(Cause::NotOutOfMemory), failure.line, what);
    }
}

/// Smallest number of equal contexts that cannot be chance.
const MANY: usize = 2;

/// Foreign processes of equal size on a rank's device, or ranks that all fail on one device.
fn of_ranks(failures: &[Candidate], found: &mut Vec<Signal>) {
    let known: Vec<(&Failure, u32, u32)> = failures
        .iter()
        .map(|candidate| &candidate.failure)
        .filter(|failure| !failure.follows_another)
        .filter_map(|failure| {
            Some((failure, failure.rank?, failure.memory.as_ref()?.device_index?))
        })
        .collect();
    for (failure, rank, device) in &known {
        let others = failure.memory.as_ref().map_or(&[][..], |memory| &memory.other_processes);
        if let Some(size) = common_size(others) {
            let what = format!(
                "rank {rank} shares GPU {device} with {} processes of about {size} each: other ranks' contexts",
                others.len()
            );
            push(found, Decisive(Cause::RanksOnOneDevice), failure.line, what);
        }
    }
    for (at, (failure, rank, device)) in known.iter().enumerate() {
        let twin = known.iter().take(at).find(|(_, other, same)| other != rank && same == device);
        if let Some((_, other, _)) = twin {
            let has_neighbour =
                failure.memory.as_ref().is_some_and(|memory| !memory.other_processes.is_empty());
            let kind = if has_neighbour {
                Decisive(Cause::RanksOnOneDevice)
            } else {
                Supports(Cause::RanksOnOneDevice)
            };
            push(
                found,
                kind,
                failure.line,
                format!("ranks {other} and {rank} both fail on GPU {device}"),
            );
            break;
        }
    }
}

fn common_size(others: &[oomscope_model::OtherProcess]) -> Option<Bytes> {
    let first = others.first()?.bytes?;
    let near = |bytes: Bytes| bytes.0.abs_diff(first.0) <= first.0 / 10;
    (others.len() >= MANY && others.iter().all(|other| other.bytes.is_some_and(near)))
        .then_some(first)
}
