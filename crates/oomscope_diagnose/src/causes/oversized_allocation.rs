//! `oversized-allocation`: one request is huge.

use oomscope_model::{Bytes, Cause, Severity};

use super::case::{Case, percent};
use super::{CauseRule, Remedy};
use crate::context::Context;

pub(super) const RULE: CauseRule = CauseRule {
    cause: Cause::OversizedAllocation,
    page: include_str!("oversized_allocation.md"),
    assess,
    remedy,
};

fn assess(context: &Context<'_>, case: &mut Case) {
    let Some(requested) = context.requested() else { return };
    if let Some(capacity) = context.capacity().filter(|capacity| *capacity > Bytes::ZERO) {
        let share = requested.share_of(capacity);
        let points = match share {
            1.0.. => 92,
            0.5.. => 72,
            0.33.. => 58,
            0.25.. => 42,
            0.15.. => 22,
            _ => 0,
        };
        if points > 0 {
            case.speaks_at(
                points,
                format!(
                    "one request of {requested} is {} of the device's {capacity}",
                    percent(share)
                ),
                Some(requested),
                context.asked.first(),
            );
            case.explains(Some(requested));
            if context.allocated().is_some_and(|allocated| requested > allocated) {
                case.speaks(8, "it is larger than everything that was allocated before it");
            }
        } else {
            case.denies(
                20,
                format!("the request ({requested}) is {} of the device", percent(share)),
            );
        }
    } else if requested >= Bytes::from_gib(80) {
        case.speaks(
            80,
            format!("one request of {requested} exceeds any single device's usual share"),
        );
        case.explains(Some(requested));
    } else if requested >= Bytes::from_gib(8) {
        case.speaks(
            if requested >= Bytes::from_gib(16) { 54 } else { 40 },
            format!("one request of {requested}"),
        );
        case.explains(Some(requested));
    }
    if case.points() <= 0 {
        return;
    }
    case.places(&context.asked);
    for joined in context
        .findings_of(Cause::OversizedAllocation)
        .filter(|joined| joined.on_failing_path)
        .take(2)
    {
        case.finding(if joined.finding.severity == Severity::Note { 6 } else { 12 }, joined);
    }
    if context.grows() {
        case.denies(20, "memory also grows from step to step");
    }
    case.settle("the shapes at the failing line: which dimension makes the product so large, and is it meant?");
}

fn remedy(context: &Context<'_>) -> Remedy {
    let requested = context
        .requested()
        .map_or_else(|| "the huge tensor".to_owned(), |bytes| format!("the {bytes} tensor"));
    let at = context.asked.first().map_or_else(String::new, |place| format!(" at {place}"));
    if !crate::steps::escalate::uses_torch(context) {
        return Remedy {
            fix: format!(
                "Do not make {requested} at once{at}: a smaller batch, context or resolution, the operation in tiles; first check that the shape is what you meant."
            ),
            verification: "The largest single allocation is a small share of the device."
                .to_owned(),
            prevention: "Assert shapes where tensors meet, and log the largest one at start."
                .to_owned(),
        };
    }
    Remedy {
        fix: format!("Do not make {requested} at once{at}: chunk the operation (loss over slices of tokens, attention through `F.scaled_dot_product_attention`, pairwise work in tiles) or use a fused kernel; first check that the shape is what you meant (a missing dimension broadcasts)."),
        verification: "Print the shapes at that line once; then the largest single allocation in a snapshot is a small share of the device.".to_owned(),
        prevention: "Assert shapes where tensors meet, and keep vocabulary-sized or N×N intermediates out of the main path.".to_owned(),
    }
}
