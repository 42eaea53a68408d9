//! OOM802: the model or the default type is float64.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::Expr;

use crate::imports::dotted;
use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::search::{called_name, text_of};
use crate::sites::{Site, report_calls};
use crate::value::Kind;

pub(crate) const RULE: Rule = Rule {
    id: "OOM802",
    name: "double-precision",
    group: Group::Precision,
    cause: Cause::ModelTooLarge,
    severity: Severity::Note,
    doc: include_str!("double_precision.md"),
    check,
};

const NAMES: &[&str] = &["double", "set_default_dtype", "set_default_tensor_type"];

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, NAMES, findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let call = site.call.call;
    let is_double = if called_name(call) == "double" {
        let receiver = site.call.receiver.as_ref()?;
        call.arguments.is_empty()
            && match receiver.kind {
                Kind::Module => true,
                Kind::Instance(class) => project.index.is_module_class(class),
                _ => false,
            }
    } else {
        call.arguments.args.first().is_some_and(names_double)
    };
    if !is_double {
        return None;
    }
    let message = format!(
        "`{}`: parameters, gradients, states and activations take twice the memory",
        site.short(call)
    );
    let why = "float64 has 8 bytes a number, float32 has 4";
    Some(site.found(project, (Severity::Note, Held::Parameters), message, why))
}

fn names_double(expr: &Expr) -> bool {
    let path = dotted(expr);
    let name = path.as_deref().or_else(|| text_of(expr)).unwrap_or_default();
    matches!(
        name,
        "torch.float64" | "torch.double" | "torch.DoubleTensor" | "torch.cuda.DoubleTensor"
    )
}
