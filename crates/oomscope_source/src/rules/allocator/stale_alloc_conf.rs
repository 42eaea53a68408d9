//! OOM903: the allocator's options are set after the allocator has read them.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_text_size::{Ranged, TextRange};

use super::alloc_conf::confs;
use crate::facts::{Call, Facts};
use crate::index::FileId;
use crate::placement::{Placement, device_keyword, device_named_by, moved_to};
use crate::project::Project;
use crate::report::{Report, report, step};
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM903",
    name: "stale-alloc-conf",
    group: Group::Allocator,
    cause: Cause::Fragmentation,
    severity: Severity::Warning,
    doc: include_str!("stale_alloc_conf.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for conf in confs(project) {
        let Some(facts) = project.facts.get(conf.id.0 as usize) else { continue };
        let Some(first_use) = device_use_before(facts, conf.range) else { continue };
        let path = [
            step(project, conf.id, first_use, "the device is used: options are read".to_owned()),
            step(project, conf.id, conf.range, "set too late".to_owned()),
        ];
        let finding = Report {
            function: conf.id,
            range: conf.range,
            severity: Severity::Warning,
            held: Held::Nothing,
            message: "the allocator has read its options already: this setting has no effect"
                .to_owned(),
            path: path.into_iter().flatten().collect(),
            fix: None,
        };
        report(project, &RULE, finding, findings);
    }
}

/// A call before a place that surely makes the allocator start.
fn device_use_before(facts: &Facts<'_>, before: TextRange) -> Option<TextRange> {
    let mut earlier = facts.calls.iter().filter(|call| call.call.end() <= before.start());
    earlier.find(|call| uses_device(call)).map(|call| call.call.range())
}

fn uses_device(call: &Call<'_>) -> bool {
    if call.path.as_deref().is_some_and(|path| {
        path.starts_with("torch.cuda.")
            && matches!(
                path,
                "torch.cuda.init" | "torch.cuda.empty_cache" | "torch.cuda.synchronize"
            )
    }) {
        return true;
    }
    let is_literal = |expr: &ruff_python_ast::Expr| expr.is_string_literal_expr();
    let moved = moved_to(call.call) == Some(Placement::Device)
        && call.call.arguments.args.first().is_none_or(is_literal);
    let made = call.path.as_deref().is_some_and(|path| path.starts_with("torch."))
        && device_keyword(call.call).is_some_and(|device| {
            is_literal(device) && device_named_by(device) == Some(Placement::Device)
        });
    moved || made
}
