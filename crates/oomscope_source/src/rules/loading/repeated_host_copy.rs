//! OOM607: the same host tensor is copied to the device in every iteration.

use oomscope_model::{Cause, Finding, Held, PathStep, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::Ranged;

use crate::facts::Facts;
use crate::index::FileId;
use crate::placement::{Placement, device_keyword, moved_to};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};
use crate::torch_api;

pub(crate) const RULE: Rule = Rule {
    id: "OOM607",
    name: "repeated-host-copy",
    group: Group::Loading,
    cause: Cause::HostMemory,
    severity: Severity::Warning,
    doc: include_str!("repeated_host_copy.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for site in project.calls_named(&["cuda", "to"]) {
        let call = site.call.call;
        let Some(number) = site.call.in_loop else { continue };
        let Expr::Attribute(method) = &*call.func else { continue };
        let Expr::Name(name) = &*method.value else { continue };
        if moved_to(call) != Some(Placement::Device) {
            continue;
        }
        let Some(made) = made_on_host(site.facts, name.id.as_str()) else { continue };
        let Some(this) = site.facts.loops.get(number) else { continue };
        if this.range.contains_range(made.range()) || !(this.over_data || this.has_backward) {
            continue;
        }
        let Some(file) = project.index.file(site.function.file) else { continue };
        let what = format!("every iteration over `{}`", short(this.what));
        let path: Vec<PathStep> = [
            step(project, site.id, made.range(), format!("`{}` is made on the host", name.id)),
            step(project, site.id, this.range, what),
            step(project, site.id, call.range(), "copies it again".to_owned()),
        ]
        .into_iter()
        .flatten()
        .collect();
        let finding = Report {
            function: site.id,
            range: call.range(),
            severity: Severity::Warning,
            held: Held::Nothing,
            message: format!(
                "`{}` copies the same tensor to the device in every iteration",
                short(file.slice(call))
            ),
            path,
            fix: None,
        };
        report(project, &RULE, finding, findings);
    }
}

/// The call that makes a name's tensor on the host, where that is the name's only assignment.
fn made_on_host<'a>(facts: &Facts<'a>, name: &str) -> Option<&'a Expr> {
    let to_name = |target: &Expr| matches!(target, Expr::Name(n) if n.id.as_str() == name);
    let mut given = facts.assignments.iter().filter(|one| to_name(one.target));
    let (only, None) = (given.next()?, given.next()) else { return None };
    let Expr::Call(call) = only.value else { return None };
    let path = facts.calls.iter().find(|c| std::ptr::eq(c.call, call))?.path.as_deref()?;
    let maker = path.strip_prefix("torch.")?;
    (torch_api::CREATES.contains(&maker)
        && !maker.ends_with("_like")
        && !matches!(maker, "as_tensor" | "multinomial" | "bernoulli" | "normal")
        && device_keyword(call).is_none())
    .then_some(only.value)
}
