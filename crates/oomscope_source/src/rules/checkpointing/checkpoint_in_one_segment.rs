//! OOM823: the whole model is one checkpoint.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::Expr;

use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::search::{argument, called_name, integer};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM823",
    name: "checkpoint-in-one-segment",
    group: Group::Checkpointing,
    cause: Cause::ActivationsTooLarge,
    severity: Severity::Warning,
    doc: include_str!("checkpoint_in_one_segment.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["checkpoint", "checkpoint_sequential"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let call = site.call.call;
    if !site.call.path.as_deref().is_some_and(|path| path.starts_with("torch.utils.checkpoint.")) {
        return None;
    }
    let is_one = if called_name(call) == "checkpoint_sequential" {
        integer(argument(call, 1, "segments")?) == Some(1)
    } else {
        // The function that runs backward hands the whole network over.
        let whole = call.arguments.args.first()?;
        site.facts.runs_backward
            && matches!(whole, Expr::Name(name) if matches!(name.id.as_str(), "model" | "net" | "network"))
            && site
                .call
                .in_loop
                .is_none_or(|n| site.facts.loops.get(n).is_some_and(|l| l.over_data))
    };
    if !is_one {
        return None;
    }
    let message = format!(
        "`{}` is one segment: backward recomputes all of it, and holds all activations then",
        site.short(call)
    );
    let why = "the peak of a checkpointed model is that of its largest segment";
    Some(site.found(project, (Severity::Warning, Held::Activations), message, why))
}
