//! OOM925: FSDP wraps the whole model as one unit.

use oomscope_model::{Cause, Finding, Held, Severity};

use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::search::{argument, has_unpacked};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM925",
    name: "fsdp-in-one-unit",
    group: Group::Distributed,
    cause: Cause::ModelTooLarge,
    severity: Severity::Warning,
    doc: include_str!("fsdp_in_one_unit.md"),
    check,
};

const NAMES: &[&str] = &["FullyShardedDataParallel", "FSDP", "fully_shard"];
/// What wraps parts elsewhere.
const WRAPS_PARTS: &[&str] =
    &["enable_wrap", "auto_wrap", "wrap", "apply_fsdp", "recursive_wrap", "ModuleWrapPolicy"];

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, NAMES, findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let call = site.call.call;
    let path = site.call.path.as_deref()?;
    let is_class =
        path.starts_with("torch.distributed.fsdp") && path.ends_with("FullyShardedDataParallel");
    if !is_class
        || has_unpacked(call)
        || argument(call, 4, "auto_wrap_policy").is_some()
        || site.call.in_loop.is_some()
        || call.arguments.args.is_empty()
    {
        return None;
    }
    // Parts that are wrapped one by one before the root.
    let here = |site_of: &Site<'_, '_>| site_of.function.file == site.function.file;
    let units = project.calls_named(NAMES).filter(here).count();
    if units > 1 || project.calls_named(WRAPS_PARTS).any(|part| here(&part)) {
        return None;
    }
    let message = format!(
        "`{}` makes one unit of the whole model: each forward gathers all parameters on every rank",
        site.short(call)
    );
    let why = "no `auto_wrap_policy`, and nothing in this file wraps parts";
    Some(site.found(project, (Severity::Warning, Held::Parameters), message, why))
}
