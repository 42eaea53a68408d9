//! The headline and the four parts that every report ends with.

use oomscope_model::{Assessment, Bytes, Cause, FourParts, Verdict};

use crate::causes;
use crate::context::{Context, Failed};

/// The verdict in one sentence, lower case, no full stop.
pub(crate) fn headline(
    context: &Context<'_>,
    verdict: Verdict,
    assessments: &[Assessment],
) -> String {
    match verdict {
        Verdict::Claimed(cause) => {
            let best = assessments.first();
            claim(context, cause, best)
        }
        Verdict::Undecided => {
            match assessments.get(1).filter(|second| second.confidence.as_percent() >= 25) {
                Some(second) => {
                    format!("the evidence does not decide; the likeliest cause is {}", second.cause)
                }
                None => "the evidence does not decide what ran the device out of memory".to_owned(),
            }
        }
        Verdict::Healthy => match context.snapshot {
            Some(snapshot) if context.is_flat() => format!(
                "no failure and no growth found; the peak was {} allocated",
                snapshot.peak_allocated
            ),
            Some(snapshot) => format!(
                "no failure found; the recording shows too few steps to tell growth; the peak was {} allocated",
                snapshot.peak_allocated
            ),
            None => "no failure and no memory defect found".to_owned(),
        },
    }
}

fn claim(context: &Context<'_>, cause: Cause, best: Option<&Assessment>) -> String {
    let at = best
        .and_then(|best| best.places.first())
        .map_or_else(String::new, |place| format!(" at {}:{}", place.file_name(), place.line));
    let bytes =
        best.and_then(|best| best.bytes).map_or_else(String::new, |bytes| format!("{bytes} of "));
    // Without a source finding the place is where the tensors were made, not where they are kept.
    let is_found = context.finding_to_fix(cause).is_some();
    let kept = if is_found { "kept" } else { "made" };
    let requested = context
        .requested()
        .map_or_else(|| "the request".to_owned(), |bytes| format!("the {bytes} request"));
    match cause {
        Cause::GraphRetained => format!(
            "{} the graph of every step: {bytes}activations that no backward frees",
            if is_found {
                format!("a tensor kept{at} holds")
            } else {
                format!("something keeps tensors made{at}, and with them")
            }
        ),
        Cause::EvalRecordsGraph => format!(
            "evaluation records a graph{at}: {bytes}activations for a backward that never comes"
        ),
        Cause::OutputsAccumulated => {
            format!("outputs {kept}{at} stay on the device{}", total(best))
        }
        Cause::ReferencesHeld => {
            format!("references to tensors {kept}{at} outlive their steps{}", total(best))
        }
        Cause::RetainedBackward => {
            format!(
                "backward{at} is told to keep its graph, which outlives its step{}",
                total(best)
            )
        }
        Cause::GradientsNotCleared => format!("gradients are not cleared{at}{}", total(best)),
        Cause::ActivationsTooLarge => {
            format!("one step's activations do not fit; it died{at}{}", total(best))
        }
        Cause::OversizedAllocation => {
            format!("one request is too large: {}{at}", context.requested().unwrap_or_default())
        }
        Cause::ModelTooLarge => "the weights do not fit this device".to_owned(),
        Cause::OptimizerState => format!("the optimizer's states do not fit{at}{}", total(best)),
        Cause::Fragmentation => {
            format!(
                "what is reserved and unused lies in pieces too small for {requested}{}",
                total(best)
            )
        }
        Cause::OtherProcess => format!("other processes hold the device{}", total(best)),
        Cause::RanksOnOneDevice => format!("several ranks share one device{at}"),
        Cause::CheckpointLoad => {
            format!("loading a checkpoint put a second copy on the device{at}")
        }
        Cause::StreamHeld => {
            format!("blocks freed in Python wait for another stream{}", total(best))
        }
        Cause::PrivatePools => {
            format!("private pools (CUDA graphs) hold the memory{}", total(best))
        }
        Cause::NonTorchMemory => "memory outside PyTorch's allocator fills the device".to_owned(),
        Cause::KvCache => format!("the key/value cache outgrows the device{at}{}", total(best)),
        Cause::ServingBudget => "the server's memory plan does not fit the device".to_owned(),
        Cause::MemoryCap => "a cap smaller than the card stops this process".to_owned(),
        Cause::HostMemory => "host memory ran out, not the GPU's".to_owned(),
        Cause::DriverRefusal => format!("the driver refused {requested} though that much was free"),
        Cause::NotOutOfMemory => {
            "this is not an out-of-memory failure, though the text says so".to_owned()
        }
        Cause::Unknown => "the evidence does not decide".to_owned(),
    }
}

/// `: 3.28 GiB`, or nothing where the bytes are not known.
fn total(best: Option<&Assessment>) -> String {
    best.and_then(|best| best.bytes).map_or_else(String::new, |bytes| format!(": {bytes}"))
}

/// Root cause, fix, verification, prevention.
pub(crate) fn four_parts(
    context: &Context<'_>,
    verdict: Verdict,
    assessments: &[Assessment],
) -> FourParts {
    let cause = match verdict {
        Verdict::Claimed(cause) => cause,
        Verdict::Undecided => Cause::Unknown,
        Verdict::Healthy => {
            return FourParts {
                root_cause: if context.is_flat() {
                    "Nothing failed, and nothing outlives its step.".to_owned()
                } else {
                    "Nothing that was read shows a failure.".to_owned()
                },
                fix: "Nothing to fix.".to_owned(),
                verification: healthy_figure(context),
                prevention: "Keep the recorder on in long runs, so that a failure explains itself."
                    .to_owned(),
            };
        }
    };
    let remedy = if cause == Cause::Unknown && !super::escalate::has_snapshots(context) {
        causes::Remedy {
            fix: "Give more evidence, then diagnose again: the whole log from the start of the program, with the library's own account of what it allocated.".to_owned(),
            verification: "`oomscope diagnose run.log` then names the cause.".to_owned(),
            prevention: "Log what is allocated and what is free once a step; a failure then explains itself.".to_owned(),
        }
    } else {
        (causes::rule(cause).remedy)(context)
    };
    FourParts {
        root_cause: root_cause(context, verdict, assessments),
        fix: remedy.fix,
        verification: remedy.verification,
        prevention: remedy.prevention,
    }
}

fn healthy_figure(context: &Context<'_>) -> String {
    match context.snapshot {
        Some(snapshot) => format!(
            "Peak {} allocated, {} reserved at the dump.",
            snapshot.peak_allocated, snapshot.end.reserved
        ),
        None => "No snapshot was given to measure.".to_owned(),
    }
}

fn root_cause(context: &Context<'_>, verdict: Verdict, assessments: &[Assessment]) -> String {
    let mut text = sentence(&headline(context, verdict, assessments));
    if let Some(best) = assessments.first().filter(|best| best.confidence.is_claim()) {
        for fact in best.evidence_for.iter().take(2) {
            text.push(' ');
            text.push_str(&sentence(&fact.text));
        }
    }
    if let Some(snapshot) = context.snapshot.filter(|snapshot| snapshot.failed()) {
        let reserved = snapshot.state.reserved;
        if reserved > Bytes::ZERO {
            let allocated = snapshot.state.allocated;
            text =
                format!("{text} At the failure {allocated} were allocated of {reserved} reserved.");
        }
    }
    text
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first =
        letters.next().map(|letter| letter.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}
