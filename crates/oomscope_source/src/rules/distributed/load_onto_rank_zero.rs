//! OOM922: every rank loads a checkpoint onto the first GPU.

use oomscope_model::{Cause, Finding, FixSafety, Held, Severity};
use ruff_text_size::Ranged;

use crate::edit::{fix, replace};
use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::search::{argument, called_name, each_test_around, text_of};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM922",
    name: "load-onto-rank-zero",
    group: Group::Distributed,
    cause: Cause::RanksOnOneDevice,
    severity: Severity::Warning,
    doc: include_str!("load_onto_rank_zero.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["load"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let place = argument(site.call.call, 1, "map_location")?;
    if !site.path_is("torch.load") || text_of(place)? != "cuda:0" || !is_one_of_many(project, site)
    {
        return None;
    }
    // Where a model takes it, `load-onto-device` says so.
    if site.facts.calls.iter().any(|call| call.name == "load_state_dict") {
        return None;
    }
    let range = site.call.call.range();
    let mut on_one_rank = false;
    each_test_around(site.function.body, range, &mut |test| {
        let text = site.file.slice(test);
        on_one_rank |= text.contains("rank") || text.contains("main_process");
    });
    if on_one_rank {
        return None;
    }
    let message =
        format!("every rank runs `{}`: GPU 0 takes a copy for each", site.short(site.call.call));
    let why = "`cuda:0` is the first device of the node in all of its processes";
    let edits = vec![replace(place.range(), "\"cpu\"")];
    let fix = Some(fix(FixSafety::Unsafe, "load to the host", edits));
    Some(Report { fix, ..site.found(project, (Severity::Warning, Held::Parameters), message, why) })
}

/// Whether the file itself starts or joins a process group.
fn is_one_of_many(project: &Project<'_>, site: &Site<'_, '_>) -> bool {
    let joins = ["init_process_group", "DistributedDataParallel", "DDP"];
    project.calls_named(&joins).any(|call| {
        call.function.file == site.function.file && !called_name(call.call.call).is_empty()
    })
}
