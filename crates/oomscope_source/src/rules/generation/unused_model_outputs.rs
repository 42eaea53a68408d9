//! OOM862: a model is asked for states, attentions or scores that nobody reads.

use oomscope_model::{Cause, Finding, FixSafety, Held, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::Ranged;

use crate::edit::{fix, remove_argument};
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report};
use crate::rules::{Group, Rule};
use crate::search::{count_reads, each_expr_of, is_literal};
use crate::sites::Site;

pub(crate) const RULE: Rule = Rule {
    id: "OOM862",
    name: "unused-model-outputs",
    group: Group::Generation,
    cause: Cause::ActivationsTooLarge,
    severity: Severity::Warning,
    doc: include_str!("unused_model_outputs.md"),
    check,
};

/// An option, and the names under which its result is read.
const OPTIONS: &[(&str, &[&str])] = &[
    ("output_hidden_states", &["hidden_states", "encoder_hidden_states", "decoder_hidden_states"]),
    (
        "output_attentions",
        &["attentions", "encoder_attentions", "decoder_attentions", "cross_attentions"],
    ),
    ("output_scores", &["scores", "sequences_scores"]),
    ("output_logits", &["logits"]),
];

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        for call in &facts.calls {
            // Cheap first: most calls have no such keyword.
            if call.call.arguments.keywords.len() < 2 && call.call.arguments.args.is_empty() {
                continue;
            }
            let asked = call.call.arguments.keywords.iter().find_map(|keyword| {
                let name = keyword.arg.as_ref()?.as_str();
                let (_, reads) = OPTIONS.iter().find(|(option, _)| *option == name)?;
                is_literal(&keyword.value, true).then_some((keyword, name, *reads))
            });
            let Some((keyword, option, reads)) = asked else { continue };
            let Some(file) = project.index.file(function.file) else { continue };
            let site = Site { id, function, facts, file, call };
            if function.is_unit_test || !is_model_call(&site) || !is_unread(&site, reads) {
                continue;
            }
            let message = format!(
                "`{option}=True`, but nobody reads `{}` of the result",
                reads.first().unwrap_or(&option)
            );
            let why = if option == "output_attentions" {
                "one number for each pair of tokens, head and layer; fused attention is switched off"
            } else {
                "the result holds one tensor for each layer or token"
            };
            let edit = remove_argument(file, keyword.range());
            let found = site.found(project, (Severity::Warning, Held::Activations), message, why);
            let fix =
                Some(fix(FixSafety::Unsafe, format!("do not ask for `{option}`"), vec![edit]));
            report(project, &RULE, Report { fix, ..found }, findings);
        }
    }
}

/// A call of a network, or `generate`.
fn is_model_call(site: &Site<'_, '_>) -> bool {
    site.call.name == "generate"
        || site.facts.model_calls.iter().any(|model| model.range == site.call.call.range())
}

/// Whether the result has a name, is read as attributes only, and none of them is wanted.
fn is_unread(site: &Site<'_, '_>, wanted: &[&str]) -> bool {
    let Some(name) = site.result_name() else { return false };
    let mut attributes = 0;
    let mut reads_wanted = false;
    each_expr_of(site.function.body, &mut |expr| {
        if let Expr::Attribute(attribute) = expr
            && matches!(&*attribute.value, Expr::Name(n) if n.id.as_str() == name)
        {
            attributes += 1;
            reads_wanted |= wanted.contains(&attribute.attr.as_str());
        }
    });
    // Any other read may hand the result on.
    attributes > 0 && !reads_wanted && count_reads(site.function.body, name) == attributes
}
