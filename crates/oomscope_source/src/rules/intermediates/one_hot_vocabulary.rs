//! OOM703: token ids become one-hot rows over a vocabulary.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::Expr;

use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::search::{argument, contains};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM703",
    name: "one-hot-vocabulary",
    group: Group::Intermediates,
    cause: Cause::OversizedAllocation,
    severity: Severity::Note,
    doc: include_str!("one_hot_vocabulary.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["one_hot"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let is_functional = site.call.path.as_deref().is_some_and(|path| path.starts_with("torch."));
    let classes = argument(site.call.call, 1, "num_classes")?;
    if !is_functional || !contains(classes, names_a_vocabulary) {
        return None;
    }
    let message = format!(
        "`{}`: 8 bytes for each token and each word of the vocabulary, to say one number a token",
        site.short(site.call.call)
    );
    let why = "an embedding or `gather` reads the same rows by their ids";
    Some(site.found(project, (Severity::Note, Held::Tensors), message, why))
}

fn names_a_vocabulary(expr: &Expr) -> bool {
    let name = match expr {
        Expr::Name(name) => name.id.as_str(),
        Expr::Attribute(attribute) => attribute.attr.as_str(),
        _ => return false,
    };
    (name.contains("vocab") || name.contains("tokenizer")) && !name.contains("char")
}
