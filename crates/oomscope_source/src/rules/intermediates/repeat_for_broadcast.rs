//! OOM706: a tensor is copied along an axis that broadcasting or `expand` would stretch for nothing.

use oomscope_model::{Cause, Edit, Finding, FixSafety, Held, Severity};
use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::Ranged;

use crate::edit::{fix, replace};
use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::search::{called_name, each_expr_of, integer, receiver};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM706",
    name: "repeat-for-broadcast",
    group: Group::Intermediates,
    cause: Cause::OversizedAllocation,
    severity: Severity::Note,
    doc: include_str!("repeat_for_broadcast.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["repeat"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let call = site.call.call;
    let Expr::Call(inner) = receiver(call)? else { return None };
    if called_name(inner) != "unsqueeze" || !call.arguments.keywords.is_empty() {
        return None;
    }
    let counts = &call.arguments.args;
    let axis = integer(inner.arguments.args.first()?)?;
    let dimensions = i64::try_from(counts.len()).ok()?;
    let axis = usize::try_from(if axis < 0 { axis + dimensions } else { axis }).ok()?;
    let only_there = counts.iter().enumerate().all(|(place, count)| {
        !count.is_starred_expr() && (place == axis) != (integer(count) == Some(1))
    });
    if counts.len() < 2 || !only_there || !is_read_only(site, call) {
        return None;
    }
    let message = format!("`{}` copies what broadcasting reads in place", site.short(call));
    let why = "`expand` gives the same tensor without memory of its own";
    let Expr::Attribute(method) = &*call.func else { return None };
    let mut edits: Vec<Edit> = vec![replace(method.attr.range(), "expand")];
    let kept = counts.iter().enumerate().filter(|(place, _)| *place != axis);
    edits.extend(kept.map(|(_, count)| replace(count.range(), "-1")));
    let fix = Some(fix(FixSafety::Safe, "`expand` instead of `repeat`", edits));
    Some(Report { fix, ..site.found(project, (Severity::Note, Held::Activations), message, why) })
}

/// Whether the copy is an operand of arithmetic or a part of a concatenation: neither writes to it.
fn is_read_only(site: &Site<'_, '_>, call: &ExprCall) -> bool {
    let is_it = |expr: &Expr| expr.range() == call.range();
    let mut found = false;
    each_expr_of(site.function.body, &mut |expr| match expr {
        Expr::BinOp(op) => found |= is_it(&op.left) || is_it(&op.right),
        Expr::Call(outer) if matches!(called_name(outer), "cat" | "concat" | "stack") => {
            let parts = match outer.arguments.args.first() {
                Some(Expr::List(list)) => list.elts.as_slice(),
                Some(Expr::Tuple(tuple)) => tuple.elts.as_slice(),
                _ => &[],
            };
            found |= parts.iter().any(is_it);
        }
        _ => {}
    });
    found
}
