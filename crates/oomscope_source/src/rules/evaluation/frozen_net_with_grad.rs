//! OOM304: a fixed network looks at constant inputs while autograd records.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::Ranged;

use crate::facts::{Call, Facts, Mode};
use crate::imports::{dotted, last_part};
use crate::index::{FileId, Function, FunctionId};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};
use crate::search::contains;
use crate::sites::Site;
use crate::value::Graph;

pub(crate) const RULE: Rule = Rule {
    id: "OOM304",
    name: "frozen-net-with-grad",
    group: Group::Evaluation,
    cause: Cause::EvalRecordsGraph,
    severity: Severity::Warning,
    doc: include_str!("frozen_net_with_grad.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    let sites = project.calls_where(names_a_fixed_network);
    for sites in sites.chunk_by(|one, other| one.id == other.id) {
        let looked_at: Vec<(&Call<'_>, Given)> =
            sites.iter().filter_map(|site| Some((site.call, feature_call(site.call)?))).collect();
        let Some(Site { id, function, facts, .. }) = sites.first() else { continue };
        if looked_at.len() < 2 || looked_at.len() > 64 {
            continue;
        }
        for (call, given) in &looked_at {
            let is_compared = looked_at.iter().any(|(other, with)| {
                *given == Given::Constant
                    && *with == Given::Made
                    && called(other.call) == called(call.call)
            });
            if is_compared && !is_frozen(project, function, call) && !is_detached(facts, call) {
                report_recorded(project, *id, call, findings);
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Given {
    /// The real image, the target: no gradient is wanted.
    Constant,
    /// A network's output: the gradient goes through.
    Made,
}

/// A call of a network that computes features to compare, on an input whose name tells its part.
fn feature_call(call: &Call<'_>) -> Option<Given> {
    if !matches!(call.mode, Mode::Inherited | Mode::On) {
        return None;
    }
    let (expr, value) = call.arguments.first()?;
    let path = dotted(expr)?;
    let part = last_part(&path);
    if value.is_attached() || names_the_made(part) {
        return Some(Given::Made);
    }
    let constant = value.graph == Graph::No || names_the_real(part);
    constant.then_some(Given::Constant)
}

fn called(call: &ExprCall) -> Option<compact_str::CompactString> {
    dotted(&call.func)
}

/// Networks that are made to be looked through, not trained.
fn names_a_fixed_network(name: &str) -> bool {
    let lower = name.trim_matches('_').to_ascii_lowercase();
    let mut words = lower.split('_');
    words.any(|word| {
        word.starts_with("vgg")
            || matches!(
                word,
                "perceptual" | "lpips" | "inception" | "arcface" | "facenet" | "teacher" | "clip"
            )
    }) && !lower.contains("loss")
        && !lower.contains("score")
}

fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split('_').map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()))
}

fn names_the_made(name: &str) -> bool {
    words(name).any(|word| {
        matches!(
            word,
            "hat"
                | "fake"
                | "pred"
                | "predicted"
                | "prediction"
                | "output"
                | "out"
                | "gen"
                | "generated"
                | "recon"
                | "reconstruction"
                | "reconstructed"
                | "rec"
                | "sr"
                | "synth"
                | "synthesized"
                | "stylized"
                | "restored"
                | "student"
        )
    })
}

fn names_the_real(name: &str) -> bool {
    words(name).any(|word| {
        matches!(
            word,
            "real"
                | "target"
                | "targets"
                | "gt"
                | "truth"
                | "original"
                | "reference"
                | "hr"
                | "label"
                | "x"
                | "y"
                | "image"
                | "images"
                | "img"
                | "style"
                | "content"
        )
    })
}

/// Whether the file freezes the network: then a constant input records nothing.
fn is_frozen(project: &Project<'_>, function: &Function<'_>, call: &Call<'_>) -> bool {
    let freezes = |file: FileId| {
        project.index.file(file).is_none_or(|file| {
            ["requires_grad", "freeze", "frozen"].iter().any(|word| file.text.contains(word))
        })
    };
    let of_class = call
        .callee
        .and_then(|callee| project.index.function(callee))
        .is_some_and(|callee| freezes(callee.file));
    freezes(function.file) || of_class
}

/// Whether the result is cut at once: `vgg(real).detach()`, or a name that is.
fn is_detached(facts: &Facts<'_>, call: &Call<'_>) -> bool {
    let name = facts
        .assignments
        .iter()
        .find(|assignment| contains(assignment.value, |e| e.range() == call.call.range()))
        .and_then(|assignment| dotted(assignment.target));
    facts.calls.iter().filter(|other| other.name == "detach").any(|other| {
        let Expr::Attribute(method) = &*other.call.func else { return false };
        let reads =
            |e: &Expr| e.range() == call.call.range() || name.is_some() && dotted(e) == name;
        contains(&method.value, reads)
    })
}

fn report_recorded(
    project: &Project<'_>,
    id: FunctionId,
    call: &Call<'_>,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(file) = project.index.file_of(id) else { return };
    let range = call.call.range();
    let text = short(file.slice(call.call));
    let network = short(file.slice(&*call.call.func));
    let what = format!("`{text}` saves activations for a gradient that nothing wants");
    let finding = Report {
        function: id,
        range,
        severity: Severity::Warning,
        held: Held::Activations,
        message: format!(
            "`{text}` is only compared with: run it under `torch.no_grad()`, or freeze `{network}`"
        ),
        path: step(project, id, range, what).into_iter().collect(),
        fix: None,
    };
    report(project, &RULE, finding, findings);
}
