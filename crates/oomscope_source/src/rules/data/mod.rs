//! Rules on data loading and pinned memory.

use ruff_python_ast::Expr;

use crate::imports::dotted;
use crate::index::Function;
use crate::project::Project;
use crate::rules::Rule;
use crate::search::{called_name, text_of};
use crate::sites::Site;

mod batch_of_whole_dataset;
mod dataset_on_device;
mod device_tensors_in_worker;
mod loader_kept_on_device;

pub(super) static RULES: &[Rule] = &[
    device_tensors_in_worker::RULE,
    dataset_on_device::RULE,
    batch_of_whole_dataset::RULE,
    loader_kept_on_device::RULE,
];

/// Whether a method belongs to a data set: by the name of a base of its class.
fn is_dataset(project: &Project<'_>, function: &Function<'_>) -> bool {
    function.class.and_then(|class| project.index.class(class)).is_some_and(|class| {
        class.bases.iter().any(|base| base.ends_with("Dataset") || base.ends_with("DatasetFolder"))
    })
}

/// Whether a call surely moves a tensor to a GPU or pins it: `.cuda()`, `.to("cuda")`,
/// `.to(device)`, `.pin_memory()`.
fn moves_to_device(site: &Site<'_, '_>) -> bool {
    let call = site.call.call;
    let Some(Expr::Attribute(_)) = Some(&*call.func) else { return false };
    match (called_name(call), call.arguments.args.first()) {
        ("cuda" | "pin_memory", _) => site.call.path.is_none(),
        (_, Some(first)) => {
            text_of(first).is_some_and(|device| device.starts_with("cuda"))
                || dotted(first).is_some_and(|path| {
                    path.rsplit('.').next().is_some_and(|last| last.contains("device"))
                })
        }
        _ => false,
    }
}
