//! OOM621: items are put on the GPU inside a data set or a collate function, where workers run.

use oomscope_model::{Cause, Finding, Held, Severity};

use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::data::{is_dataset, moves_to_device};
use crate::rules::{Group, Rule};
use crate::search::{integer, keyword};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM621",
    name: "device-tensors-in-worker",
    group: Group::Data,
    cause: Cause::NonTorchMemory,
    severity: Severity::Warning,
    doc: include_str!("device_tensors_in_worker.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["cuda", "to", "pin_memory"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let in_item = site.function.name == "__getitem__" && is_dataset(project, site.function);
    let in_collate = matches!(site.function.name, "collate_fn" | "collate");
    if !in_item && !in_collate || !moves_to_device(site) {
        return None;
    }
    let workers = project.calls_named(&["DataLoader"]).any(|loader| {
        loader.function.file == site.function.file
            && keyword(loader.call.call, "num_workers")
                .is_some_and(|count| integer(loader.followed(count)) != Some(0))
    });
    let severity = if workers { Severity::Warning } else { Severity::Note };
    let message = format!(
        "`{}` runs in each worker of a `DataLoader`: every worker makes a CUDA context of its own",
        site.short(site.call.call)
    );
    let why = "a context takes hundreds of MiB of the device before it holds a tensor";
    Some(site.found(project, (severity, Held::Tensors), message, why))
}
