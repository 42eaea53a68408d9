//! OOM513: anomaly detection is switched on for good.

use oomscope_model::{Cause, Finding, FixSafety, Held, Severity};
use ruff_python_ast::{Expr, Stmt};
use ruff_text_size::Ranged;

use crate::edit::{fix, replace};
use crate::index::FileId;
use crate::project::Project;
use crate::report::{Report, report, step};
use crate::rules::{Group, Rule};
use crate::search::statements_around;

pub(crate) const RULE: Rule = Rule {
    id: "OOM513",
    name: "anomaly-mode-left-on",
    group: Group::References,
    cause: Cause::ReferencesHeld,
    severity: Severity::Warning,
    doc: include_str!("anomaly_mode_left_on.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for site in project.calls_named(&["set_detect_anomaly"]) {
        let call = site.call.call;
        let is_torch = site.call.path.as_deref().is_some_and(|path| path.starts_with("torch."));
        let Some(Expr::BooleanLiteral(flag)) = call.arguments.args.first() else { continue };
        // Under a condition, someone asked for it.
        let asked = statements_around(site.function.body, call.range())
            .iter()
            .any(|placed| matches!(placed.stmt, Stmt::If(_) | Stmt::With(_) | Stmt::Try(_)));
        if !is_torch || !flag.value || asked || !site.call.is_statement {
            continue;
        }
        let finding = Report {
            function: site.id,
            range: call.range(),
            severity: Severity::Warning,
            held: Held::Nodes,
            message: "anomaly detection is on for good: every graph node keeps a stack trace, and \
                      backward checks each result"
                .to_owned(),
            path: step(project, site.id, call.range(), "switched on for the process".to_owned())
                .into_iter()
                .collect(),
            fix: Some(fix(
                FixSafety::Suggest,
                "switch it off",
                vec![replace(flag.range(), "False")],
            )),
        };
        report(project, &RULE, finding, findings);
    }
}
