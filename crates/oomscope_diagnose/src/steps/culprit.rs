//! Step 2: who asked for the last bytes, and who holds the most.

use oomscope_model::{Assessment, CulpritStep, Fact, Limit, Phase};

use crate::context::Context;

/// Who asked and who holds.
pub(crate) fn identify(context: &Context<'_>) -> CulpritStep {
    let mut notes = Vec::new();
    if let Some(snapshot) = context.snapshot {
        if snapshot.limits.contains(&Limit::SomeWithoutFrames) {
            notes.push(Limit::SomeWithoutFrames.meaning().to_owned());
        }
    } else if context.failed() {
        notes.push("without a snapshot nobody can say which lines hold the memory".to_owned());
    }
    CulpritStep {
        asked: context.asked.first().cloned(),
        library_call: context.library_call.clone(),
        phase: Some(context.phase).filter(|phase| *phase != Phase::Unknown),
        holders: context.snapshot.map(|snapshot| snapshot.holders.clone()).unwrap_or_default(),
        roles: context.snapshot.map(|snapshot| snapshot.roles.clone()).unwrap_or_default(),
        live: context.live(),
        notes,
    }
}

/// Findings that no evidence touches, and warm ones of causes that are not claimed: not the cause.
pub(crate) fn cold_findings(context: &Context<'_>, causes: &[Assessment]) -> Vec<Fact> {
    let claimed = |cause| {
        causes
            .iter()
            .any(|assessment| assessment.cause == cause && assessment.confidence.is_claim())
    };
    context
        .findings
        .iter()
        .filter(|joined| !claimed(joined.finding.cause))
        .map(|joined| {
            let finding = joined.finding;
            let why = if joined.is_warm() {
                "the bytes do not grow as it would make them"
            } else {
                "no live bytes come from there"
            };
            Fact {
                text: format!("{} {}: {} ({why})", finding.rule, finding.name, finding.message),
                bytes: None,
                place: Some(finding.place.clone()),
            }
        })
        .collect()
}
