//! OOM805: L-BFGS keeps a hundred steps of all parameters.

use oomscope_model::{Cause, Finding, Held, Severity};

use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::search::{argument, has_unpacked, integer};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM805",
    name: "lbfgs-history",
    group: Group::Precision,
    cause: Cause::OptimizerState,
    severity: Severity::Note,
    doc: include_str!("lbfgs_history.md"),
    check,
};

/// PyTorch's own, of `torch/optim/lbfgs.py` since 1.0.
const DEFAULT_HISTORY: i64 = 100;
/// Enough for most problems, and what other libraries take.
const USUAL_HISTORY: i64 = 20;

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["LBFGS"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let call = site.call.call;
    if !site.path_is("torch.optim.LBFGS") || has_unpacked(call) {
        return None;
    }
    let size = argument(call, 6, "history_size").map_or(Some(DEFAULT_HISTORY), integer)?;
    if size <= USUAL_HISTORY {
        return None;
    }
    let message = format!(
        "`LBFGS` keeps {size} steps and {size} gradient differences, each of the size of all parameters"
    );
    let why = "`history_size` bounds both lists";
    Some(site.found(project, (Severity::Note, Held::Tensors), message, why))
}
