//! Where a program sets the allocator's options: `os.environ["PYTORCH_CUDA_ALLOC_CONF"] = "…"`.

use ruff_python_ast::{Expr, ExprSubscript};
use ruff_text_size::TextRange;

use crate::imports::dotted;
use crate::index::FunctionId;
use crate::project::Project;

/// One place that sets the options.
pub(super) struct Conf<'a> {
    pub(super) id: FunctionId,
    pub(super) range: TextRange,
    /// The options as written, where they are a literal.
    pub(super) text: Option<(&'a Expr, &'a str)>,
}

/// Every place outside unit tests that sets the options.
pub(super) fn confs<'a>(project: &Project<'a>) -> Vec<Conf<'a>> {
    let mut found = Vec::new();
    for (id, function, facts) in project.functions() {
        let assigned = facts.assignments.iter().filter_map(|assignment| {
            let Expr::Subscript(target) = assignment.target else { return None };
            sets(target).then(|| Conf {
                id,
                range: assignment.range,
                text: literal(assignment.value),
            })
        });
        let assigned: Vec<Conf<'a>> = assigned.collect();
        if !assigned.is_empty() && !function.is_unit_test {
            found.extend(assigned);
        }
    }
    for site in project.calls_named(&["setdefault"]) {
        let call = site.call.call;
        let on_environ = site.call.path.as_deref() == Some("os.environ.setdefault");
        let mut arguments = call.arguments.args.iter();
        if on_environ && arguments.next().is_some_and(names_conf) {
            let text = arguments.next().and_then(literal);
            found.push(Conf { id: site.id, range: ruff_text_size::Ranged::range(call), text });
        }
    }
    found
}

fn sets(target: &ExprSubscript) -> bool {
    names_conf(&target.slice)
        && dotted(&target.value)
            .is_some_and(|path| matches!(path.as_str(), "os.environ" | "environ"))
}

fn names_conf(expr: &Expr) -> bool {
    matches!(expr, Expr::StringLiteral(text)
        if matches!(text.value.to_str(), "PYTORCH_CUDA_ALLOC_CONF" | "PYTORCH_ALLOC_CONF" | "PYTORCH_HIP_ALLOC_CONF"))
}

fn literal(expr: &Expr) -> Option<(&Expr, &str)> {
    match expr {
        Expr::StringLiteral(text) => Some((expr, text.value.to_str())),
        _ => None,
    }
}
