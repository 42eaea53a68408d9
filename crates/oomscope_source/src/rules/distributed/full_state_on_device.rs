//! OOM926: a sharded model is gathered whole on the device to be saved.

use oomscope_model::{Cause, Finding, Held, Severity};

use crate::imports::dotted;
use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::search::{argument, called_name, has_unpacked, is_literal, keyword};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM926",
    name: "full-state-on-device",
    group: Group::Distributed,
    cause: Cause::CheckpointLoad,
    severity: Severity::Warning,
    doc: include_str!("full_state_on_device.md"),
    check,
};

const NAMES: &[&str] =
    &["state_dict_type", "set_state_dict_type", "StateDictOptions", "FullStateDictConfig"];

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, NAMES, findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let call = site.call.call;
    if has_unpacked(call) {
        return None;
    }
    let on = |name: &str| keyword(call, name).is_some_and(|value| is_literal(value, true));
    let is_bare = match called_name(call) {
        "StateDictOptions" => on("full_state_dict") && keyword(call, "cpu_offload").is_none(),
        "FullStateDictConfig" => call.arguments.is_empty(),
        _ => {
            let kind = argument(call, 1, "state_dict_type").and_then(dotted);
            kind.is_some_and(|kind| kind.ends_with("FULL_STATE_DICT"))
                && argument(call, 2, "state_dict_config").is_none()
        }
    };
    // Loading broadcasts from one rank, and then there is nothing to gather.
    if !is_bare || keyword(call, "broadcast_from_rank0").is_some() {
        return None;
    }
    let message =
        format!("`{}`: every rank gathers all parameters on its device", site.short(call));
    let why = "neither offloaded to the host nor limited to one rank";
    Some(site.found(project, (Severity::Warning, Held::Parameters), message, why))
}
