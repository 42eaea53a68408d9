//! OOM861: decoding runs the whole sequence through the model for each token.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::Ranged;

use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::search::{called_name, each_call, reads_name};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM861",
    name: "decoding-without-cache",
    group: Group::Generation,
    cause: Cause::ActivationsTooLarge,
    severity: Severity::Note,
    doc: include_str!("decoding_without_cache.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["cat", "concat"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    // `ids = torch.cat((ids, next), dim=1)` in a loop that hands `ids` to a model.
    if site.call.path.as_deref().is_none_or(|path| !path.starts_with("torch.")) {
        return None;
    }
    let around = site.facts.loops.get(site.call.in_loop?)?;
    let grown = site.result_name()?;
    let parts = match site.call.call.arguments.args.first()? {
        Expr::Tuple(tuple) => tuple.elts.as_slice(),
        Expr::List(list) => list.elts.as_slice(),
        _ => return None,
    };
    let picks = ["multinomial", "argmax", "topk", "Categorical"];
    let mut picked = false;
    let mut fed = None;
    each_call(site.function.body, &mut |call| {
        if !around.range.contains_range(call.range()) {
            return;
        }
        picked |= picks.contains(&called_name(call));
        let is_model = site.facts.model_calls.iter().any(|model| model.range == call.range());
        let whole = |expr: &Expr| matches!(expr, Expr::Name(name) if name.id.as_str() == grown);
        let arguments = &call.arguments;
        if is_model
            && (arguments.args.iter().any(whole)
                || arguments.keywords.iter().any(|k| whole(&k.value)))
        {
            fed = Some(call);
        }
    });
    let model = fed?;
    let text = site.file.slice(&around.range);
    let caches = ["past", "cache", "kv", "state", "hidden"].iter().any(|word| text.contains(word));
    if !picked || caches || !parts.first().is_some_and(|first| reads_name(first, grown)) {
        return None;
    }
    let message = format!(
        "`{}` computes all earlier tokens again for each new one, with logits for all of them",
        site.short(model)
    );
    let why = format!("`{grown}` grows by a token an iteration");
    Some(site.found(project, (Severity::Note, Held::Activations), message, why))
}
