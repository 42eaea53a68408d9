//! OOM928: device tensors are pickled to all ranks, and arrive on the devices that sent them.

use oomscope_model::{Cause, Finding, Held, Severity};

use crate::facts::Call;
use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::sites::{Site, report_calls};
use crate::value::Kind;

pub(crate) const RULE: Rule = Rule {
    id: "OOM928",
    name: "device-objects-gathered",
    group: Group::Distributed,
    cause: Cause::RanksOnOneDevice,
    severity: Severity::Warning,
    doc: include_str!("device_objects_gathered.md"),
    check,
};

const NAMES: &[&str] = &["all_gather_object", "gather_object", "broadcast_object_list"];

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, NAMES, findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let of_torch =
        site.call.path.as_deref().is_some_and(|path| path.starts_with("torch.distributed."));
    if !of_torch || !sends_device_tensors(site.call) {
        return None;
    }
    let message = format!(
        "`{}` pickles device tensors: each rank gets them on the device of the rank that sent them",
        site.short(site.call.call)
    );
    let why = "every process makes a context and copies on every other device";
    Some(site.found(project, (Severity::Warning, Held::Tensors), message, why))
}

/// Whether what is sent comes out of a model and was not moved to the host.
fn sends_device_tensors(call: &Call<'_>) -> bool {
    let place = usize::from(call.name == "all_gather_object");
    call.arguments.get(place).is_some_and(|(_, value)| {
        value.output && !value.host && !matches!(value.kind, Kind::Plain | Kind::Unknown)
    })
}
