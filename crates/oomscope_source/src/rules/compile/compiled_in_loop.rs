//! OOM841: a model is compiled again in every iteration or forward.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_text_size::Ranged;

use crate::index::FileId;
use crate::project::Project;
use crate::rules::{Group, Rule};

use crate::report::Report;
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM841",
    name: "compiled-in-loop",
    group: Group::Compile,
    cause: Cause::PrivatePools,
    severity: Severity::Warning,
    doc: include_str!("compiled_in_loop.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["compile", "trace", "script"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let known = ["torch.compile", "torch.jit.trace", "torch.jit.script"];
    if !known.iter().any(|path| site.path_is(path)) || site.call.call.arguments.args.is_empty() {
        return None;
    }
    let per_call = matches!(site.function.name, "forward" | "training_step" | "validation_step")
        && site.call.in_loop.is_none()
        && !is_kept(site);
    if !per_call && !site.repeats_the_same() {
        return None;
    }
    let message = format!(
        "`{}` compiles anew every time: code, guards and graphs of earlier ones stay cached",
        site.short(site.call.call)
    );
    let why = if per_call { "runs in each forward" } else { "runs in each iteration" };
    Some(site.found(project, (Severity::Warning, Held::Tensors), message, why))
}

/// `self.compiled = torch.compile(...)`, behind a test: made once.
fn is_kept(site: &Site<'_, '_>) -> bool {
    site.facts.assignments.iter().any(|assignment| {
        assignment.target.is_attribute_expr()
            && assignment.range.contains_range(site.call.call.range())
    })
}
