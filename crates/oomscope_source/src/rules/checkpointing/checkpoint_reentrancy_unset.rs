//! OOM821: `checkpoint` is not told which of its two ways to take.

use oomscope_model::{Cause, Edit, Finding, FixSafety, Held, Severity};
use ruff_text_size::Ranged;

use crate::edit::fix;
use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::search::{has_unpacked, keyword};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM821",
    name: "checkpoint-reentrancy-unset",
    group: Group::Checkpointing,
    cause: Cause::ActivationsTooLarge,
    severity: Severity::Note,
    doc: include_str!("checkpoint_reentrancy_unset.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["checkpoint", "checkpoint_sequential"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let call = site.call.call;
    let is_ours =
        site.call.path.as_deref().is_some_and(|path| path.starts_with("torch.utils.checkpoint."));
    let unpacks_options = call.arguments.keywords.iter().any(|keyword| keyword.arg.is_none());
    if !is_ours || unpacks_options || keyword(call, "use_reentrant").is_some() {
        return None;
    }
    let message = "without `use_reentrant` the result depends on the release of PyTorch: \
                   the reentrant way saves nothing where no input needs a gradient"
        .to_owned();
    let why = "recent releases warn here, later ones refuse";
    let end = call.arguments.range().end().to_usize().saturating_sub(1);
    let before = site.file.text.get(..end).unwrap_or_default().trim_end();
    let comma = if before.ends_with(',') { " " } else { ", " };
    let edit = Edit { start: end, end, text: format!("{comma}use_reentrant=False") };
    let usable = !has_unpacked(call)
        || call.arguments.args.iter().any(ruff_python_ast::Expr::is_starred_expr);
    let fix = usable.then(|| fix(FixSafety::Unsafe, "`use_reentrant=False`", vec![edit]));
    Some(Report { fix, ..site.found(project, (Severity::Note, Held::Activations), message, why) })
}
