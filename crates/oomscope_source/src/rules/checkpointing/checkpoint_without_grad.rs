//! OOM822: a block is checkpointed where autograd is off.

use oomscope_model::{Cause, Finding, Held, Severity};

use crate::facts::Mode;
use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM822",
    name: "checkpoint-without-grad",
    group: Group::Checkpointing,
    cause: Cause::ActivationsTooLarge,
    severity: Severity::Note,
    doc: include_str!("checkpoint_without_grad.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["checkpoint", "checkpoint_sequential"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let is_ours =
        site.call.path.as_deref().is_some_and(|path| path.starts_with("torch.utils.checkpoint."));
    if !is_ours || site.call.mode != Mode::Off {
        return None;
    }
    let message = format!(
        "`{}` saves nothing: autograd is off here, so no activation is kept anyway",
        site.short(site.call.call)
    );
    let why = "under `no_grad` a block's activations go when the next block has read them";
    Some(site.found(project, (Severity::Note, Held::Activations), message, why))
}
