//! OOM505: memory is freed or the work tried again inside the `except` block of an out-of-memory
//! error, whose traceback still holds the failed try.

use compact_str::CompactString;
use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_text_size::{Ranged, TextRange};

use super::tensors_in_exception::uses_torch;
use crate::facts::ExceptBlock;
use crate::imports::dotted;
use crate::index::{FileId, FunctionId};
use crate::project::Project;
use crate::report::{Report, report, step};
use crate::rules::{Group, Rule};
use crate::search::{called_name, each_call};

pub(crate) const RULE: Rule = Rule {
    id: "OOM505",
    name: "oom-retry-in-except",
    group: Group::References,
    cause: Cause::ReferencesHeld,
    severity: Severity::Warning,
    doc: include_str!("oom_retry_in_except.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if facts.excepts.is_empty() || function.is_unit_test || !uses_torch(project, function.file)
        {
            continue;
        }
        for block in &facts.excepts {
            work_while_held(project, id, block, findings);
        }
    }
}

/// Freeing or retrying inside the block: the traceback still holds the failed frames.
fn work_while_held(
    project: &Project<'_>,
    id: FunctionId,
    block: &ExceptBlock<'_>,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(file) = project.index.file_of(id) else {
        return;
    };
    let kind = block.kind.map(|kind| file.slice(kind)).unwrap_or_default();
    let body = file.slice(&block.range);
    let asks = body.contains("out of memory");
    let catches_memory = kind.contains("OutOfMemory")
        || asks && (kind.is_empty() || kind.contains("Exception"))
        || kind.contains("RuntimeError")
            && (asks || body.contains("OOM") || body.contains("empty_cache"));
    if !catches_memory {
        return;
    }
    let mut tried: Vec<CompactString> = Vec::new();
    each_call(block.tried, &mut |call| tried.extend(dotted(&call.func)));
    let ends = matches!(block.body.last(), Some(ruff_python_ast::Stmt::Raise(_)));
    let mut found: Option<(TextRange, String)> = None;
    each_call(block.body, &mut |call| {
        let Some(path) = dotted(&call.func) else { return };
        let is_builtin = !path.contains('.')
            && matches!(path.as_str(), "print" | "len" | "str" | "int" | "max" | "min" | "range");
        let logs = path.contains("log") || path.contains("print") || path.contains("write");
        let frees = called_name(call) == "zero_grad";
        if called_name(call) == "empty_cache" && !ends {
            let what = "`empty_cache` can free nothing that the traceback still holds";
            found.get_or_insert((call.range(), what.to_owned()));
        } else if tried.contains(&path) && !is_builtin && !logs && !frees && !path.contains("cuda.")
        {
            let what =
                format!("`{path}` runs again while the traceback holds the first try's tensors");
            found.get_or_insert((call.range(), what));
        }
    });
    let Some((range, what)) = found else { return };
    let path = [
        step(project, id, block.range, "the caught error holds the failed frames".to_owned()),
        step(project, id, range, what.clone()),
    ];
    let finding = Report {
        function: id,
        range,
        severity: Severity::Warning,
        held: Held::Activations,
        message: format!("{what}: set a flag and go on after the `except` block"),
        path: path.into_iter().flatten().collect(),
        fix: None,
    };
    report(project, &RULE, finding, findings);
}
