//! OOM608: an optimizer is built before its model is moved to the device.

use oomscope_model::{Cause, Finding, Held, PathStep, Severity};
use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::Ranged;

use crate::imports::dotted;
use crate::index::FileId;
use crate::placement::{Placement, moved_to};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};
use crate::search::called_name;
use crate::value::Kind;

pub(crate) const RULE: Rule = Rule {
    id: "OOM608",
    name: "optimizer-before-to",
    group: Group::Loading,
    cause: Cause::OptimizerState,
    severity: Severity::Note,
    doc: include_str!("optimizer_before_to.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for site in project.calls_named(&["cuda", "to"]) {
        let call = site.call.call;
        let is_network = site.call.receiver.as_ref().is_some_and(|value| match value.kind {
            Kind::Module => true,
            Kind::Instance(class) => project.index.is_module_class(class),
            _ => false,
        });
        if !is_network || moved_to(call) != Some(Placement::Device) {
            continue;
        }
        let Expr::Attribute(method) = &*call.func else { continue };
        let Some(model) = dotted(&method.value) else { continue };
        let built = site.facts.calls.iter().find(|other| {
            other.call.end() < call.start()
                && other.path.as_deref().is_some_and(|path| path.starts_with("torch.optim."))
                && takes_parameters_of(other.call, &model)
        });
        let Some(built) = built else { continue };
        let Some(file) = project.index.file(site.function.file) else { continue };
        let built_at =
            format!("`{}` takes the parameters of `{model}`", short(file.slice(&*built.call.func)));
        let path: Vec<PathStep> = [
            step(project, site.id, built.call.range(), built_at),
            step(project, site.id, call.range(), "the model moves afterwards".to_owned()),
        ]
        .into_iter()
        .flatten()
        .collect();
        let finding = Report {
            function: site.id,
            range: built.call.range(),
            severity: Severity::Note,
            held: Held::Nothing,
            message: format!(
                "the optimizer is built before `{model}` is moved: sharding and replacing \
                 parameters would leave it with the old ones"
            ),
            path,
            fix: None,
        };
        report(project, &RULE, finding, findings);
    }
}

/// `SGD(model.parameters())`.
fn takes_parameters_of(call: &ExprCall, model: &str) -> bool {
    call.arguments.args.first().is_some_and(|first| match first {
        Expr::Call(inner) => {
            called_name(inner) == "parameters"
                && matches!(&*inner.func, Expr::Attribute(a)
                    if dotted(&a.value).is_some_and(|path| path.as_str() == model))
        }
        _ => false,
    })
}
