//! OOM206: gradients are accumulated over micro-batches and the loss is not divided.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::{CmpOp, Expr, Operator, Stmt, StmtIf};
use ruff_text_size::Ranged;

use crate::facts::{Backward, Facts};
use crate::imports::{dotted, last_part};
use crate::index::{FileId, FunctionId, for_each_block};
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::{Group, Rule};
use crate::search::{called_name, each_call};

pub(crate) const RULE: Rule = Rule {
    id: "OOM206",
    name: "accumulation-not-divided",
    group: Group::Gradients,
    cause: Cause::GradientsNotCleared,
    severity: Severity::Note,
    doc: include_str!("accumulation_not_divided.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    for (id, function, facts) in project.functions() {
        let mut direct = facts.backwards.iter().filter(|b| b.direct && b.in_loop.is_some());
        let (Some(backward), None) = (direct.next(), direct.next()) else { continue };
        if function.is_unit_test {
            continue;
        }
        let Some((choice, every)) = steps_every(function.body, 0) else { continue };
        let around = backward.in_loop.and_then(|number| facts.loops.get(number));
        let inside = around.is_some_and(|l| l.range.contains_range(every.range()));
        // With the backward in the branch as well, whole steps are rare, not gradients summed.
        let apart = !choice.range().contains_range(backward.call.range());
        if inside && apart && !is_divided(facts, backward, function.body) {
            report_undivided(project, id, backward, every, findings);
        }
    }
}

/// The number of micro-batches in `if (i + 1) % every == 0: … optimizer.step()`.
fn steps_every(block: &[Stmt], depth: usize) -> Option<(&StmtIf, &Expr)> {
    if depth > 32 {
        return None;
    }
    for stmt in block {
        if let Stmt::If(choice) = stmt
            && let Some(every) = modulus(choice)
            && steps(&choice.body)
        {
            return Some((choice, every));
        }
        let mut found = None;
        for_each_block(stmt, &mut |inner| {
            found = found.or_else(|| steps_every(inner, depth + 1));
        });
        if found.is_some() {
            return found;
        }
    }
    None
}

fn modulus(choice: &StmtIf) -> Option<&Expr> {
    let Expr::Compare(compare) = &*choice.test else { return None };
    match (&*compare.left, &*compare.ops) {
        (Expr::BinOp(op), [CmpOp::Eq]) if matches!(op.op, Operator::Mod) => Some(&op.right),
        _ => None,
    }
}

fn steps(body: &[Stmt]) -> bool {
    let (mut steps, mut clears) = (false, false);
    each_call(body, &mut |call| match called_name(call) {
        "step" => {
            steps |= matches!(&*call.func, Expr::Attribute(a)
                if dotted(&a.value).is_some_and(|name| last_part(&name).contains("opt")));
        }
        "zero_grad" => clears = true,
        _ => {}
    });
    steps && clears
}

/// Whether the loss is divided anywhere, by anything: a mean over tokens is a choice as well.
fn is_divided(facts: &Facts<'_>, backward: &Backward<'_>, body: &[Stmt]) -> bool {
    let Expr::Attribute(attribute) = &*backward.call.func else { return true };
    let Some(loss) = dotted(&attribute.value) else { return true };
    let by_assignment = facts.assignments.iter().any(|assignment| {
        dotted(assignment.target).is_some_and(|target| target == loss)
            && crate::search::contains(assignment.value, divides)
    });
    by_assignment || divides_in_place(body, &loss, 0)
}

fn divides(expr: &Expr) -> bool {
    matches!(expr, Expr::BinOp(op) if matches!(op.op, Operator::Div | Operator::Mult))
        || matches!(expr, Expr::Call(call) if matches!(called_name(call), "div" | "mul"))
}

/// `loss /= every`.
fn divides_in_place(block: &[Stmt], loss: &str, depth: usize) -> bool {
    depth < 32
        && block.iter().any(|stmt| {
            let here = matches!(stmt, Stmt::AugAssign(s)
                if matches!(s.op, Operator::Div | Operator::Mult)
                    && dotted(&s.target).is_some_and(|target| target == loss));
            let mut inside = false;
            for_each_block(stmt, &mut |inner| {
                inside |= divides_in_place(inner, loss, depth + 1);
            });
            here || inside
        })
}

fn report_undivided(
    project: &Project<'_>,
    id: FunctionId,
    backward: &Backward<'_>,
    every: &Expr,
    findings: &mut Vec<(FileId, Finding)>,
) {
    let Some(file) = project.index.file_of(id) else { return };
    let every_text = short(file.slice(every));
    let range = backward.call.range();
    let path = [
        step(project, id, range, "adds this micro-batch's gradients".to_owned()),
        step(project, id, every.range(), format!("steps once in `{every_text}`")),
    ];
    let finding = Report {
        function: id,
        range,
        severity: Severity::Note,
        held: Held::Nothing,
        message: format!(
            "gradients of `{every_text}` micro-batches are summed, not averaged: divide the loss \
             by `{every_text}` to train as one large batch does"
        ),
        path: path.into_iter().flatten().collect(),
        fix: None,
    };
    report(project, &RULE, finding, findings);
}
