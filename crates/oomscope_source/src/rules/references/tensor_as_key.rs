//! OOM506: a tensor is the key of a dict or the member of a set, which keeps it alive.

use oomscope_model::{Cause, Finding, Held, PathStep, Severity};
use ruff_python_ast::{Expr, Stmt};
use ruff_text_size::Ranged;

use crate::facts::{Facts, TensorKey};
use crate::imports::{dotted, last_part};
use crate::index::{FileId, Function, FunctionId};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};
use crate::search::{called_name, each_stmt};
use crate::value::Kind;

pub(crate) const RULE: Rule = Rule {
    id: "OOM506",
    name: "tensor-as-key",
    group: Group::References,
    cause: Cause::ReferencesHeld,
    severity: Severity::Warning,
    doc: include_str!("tensor_as_key.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        if facts.tensor_keys.is_empty() || function.is_unit_test {
            continue;
        }
        for key in &facts.tensor_keys {
            let Some(source) = source_of(project, id, function, facts, key) else { continue };
            let Some(file) = project.index.file_of(id) else { continue };
            let (name, container) = (short(file.slice(key.key)), short(file.slice(key.container)));
            let mut path = source;
            let keeps = format!("`{container}` keeps `{name}` itself, not its value");
            path.extend(step(project, id, key.key.range(), keeps));
            let finding = Report {
                function: id,
                range: key.container.range(),
                severity: Severity::Warning,
                held: Held::Tensors,
                message: format!(
                    "the tensor `{name}` is a key of `{container}`, which keeps it alive and finds \
                     it by identity only"
                ),
                path,
                fix: None,
            };
            report(project, &RULE, finding, findings);
        }
    }
}

/// Where the key is known to be a tensor: no step where its own function shows it, the call that
/// gives it otherwise; none where nothing does, or where the container dies with the call.
fn source_of(
    project: &Project<'_>,
    id: FunctionId,
    function: &Function<'_>,
    facts: &Facts<'_>,
    key: &TensorKey<'_>,
) -> Option<Vec<PathStep>> {
    let container = dotted(key.container)?;
    let outlives = container.contains('.')
        || facts.containers.iter().any(|c| c.name == container && c.returned);
    if !outlives || container.ends_with("state") {
        return None; // optimizers key their states by parameter
    }
    let name = dotted(key.key)?;
    let is_tensor = matches!(key.value.kind, Kind::Tensor) && key.value.device && !key.value.host;
    if is_tensor || asserted(function, &name) {
        return Some(Vec::new());
    }
    let number = function.numbered_parameters().position(|p| p.name.as_str() == name)?;
    let sites = project.sites.get(&id)?;
    sites.iter().find_map(|site| {
        let caller = project.facts.get(site.caller.0 as usize)?;
        let call = caller.calls.iter().find(|c| c.call.range().start() == site.at)?;
        let offset = usize::from(call.receiver.is_some() && function.class.is_some());
        let (given, value) = call.arguments.get(number.checked_sub(offset)?)?;
        let is_asserted = || {
            let caller = project.index.function(site.caller)?;
            asserted(caller, &dotted(given)?).then_some(())
        };
        let is_tensor = matches!(value.kind, Kind::Tensor) && value.device && !value.host;
        (is_tensor || is_asserted().is_some()).then(|| {
            step(project, site.caller, given.range(), "a tensor is given".to_owned())
                .into_iter()
                .collect()
        })
    })
}

/// `assert isinstance(x, torch.Tensor)`: what sizes and hashes are computed from is told apart by
/// nothing else.
fn asserted(function: &Function<'_>, name: &str) -> bool {
    let mut found = false;
    each_stmt(function.body, &mut |stmt| {
        let Stmt::Assert(assertion) = stmt else { return };
        let Expr::Call(call) = &*assertion.test else { return };
        let [Expr::Name(checked), kind] = &*call.arguments.args else { return };
        found |= checked.id.as_str() == name
            && called_name(call) == "isinstance"
            && dotted(kind).is_some_and(|path| last_part(&path) == "Tensor");
    });
    found
}
