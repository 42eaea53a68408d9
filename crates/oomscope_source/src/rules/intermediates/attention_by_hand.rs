//! OOM707: attention weights of all pairs of tokens are materialised.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::{Expr, Operator};
use ruff_text_size::Ranged;

use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::search::{called_name, contains, each_expr_of, reads_name};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM707",
    name: "attention-by-hand",
    group: Group::Intermediates,
    cause: Cause::OversizedAllocation,
    severity: Severity::Note,
    doc: include_str!("attention_by_hand.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["softmax"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let call = site.call.call;
    let of_torch = site.call.path.as_deref().is_some_and(|path| path.starts_with("torch"));
    let scores =
        if of_torch { call.arguments.args.first()? } else { crate::search::receiver(call)? };
    if !is_made_by_product(site, scores, 0) || !weighs_values(site) {
        return None;
    }
    // A library that implements both ways knows.
    let fused = ["scaled_dot_product_attention", "flash_attn", "xformers", "eager_attention"];
    if fused.iter().any(|name| site.file.text.contains(name)) {
        return None;
    }
    let message = format!("`{}` holds a number for each pair of tokens and head", site.short(call));
    let why = "the scores, the weights and their dropout are all kept for backward";
    Some(site.found(project, (Severity::Note, Held::Activations), message, why))
}

/// Whether scores are queries times transposed keys, scaled and masked.
fn is_made_by_product<'a>(site: &Site<'_, 'a>, expr: &'a Expr, depth: usize) -> bool {
    if depth > 6 {
        return false;
    }
    match expr {
        Expr::BinOp(op) if op.op == Operator::MatMult => contains(&op.right, is_transposition),
        Expr::BinOp(op) => is_made_by_product(site, &op.left, depth + 1),
        Expr::Call(call) => match called_name(call) {
            "matmul" | "bmm" | "baddbmm" => {
                call.arguments.args.iter().any(|argument| contains(argument, is_transposition))
            }
            "masked_fill" | "masked_fill_" | "div" | "mul" | "float" => {
                crate::search::receiver(call)
                    .is_some_and(|receiver| is_made_by_product(site, receiver, depth + 1))
            }
            _ => false,
        },
        Expr::Name(name) => site
            .assigned(name.id.as_str(), expr.range())
            .is_some_and(|value| is_made_by_product(site, value, depth + 1)),
        _ => false,
    }
}

fn is_transposition(expr: &Expr) -> bool {
    match expr {
        Expr::Call(call) => matches!(called_name(call), "transpose" | "permute" | "swapaxes" | "t"),
        Expr::Attribute(attribute) => matches!(attribute.attr.as_str(), "T" | "mT"),
        _ => false,
    }
}

/// Whether the weights are multiplied with values afterwards.
fn weighs_values(site: &Site<'_, '_>) -> bool {
    let Some(name) = site.result_name() else { return false };
    let is_it = |expr: &Expr| matches!(expr, Expr::Name(n) if n.id.as_str() == name);
    let (mut found, mut handed_on) = (false, false);
    each_expr_of(site.function.body, &mut |expr| {
        // `return context, weights`: somebody wants to look at them.
        handed_on |= matches!(expr, Expr::Tuple(tuple)
            if tuple.ctx.is_load() && tuple.elts.iter().any(is_it));
        found |= match expr {
            Expr::BinOp(op) if op.op == Operator::MatMult => reads_name(&op.left, name),
            Expr::Call(call) if matches!(called_name(call), "matmul" | "bmm") => {
                call.range().start() > site.call.call.range().start()
                    && call.arguments.args.first().is_some_and(|first| reads_name(first, name))
            }
            _ => false,
        };
    });
    found && !handed_on
}
