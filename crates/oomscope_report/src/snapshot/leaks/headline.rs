//! The verdict on what outlives its step, in a sentence that agrees with the table below it.

use oomscope_model::Bytes;
use oomscope_snapshot::views::{Heaviest, Leaks, Rate, Verdict, Why};

use super::counted;

/// What a headline without a verdict begins with.
pub(super) const CANNOT_TELL: &str = "cannot tell";

/// `grows by 34.00 MiB a step, most of it at `train.py:41` (+30.00 MiB a step, activations)`.
pub(super) fn headline(leaks: &Leaks) -> String {
    let whole = || counted(leaks.floors.len() as u64, "step", "steps");
    match &leaks.verdict {
        Verdict::Growing { rate, total, heaviest } => {
            let left = match leaks.survived {
                None => format!("{total} piled up in steps that the recording does not show"),
                Some(left) => format!("{left} left behind over {}{}", whole(), older(leaks)),
            };
            format!("{}{}: {left}", speed(rate), part(heaviest))
        }
        Verdict::Steady { since } => {
            let when = match since {
                1 => format!("over {}", whole()),
                step => format!("since step {step} of {}", leaks.floors.len()),
            };
            match leaks.survived {
                Some(left) if left > Bytes::ZERO => format!(
                    "level {when}: {left} outlives its step{} and is replaced or kept, not growing",
                    older(leaks)
                ),
                _ => format!("steady {when}: nothing outlives its step"),
            }
        }
        Verdict::CannotTell(why) => format!("{CANNOT_TELL}: {}", reason(*why)),
    }
}

/// How fast it grows, and in how many of the steps.
fn speed(rate: &Rate) -> String {
    let sporadic = rate.per_growing_step.filter(|_| rate.is_sporadic()).map(|bytes| {
        let steps = counted(rate.steps.into(), "step", "steps");
        format!("{bytes} in each of {} of {steps}", rate.growing)
    });
    match (rate.per_step, sporadic) {
        (Some(bytes), Some(sporadic)) => format!("grows by {bytes} a step on average ({sporadic})"),
        (Some(bytes), None) => format!("grows by {bytes} a step"),
        (None, Some(sporadic)) => format!("grows by {sporadic}"),
        (None, None) => "grows".to_owned(),
    }
}

/// From this part of the growth on, a line has all of it but trifles.
const ALL: f64 = 0.99;

/// The line with the largest part of it, and how much that is.
fn part(heaviest: &Heaviest) -> String {
    let role = heaviest.role.name();
    let Some(place) = &heaviest.place else { return format!(" ({role})") };
    let file = place.file.rsplit(['/', '\\']).next().unwrap_or(&place.file);
    let how_much = match heaviest.share {
        Some(share) if share >= ALL => "",
        Some(share) if share > 0.5 => ", most of it",
        _ => ", of all lines most",
    };
    let figures = match heaviest.per_step.filter(|_| !how_much.is_empty()) {
        Some(bytes) => format!("+{bytes} a step, {role}"),
        None => role.to_owned(),
    };
    format!("{how_much} at `{file}:{}` ({figures})", place.line)
}

fn older(leaks: &Leaks) -> String {
    match leaks.older {
        Bytes::ZERO => String::new(),
        older => format!(" ({older} of it older than the recording)"),
    }
}

fn reason(why: Why) -> String {
    match why {
        Why::NoTrace => "no history was recorded".to_owned(),
        Why::NoSteps => {
            "the recording shows no steps; `--steps-from` and `--period` name them".to_owned()
        }
        Why::TooFewSteps { found: 1 } => "the recording shows 1 whole step, too few".to_owned(),
        Why::TooFewSteps { found } => {
            format!("the recording shows {found} whole steps, too few")
        }
        Why::Rising => "each step holds more than the last, but the backward that may free it \
                        has not run; record more steps"
            .to_owned(),
    }
}
