//! OOM709: a diagonal matrix is materialised to scale rows or columns.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::{Expr, Operator};
use ruff_text_size::Ranged;

use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::search::{called_name, each_expr_of};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM709",
    name: "diagonal-matrix-product",
    group: Group::Intermediates,
    cause: Cause::OversizedAllocation,
    severity: Severity::Note,
    doc: include_str!("diagonal_matrix_product.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["diag_embed"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let range = site.call.call.range();
    let name = site.result_name();
    let is_it = |expr: &Expr| {
        expr.range() == range
            || matches!((expr, name), (Expr::Name(n), Some(name)) if n.id.as_str() == name)
    };
    let (mut multiplied, mut reads) = (false, 0usize);
    each_expr_of(site.function.body, &mut |expr| match expr {
        Expr::BinOp(op) if op.op == Operator::MatMult => {
            multiplied |= is_it(&op.left) || is_it(&op.right);
        }
        Expr::Call(call) if matches!(called_name(call), "matmul" | "mm" | "bmm") => {
            multiplied |= call.arguments.args.iter().any(is_it);
        }
        Expr::Name(n) if name == Some(n.id.as_str()) && n.ctx.is_load() => reads += 1,
        _ => {}
    });
    if !multiplied || reads > 1 {
        return None;
    }
    let message = format!(
        "`{}` is a square matrix of zeros around the numbers that scale",
        site.short(site.call.call)
    );
    let why = "multiplying by `d.unsqueeze(-1)` scales the same rows";
    Some(site.found(project, (Severity::Note, Held::Activations), message, why))
}
