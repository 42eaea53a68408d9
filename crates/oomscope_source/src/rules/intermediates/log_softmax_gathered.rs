//! OOM702: log-probabilities of the whole vocabulary are made to pick one of each row.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::{Expr, ExprCall};

use crate::facts::Mode;
use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::search::{argument, called_name, contains, count_reads, receiver};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM702",
    name: "log-softmax-gathered",
    group: Group::Intermediates,
    cause: Cause::OversizedAllocation,
    severity: Severity::Note,
    doc: include_str!("log_softmax_gathered.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["gather"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let call = site.call.call;
    let is_function = site.path_is("torch.gather");
    let (table, ids) = if is_function {
        (argument(call, 0, "input")?, argument(call, 2, "index")?)
    } else {
        (receiver(call)?, argument(call, 1, "index")?)
    };
    let softmax = log_softmax(site.followed(table))?;
    let read_again = matches!(table, Expr::Name(name)
        if count_reads(site.function.body, name.id.as_str()) > 1);
    // Row by row, the second tensor is small; and a backward makes two of that size in any case.
    if read_again || site.call.in_loop.is_some() || site.call.mode != Mode::Off {
        return None;
    }
    let names_tokens = |expr: &Expr| {
        contains(expr, |inner| {
            let name = match inner {
                Expr::Name(name) => name.id.as_str(),
                Expr::Attribute(attribute) => attribute.attr.as_str(),
                _ => return false,
            };
            let words = ["token", "label", "input_ids", "completion_ids", "target_ids", "vocab"];
            words.iter().any(|word| name.contains(word))
        })
    };
    if !names_tokens(ids) {
        return None;
    }
    let message = format!(
        "`{}` makes a second tensor of the logits' size, of which `gather` reads one number a row",
        site.short(softmax)
    );
    let why = "`torch.logsumexp`, row by row, gives the same from the logits that exist";
    Some(site.found(project, (Severity::Note, Held::Activations), message, why))
}

/// The `log_softmax` call that an expression is.
fn log_softmax(expr: &Expr) -> Option<&ExprCall> {
    match expr {
        Expr::Call(call) if called_name(call) == "log_softmax" => Some(call),
        _ => None,
    }
}
