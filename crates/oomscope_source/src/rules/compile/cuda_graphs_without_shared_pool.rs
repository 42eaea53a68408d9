//! OOM842: CUDA graphs are captured in a loop, each with a memory pool of its own.

use oomscope_model::{Cause, Finding, Held, Severity};

use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::search::{argument, has_unpacked};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM842",
    name: "cuda-graphs-without-shared-pool",
    group: Group::Compile,
    cause: Cause::PrivatePools,
    severity: Severity::Warning,
    doc: include_str!("cuda_graphs_without_shared_pool.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["graph", "make_graphed_callables"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let captures =
        site.path_is("torch.cuda.graph") || site.path_is("torch.cuda.make_graphed_callables");
    let call = site.call.call;
    let place = if site.path_is("torch.cuda.graph") { 1 } else { 4 };
    if !captures
        || site.call.in_loop.is_none()
        || has_unpacked(call)
        || argument(call, place, "pool").is_some()
    {
        return None;
    }
    let message = format!(
        "`{}` in a loop: every captured graph reserves a private pool that no other can use",
        site.short(call)
    );
    let why = "captured again in each iteration, without `pool=`";
    Some(site.found(project, (Severity::Warning, Held::Tensors), message, why))
}
