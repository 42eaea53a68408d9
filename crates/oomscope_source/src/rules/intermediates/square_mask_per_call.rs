//! OOM708: a causal mask of length times length is made in every forward.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::Ranged;

use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::search::{argument, called_name, integer, keyword};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM708",
    name: "square-mask-per-call",
    group: Group::Intermediates,
    cause: Cause::OversizedAllocation,
    severity: Severity::Note,
    doc: include_str!("square_mask_per_call.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["triu", "tril"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    if !matches!(site.function.name, "forward" | "__call__" | "training_step") {
        return None;
    }
    let call = site.call.call;
    let Expr::Call(made) = argument(call, 0, "input")? else { return None };
    let is_float =
        keyword(made, "dtype").is_none_or(|dtype| site.file.slice(dtype).contains("float"));
    if !matches!(called_name(made), "ones" | "full") || !is_float || !is_square(site, made) {
        return None;
    }
    let message = format!("`{}` is made anew in every call, 4 bytes a pair", site.short(call));
    let why = "`is_causal=True` needs no mask; a boolean one kept in a buffer is a quarter of it";
    Some(site.found(project, (Severity::Note, Held::Tensors), message, why))
}

/// `ones(n, n)`, `full((n, n), ...)` where `n` is no small literal.
fn is_square(site: &Site<'_, '_>, made: &ExprCall) -> bool {
    let arguments = &made.arguments.args;
    let sides = match arguments.first() {
        Some(Expr::Tuple(tuple)) => tuple.elts.as_slice(),
        Some(Expr::List(list)) => list.elts.as_slice(),
        _ => arguments,
    };
    let [a, b] = sides else { return false };
    integer(a).is_none() && site.file.slice(&a.range()) == site.file.slice(&b.range())
}
