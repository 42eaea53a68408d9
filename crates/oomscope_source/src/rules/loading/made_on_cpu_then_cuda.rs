//! OOM606: a tensor is made on the host and copied to the device, where it could have been made.

use oomscope_model::{Cause, Edit, Finding, FixSafety, Held, Severity};
use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::Ranged;

use crate::edit::fix;
use crate::index::FileId;
use crate::parse::Parsed;
use crate::placement::{Placement, device_keyword, moved_to};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};
use crate::search::called_name;

pub(crate) const RULE: Rule = Rule {
    id: "OOM606",
    name: "made-on-cpu-then-cuda",
    group: Group::Loading,
    cause: Cause::HostMemory,
    severity: Severity::Note,
    doc: include_str!("made_on_cpu_then_cuda.md"),
    check,
};

/// What fills a tensor without the random state of the host.
const FILLS: [&str; 7] = ["zeros", "ones", "full", "empty", "eye", "arange", "linspace"];

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for site in project.calls_named(&["cuda", "to"]) {
        let call = site.call.call;
        let Expr::Attribute(method) = &*call.func else { continue };
        let Expr::Call(made) = &*method.value else { continue };
        if !FILLS.contains(&called_name(made))
            || moved_to(call) != Some(Placement::Device)
            || device_keyword(made).is_some()
            || made.arguments.args.iter().any(Expr::is_starred_expr)
        {
            continue;
        }
        let path = site.facts.calls.iter().find(|c| std::ptr::eq(c.call, made));
        let is_torch =
            path.and_then(|c| c.path.as_deref()).is_some_and(|p| p.starts_with("torch."));
        let Some(file) = project.index.file(site.function.file) else { continue };
        if !is_torch {
            continue;
        }
        let place = step(project, site.id, made.range(), "made on the host".to_owned());
        let moved = step(project, site.id, call.range(), "copied to the device".to_owned());
        let finding = Report {
            function: site.id,
            range: call.range(),
            severity: Severity::Note,
            held: Held::Nothing,
            message: format!(
                "`{}` is filled on the host and copied: `device=` makes it where it is used",
                short(file.slice(made))
            ),
            path: place.into_iter().chain(moved).collect(),
            fix: made_there(file, call, made)
                .map(|edits| fix(FixSafety::Safe, "make it on the device", edits)),
        };
        report(project, &RULE, finding, findings);
    }
}

/// `torch.zeros(n).to(device)` as `torch.zeros(n, device=device)`.
fn made_there(file: &Parsed, call: &ExprCall, made: &ExprCall) -> Option<Vec<Edit>> {
    let device = match (&*call.arguments.args, &*call.arguments.keywords) {
        ([], []) => "\"cuda\"",
        ([one], []) if called_name(call) == "to" => file.slice(one),
        _ => return None,
    };
    let end = made.arguments.range().end().to_usize().saturating_sub(1);
    let inside = file.text.get(..end)?.trim_end();
    let comma = match inside.chars().last()? {
        ',' => " ",
        '(' => "",
        _ => ", ",
    };
    let added = Edit { start: end, end, text: format!("{comma}device={device}") };
    let (start, end) = (made.end().to_usize(), call.end().to_usize());
    Some(vec![added, Edit { start, end, text: String::new() }])
}
