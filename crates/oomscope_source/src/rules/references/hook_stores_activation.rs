//! OOM508: a hook keeps an activation with its graph, and its readers want the numbers only.

use oomscope_model::{Cause, Finding, FixSafety, Held, Severity};
use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, Stmt};
use ruff_text_size::Ranged;

use crate::edit::{fix, replace, suffix};
use crate::index::{FileId, Function};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};

pub(crate) const RULE: Rule = Rule {
    id: "OOM508",
    name: "hook-stores-activation",
    group: Group::References,
    cause: Cause::ReferencesHeld,
    severity: Severity::Warning,
    doc: include_str!("hook_stores_activation.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        let Some((given, made)) = hook_parameters(function) else { continue };
        if function.is_unit_test
            || function.class.is_none_or(|class| project.index.is_module_class(class))
        {
            continue;
        }
        let Some(file) = project.index.file(function.file) else { continue };
        for assignment in &facts.assignments {
            let Expr::Attribute(kept) = assignment.target else { continue };
            let is_self = matches!(&*kept.value, Expr::Name(n) if n.id.as_str() == "self");
            let Expr::Name(value) = assignment.value else { continue };
            let name = value.id.as_str();
            if !is_self || name != given && name != made {
                continue;
            }
            let reads = reads_of(project, function, kept.attr.as_str());
            let Some(read) = reads.detached.first().filter(|_| reads.otherwise == 0) else {
                continue;
            };
            let is_tuple = name == given;
            let edits = if is_tuple {
                vec![replace(
                    assignment.value.range(),
                    format!("tuple(each.detach() for each in {name})"),
                )]
            } else {
                suffix(assignment.value, ".detach()")
            };
            let target = short(file.slice(assignment.target));
            let path = [
                step(project, id, assignment.range, format!("`{target}` keeps the graph")),
                step(project, read.0, read.1, "its reader detaches it".to_owned()),
            ];
            let finding = Report {
                function: id,
                range: assignment.range,
                severity: Severity::Warning,
                held: Held::Activations,
                message: format!(
                    "the hook keeps `{name}` with its graph until the next forward, though only \
                     its numbers are read"
                ),
                path: path.into_iter().flatten().collect(),
                fix: Some(fix(FixSafety::Unsafe, format!("detach `{name}` first"), edits)),
            };
            report(project, &RULE, finding, findings);
        }
    }
}

/// What a method `hook(self, module, args, output)` names its last two parameters.
fn hook_parameters<'a>(function: &Function<'a>) -> Option<(&'a str, &'a str)> {
    function.class?;
    let mut parameters = function.numbered_parameters().map(|p| p.name.as_str());
    let (first, module) = (parameters.next()?, parameters.next()?);
    let (given, made) = (parameters.next()?, parameters.next()?);
    let is_hook = first == "self"
        && matches!(module, "module" | "mod" | "m" | "layer" | "_module" | "_")
        && ["in", "arg", "x"].iter().any(|word| given.starts_with(word))
        && ["out", "result", "y"].iter().any(|word| made.starts_with(word))
        && parameters.next().is_none();
    is_hook.then_some((given, made))
}

/// Reads of an attribute in the methods of its class.
#[derive(Default)]
struct Reads {
    detached: Vec<(crate::index::FunctionId, ruff_text_size::TextRange)>,
    otherwise: usize,
}

fn reads_of(project: &Project<'_>, function: &Function<'_>, attribute: &str) -> Reads {
    let mut reads = Reads::default();
    let class = function.class.and_then(|class| project.index.class(class));
    for method in class.iter().flat_map(|class| class.methods.values()) {
        let Some(body) = project.index.function(*method).map(|method| method.body) else {
            continue;
        };
        let mut search = Search { attribute, detached: Vec::new(), otherwise: 0 };
        for stmt in body {
            search.visit_stmt(stmt);
        }
        reads.detached.extend(search.detached.into_iter().map(|range| (*method, range)));
        reads.otherwise += search.otherwise;
    }
    reads
}

struct Search<'s> {
    attribute: &'s str,
    detached: Vec<ruff_text_size::TextRange>,
    otherwise: usize,
}

impl<'a> Visitor<'a> for Search<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Call(call) = expr
            && let Expr::Attribute(method) = &*call.func
            && method.attr.as_str() == "detach"
            && self.is_read(&method.value)
        {
            self.detached.push(expr.range());
            return;
        }
        if self.is_read(expr) {
            self.otherwise += 1;
            return;
        }
        walk_expr(self, expr);
    }
}

impl Search<'_> {
    /// `self.kept`, `self.kept[0]`.
    fn is_read(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Subscript(subscript) => self.is_read(&subscript.value),
            Expr::Attribute(read) => {
                read.attr.as_str() == self.attribute
                    && read.ctx.is_load()
                    && matches!(&*read.value, Expr::Name(n) if n.id.as_str() == "self")
            }
            _ => false,
        }
    }
}
