//! OOM923: DDP keeps a second copy of all gradients in its buckets.

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
    id: "OOM923",
    name: "gradient-buckets-copied",
    group: Group::Distributed,
    cause: Cause::GradientsNotCleared,
    severity: Severity::Note,
    doc: include_str!("gradient_buckets_copied.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["DistributedDataParallel", "DDP"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let call = site.call.call;
    let is_ours = site.call.path.as_deref().is_some_and(|path| {
        path.starts_with("torch.nn.parallel") && path.ends_with("DistributedDataParallel")
    });
    if !is_ours || has_unpacked(call) || keyword(call, "gradient_as_bucket_view").is_some() {
        return None;
    }
    let message =
        "gradients are kept twice: in `.grad` and in the buckets that are reduced".to_owned();
    let why = "`gradient_as_bucket_view` is off";
    let end = call.arguments.range().end().to_usize().saturating_sub(1);
    let before = site.file.text.get(..end).unwrap_or_default();
    let after_comma = before.trim_end().ends_with(',');
    let on_own_line = before.len() > before.trim_end().len();
    // A call over several lines keeps its last line as it is.
    let (at, text) = match (after_comma, on_own_line) {
        (true, _) => (before.trim_end().len(), " gradient_as_bucket_view=True,"),
        (false, true) => (before.trim_end().len(), ", gradient_as_bucket_view=True"),
        (false, false) => (end, ", gradient_as_bucket_view=True"),
    };
    let edit = Edit { start: at, end: at, text: text.to_owned() };
    let fix = Some(fix(FixSafety::Unsafe, "let gradients be views of the buckets", vec![edit]));
    Some(Report { fix, ..site.found(project, (Severity::Note, Held::Parameters), message, why) })
}
