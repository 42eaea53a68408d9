//! OOM624: a comprehension over a loader keeps every batch on the GPU.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::{Comprehension, Expr};
use ruff_text_size::Ranged;

use crate::imports::dotted;
use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::data::moves_to_device;
use crate::rules::{Group, Rule};
use crate::search::{each_expr, each_expr_of};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM624",
    name: "loader-kept-on-device",
    group: Group::Data,
    cause: Cause::OutputsAccumulated,
    severity: Severity::Warning,
    doc: include_str!("loader_kept_on_device.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["cuda", "to"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    if !moves_to_device(site) {
        return None;
    }
    let range = site.call.call.range();
    let mut around: Option<(&Expr, &[Comprehension])> = None;
    each_expr_of(site.function.body, &mut |expr| {
        let (element, generators) = match expr {
            Expr::ListComp(list) => (&*list.elt, list.generators.as_slice()),
            Expr::DictComp(dict) => (&*dict.value, dict.generators.as_slice()),
            _ => return,
        };
        if is_part(element, range) {
            around = Some((expr, generators));
        }
    });
    let (kept, generators) = around?;
    let loader = generators.iter().find(|g| names_a_loader(&g.iter))?;
    let message = format!(
        "every batch of `{}` is on the device at once: `{}`",
        site.short(&loader.iter),
        site.short(kept)
    );
    let why = "the list holds what is moved, batch after batch";
    Some(site.found(project, (Severity::Warning, Held::Tensors), message, why))
}

/// Whether the moved tensor is the element or a part of it, rather than an argument of a call.
fn is_part(element: &Expr, moved: ruff_text_size::TextRange) -> bool {
    match element {
        Expr::Tuple(tuple) => tuple.elts.iter().any(|part| is_part(part, moved)),
        Expr::List(list) => list.elts.iter().any(|part| is_part(part, moved)),
        other => other.range() == moved,
    }
}

/// `loader`, `self.train_loader`, `tqdm(dataloader)`.
fn names_a_loader(iterable: &Expr) -> bool {
    let mut found = false;
    each_expr(iterable, &mut |expr| {
        found |= dotted(expr).is_some_and(|path| {
            path.rsplit('.')
                .next()
                .is_some_and(|last| last.to_ascii_lowercase().ends_with("loader"))
        });
    });
    found
}
