//! `unknown`: the evidence does not decide. A valid answer: it names the next thing to capture.

use oomscope_model::{Assessment, Cause, Confidence, Fact};

use super::case::Case;
use super::{CauseRule, Remedy};
use crate::context::{Context, Failed};

pub(super) const RULE: CauseRule =
    CauseRule { cause: Cause::Unknown, page: include_str!("unknown.md"), assess, remedy };

/// `unknown` is not scored: it is what is left.
fn assess(_: &Context<'_>, _: &mut Case) {}

/// What the evidence leaves open, given the best of the others.
pub(super) fn assessment(context: &Context<'_>, best: Confidence) -> Assessment {
    let open = context.failed() && !best.is_claim();
    Assessment {
        cause: Cause::Unknown,
        confidence: if open { best.max(Confidence::percent(40)) } else { Confidence::NONE },
        bytes: None,
        evidence_for: if open {
            vec![Fact {
                text: format!("no cause reaches {}", Confidence::CLAIM),
                bytes: None,
                place: None,
            }]
        } else {
            Vec::new()
        },
        evidence_against: Vec::new(),
        places: if open { context.asked.clone() } else { Vec::new() },
        settle: (open && context.snapshot.is_none())
            .then(|| "a snapshot taken at the failure".to_owned()),
    }
}

fn remedy(context: &Context<'_>) -> Remedy {
    let holder = context
        .snapshot
        .filter(|snapshot| snapshot.failed() && snapshot.limits.is_empty())
        .and_then(|snapshot| snapshot.holders.first());
    Remedy {
        fix: if let Some(holder) = holder {
            let at = holder.place.as_ref().map_or_else(|| "blocks without a Python frame".to_owned(), |place| format!("{}:{}", place.file_name(), place.line));
            format!("The recording is complete, yet no cause stands out: look first at {at}, which holds {} ({}).", holder.bytes, holder.role.name())
        } else if context.snapshot.is_some() {
            "Capture more history, then diagnose again: `torch.cuda.memory._record_memory_history(max_entries=1_000_000, stacks=\"python\")` before the model is built.".to_owned()
        } else {
            "Capture a snapshot at the failure, then diagnose again: `torch.cuda.memory._record_memory_history()` at the start, and `torch.cuda.memory._dump_snapshot(\"oom.pickle\")` in an `except torch.OutOfMemoryError` around the loop.".to_owned()
        },
        verification: "`oomscope diagnose oom.pickle train.log train.py` then names the line.".to_owned(),
        prevention: "Keep the recorder on in long runs: it costs little and the failure then explains itself.".to_owned(),
    }
}
