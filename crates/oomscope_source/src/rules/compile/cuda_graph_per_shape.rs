//! OOM843: a compile mode records one CUDA graph for each shape.

use oomscope_model::{Cause, Finding, Held, Severity};

use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::search::{keyword, text_of};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM843",
    name: "cuda-graph-per-shape",
    group: Group::Compile,
    cause: Cause::PrivatePools,
    severity: Severity::Note,
    doc: include_str!("cuda_graph_per_shape.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["compile"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let mode = keyword(site.call.call, "mode").and_then(text_of)?;
    if !site.path_is("torch.compile") || !matches!(mode, "reduce-overhead" | "max-autotune") {
        return None;
    }
    let message = format!(
        "`mode=\"{mode}\"` records CUDA graphs: their inputs and intermediates stay in private pools, for each shape"
    );
    let why = "memory of the pools is not given back between steps";
    Some(site.found(project, (Severity::Note, Held::Tensors), message, why))
}
