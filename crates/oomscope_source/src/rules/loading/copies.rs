//! Copies of a network or of its weights by `deepcopy`: shared by the rules on them.

use ruff_python_ast::{Expr, Stmt};
use ruff_text_size::TextRange;

use crate::imports::last_part;
use crate::project::Project;
use crate::search::{called_name, contains, statements_around};
use crate::sites::Site;
use crate::torch_api;
use crate::value::Kind;

/// What a `copy.deepcopy` copies, where that is a network or its `state_dict()`.
pub(super) fn copied_weights<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<&'a Expr> {
    if site.call.path.as_deref() != Some("copy.deepcopy") {
        return None;
    }
    let copied = site.call.call.arguments.args.first()?;
    let (_, value) = site.call.arguments.first()?;
    let is_network = match value.kind {
        Kind::Module => true,
        Kind::Instance(class) => project.index.is_module_class(class),
        Kind::Unknown => crate::imports::dotted(copied)
            .is_some_and(|path| torch_api::names_a_network(last_part(&path))),
        _ => false,
    };
    (is_network || is_state_of_network(copied)).then_some(copied)
}

/// `model.state_dict()`, of something that is no optimizer or scheduler.
pub(super) fn is_state_of_network(expr: &Expr) -> bool {
    let Expr::Call(call) = expr else { return false };
    let Expr::Attribute(method) = &*call.func else { return false };
    let holder = crate::imports::dotted(&method.value).unwrap_or_default();
    let last = last_part(&holder).to_ascii_lowercase();
    method.attr.as_str() == "state_dict"
        && !["opt", "sched", "scaler"].iter().any(|word| last.contains(word))
}

/// Whether the statement at a place moves to the host what it copies.
pub(super) fn host_in(body: &[Stmt], at: TextRange) -> bool {
    let is_host = |expr: &Expr| match expr {
        Expr::Call(call) => {
            called_name(call) == "cpu"
                || crate::placement::moved_to(call) == Some(crate::placement::Placement::Host)
        }
        _ => false,
    };
    statements_around(body, at).first().is_some_and(|placed| match placed.stmt {
        Stmt::Assign(s) => contains(&s.value, is_host),
        Stmt::AnnAssign(s) => s.value.as_deref().is_some_and(|value| contains(value, is_host)),
        Stmt::Expr(s) => contains(&s.value, is_host),
        _ => false,
    })
}
