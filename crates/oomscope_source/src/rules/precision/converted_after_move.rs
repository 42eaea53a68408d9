//! OOM803: a model is moved to the GPU in float32 and made half-precision there.

use oomscope_model::{Cause, Finding, FixSafety, Held, Severity};
use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::Ranged;

use crate::edit::{fix, replace};
use crate::imports::dotted;
use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::search::{called_name, receiver, text_of};
use crate::sites::{Site, report_calls};
use crate::value::Kind;

pub(crate) const RULE: Rule = Rule {
    id: "OOM803",
    name: "converted-after-move",
    group: Group::Precision,
    cause: Cause::ModelTooLarge,
    severity: Severity::Warning,
    doc: include_str!("converted_after_move.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["half", "bfloat16", "to"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let call = site.call.call;
    let Expr::Call(moved) = receiver(call)? else { return None };
    let is_model = match site.call.receiver.as_ref()?.kind {
        Kind::Module => true,
        Kind::Instance(class) => project.index.is_module_class(class),
        _ => false,
    };
    if !is_model || !narrows(call) || !moves(moved) {
        return None;
    }
    let base = receiver(moved)?;
    let (Expr::Attribute(second), Expr::Attribute(first)) = (&*call.func, &*moved.func) else {
        return None;
    };
    let text = |method: &Expr, call: &ExprCall| {
        let start = method.range().start();
        site.file.slice(&ruff_text_size::TextRange::new(start, call.range().end())).to_owned()
    };
    let base_end = base.range().end();
    let first_text = text(&moved.func, moved);
    let second_text = text(&call.func, call);
    let narrowed = second_text.get(moved.range().len().to_usize()..)?;
    let move_text = first_text.get((base_end - first.range().start()).to_usize()..)?;
    let swapped = format!("{narrowed}{move_text}");
    let edit = replace(ruff_text_size::TextRange::new(base_end, call.range().end()), swapped);
    let message = format!(
        "`{}` puts all float32 weights on the device before `{}` halves them",
        site.short(moved),
        second.attr
    );
    let why = "the copies are made one by one beside the float32 weights";
    let fix = Some(fix(FixSafety::Safe, "convert before moving", vec![edit]));
    Some(Report { fix, ..site.found(project, (Severity::Warning, Held::Parameters), message, why) })
}

/// `.half()`, `.bfloat16()`, `.to(torch.float16)`.
fn narrows(call: &ExprCall) -> bool {
    match called_name(call) {
        "half" | "bfloat16" => call.arguments.is_empty(),
        _ => {
            call.arguments.len() == 1
                && call.arguments.args.first().and_then(dotted).is_some_and(|path| {
                    matches!(path.as_str(), "torch.float16" | "torch.half" | "torch.bfloat16")
                })
        }
    }
}

/// `.cuda()`, `.to("cuda")`, `.to(device)`.
fn moves(call: &ExprCall) -> bool {
    match (called_name(call), call.arguments.args.first()) {
        ("cuda", _) => true,
        ("to", Some(first)) if call.arguments.len() == 1 => {
            text_of(first).is_some_and(|device| device.starts_with("cuda"))
                || dotted(first).is_some_and(|path| {
                    path.rsplit('.').next().is_some_and(|last| last.contains("device"))
                })
        }
        _ => false,
    }
}
