//! `retained-backward`: `retain_graph=True` or `create_graph=True` keeps graphs.

use oomscope_model::{Bytes, Cause, Place, Severity};

use super::case::Case;
use super::{CauseRule, Remedy};
use crate::context::Context;

pub(super) const RULE: CauseRule = CauseRule {
    cause: Cause::RetainedBackward,
    page: include_str!("retained_backward.md"),
    assess,
    remedy,
};

fn assess(context: &Context<'_>, case: &mut Case) {
    for joined in context.warm_findings(Cause::RetainedBackward).take(2) {
        let points = match joined.finding.severity {
            Severity::Note => 4,
            _ if joined.growing > Bytes::ZERO => 66,
            _ => 10,
        };
        case.finding(points, joined);
    }
    if case.points() <= 0
        && context.growth_is_graph()
        && let Some(place) = keeps_its_graph(context)
    {
        case.speaks_at(
            38,
            "backward is told to keep its graph in the loop whose steps leave graphs behind",
            None,
            Some(&place),
        );
    }
    if case.points() > 0
        && let Some(growth) = context.growth().filter(|growth| growth.backward_ran)
    {
        let from_backward: Bytes = growth
            .lines
            .iter()
            .filter(|line| line.oldest.is_some())
            .filter(|line| line.place.is_none() || line.phase == oomscope_model::Phase::Backward)
            .map(|line| line.bytes)
            .sum();
        case.speaks(
            10,
            format!("{} outlive the step whose backward should have freed them", growth.total),
        );
        if from_backward.share_of(growth.total) >= 0.2 {
            case.speaks(12, format!("{from_backward} of them were made by backward itself: the graph of the gradients"));
        }
        case.explains(Some(growth.total));
        for line in growth.lines.iter().take(2) {
            case.place(line.place.as_ref());
            case.places(&line.callers);
        }
    }
}

/// The line with `retain_graph=True` or `create_graph=True` in a function that the growing blocks
/// were made below.
fn keeps_its_graph(context: &Context<'_>) -> Option<Place> {
    let growth = context.growth()?;
    let functions = growth
        .lines
        .iter()
        .flat_map(|line| line.place.iter().chain(&line.callers))
        .filter_map(|place| Some((context.file_of(place)?, context.function_at(place)?.lines)));
    functions.into_iter().find_map(|(file, (first, last))| {
        let lines =
            file.text.lines().zip(1_u32..).filter(|(_, line)| (first..=last).contains(line));
        lines
            .filter(|(text, _)| !text.trim_start().starts_with('#'))
            .find(|(text, _)| {
                text.contains("retain_graph=True") || text.contains("create_graph=True")
            })
            .map(|(_, line)| Place { file: file.path.clone(), line, function: None })
    })
}

fn remedy(context: &Context<'_>) -> Remedy {
    let at = context
        .findings_of(Cause::RetainedBackward)
        .next()
        .map_or_else(String::new, |joined| format!(" at {}", joined.finding.place));
    Remedy {
        fix: format!("Do not keep the graph{at}: drop `retain_graph=True`; for second-order work use `torch.autograd.grad(..., create_graph=True)` and set `.grad = None` on every parameter after use, instead of `backward(create_graph=True)`."),
        verification: "`torch.cuda.memory_allocated()` after each step returns to the same figure.".to_owned(),
        prevention: "Add up the losses and call `backward()` once; treat `retain_graph=True` as a question mark in review.".to_owned(),
    }
}
