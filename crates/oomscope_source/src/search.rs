//! Looking through expressions and statements without evaluating them.

use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, ExprCall, Number, Stmt, UnaryOp};
use ruff_text_size::{Ranged, TextRange};

use crate::index::for_each_block;

/// Calls `visit` with an expression and every one inside it.
pub(crate) fn each_expr<'a>(expr: &'a Expr, visit: &mut dyn FnMut(&'a Expr)) {
    Each(visit).visit_expr(expr);
}

/// Calls `visit` with every call in statements, functions inside them left out.
pub(crate) fn each_call<'a>(body: &'a [Stmt], visit: &mut dyn FnMut(&'a ExprCall)) {
    let mut only_calls = |expr: &'a Expr| {
        if let Expr::Call(call) = expr {
            visit(call);
        }
    };
    let mut each = Each(&mut only_calls);
    for stmt in body {
        each.visit_stmt(stmt);
    }
}

/// A statement with the block that it stands in.
#[derive(Clone, Copy)]
pub(crate) struct Placed<'a> {
    pub(crate) block: &'a [Stmt],
    pub(crate) stmt: &'a Stmt,
    pub(crate) index: usize,
}

/// The statements around a place in a function's body, innermost first.
pub(crate) fn statements_around(body: &[Stmt], at: TextRange) -> Vec<Placed<'_>> {
    let mut around = Vec::new();
    let mut block = Some(body);
    while let Some(this) = block.take() {
        let first = this.partition_point(|stmt| stmt.end() < at.end());
        let Some(stmt) = this.get(first).filter(|stmt| stmt.range().contains_range(at)) else {
            break;
        };
        around.push(Placed { block: this, stmt, index: first });
        for_each_block(stmt, &mut |inner| {
            if let [first, .., last] | [first @ last] = inner
                && TextRange::new(first.start(), last.end()).contains_range(at)
            {
                block = Some(inner);
            }
        });
    }
    around.reverse();
    around
}

/// Calls `visit` with every statement, functions inside them left out.
pub(crate) fn each_stmt<'a>(body: &'a [Stmt], visit: &mut dyn FnMut(&'a Stmt)) {
    for stmt in body {
        visit(stmt);
        for_each_block(stmt, &mut |inner| each_stmt(inner, visit));
    }
}

/// Whether statements yield, functions inside them left out.
pub(crate) fn yields(body: &[Stmt]) -> bool {
    let mut found = false;
    let mut look = |expr: &Expr| found |= matches!(expr, Expr::Yield(_) | Expr::YieldFrom(_));
    let mut each = Each(&mut look);
    for stmt in body {
        each.visit_stmt(stmt);
    }
    found
}

/// Whether some expression inside fulfils a condition.
pub(crate) fn contains(expr: &Expr, condition: impl Fn(&Expr) -> bool) -> bool {
    let mut found = false;
    each_expr(expr, &mut |inner| found |= condition(inner));
    found
}

/// Whether a name is read inside.
pub(crate) fn reads_name(expr: &Expr, name: &str) -> bool {
    contains(expr, |inner| matches!(inner, Expr::Name(n) if n.id.as_str() == name))
}

/// The last name of a call's function: `load_state_dict`.
pub(crate) fn called_name(call: &ExprCall) -> &str {
    match &*call.func {
        Expr::Name(name) => name.id.as_str(),
        Expr::Attribute(attribute) => attribute.attr.as_str(),
        _ => "",
    }
}

/// The value of a keyword argument.
pub(crate) fn keyword<'a>(call: &'a ExprCall, name: &str) -> Option<&'a Expr> {
    let mut keywords = call.arguments.keywords.iter();
    let found = keywords.find(|k| k.arg.as_ref().is_some_and(|arg| arg.as_str() == name));
    found.map(|keyword| &keyword.value)
}

/// An argument by its place or its name.
pub(crate) fn argument<'a>(call: &'a ExprCall, place: usize, name: &str) -> Option<&'a Expr> {
    keyword(call, name).or_else(|| call.arguments.args.get(place))
}

/// Whether arguments are handed on that are not written here: `f(*args)`, `f(**options)`.
pub(crate) fn has_unpacked(call: &ExprCall) -> bool {
    call.arguments.args.iter().any(Expr::is_starred_expr)
        || call.arguments.keywords.iter().any(|keyword| keyword.arg.is_none())
}

/// Whether an expression is the literal `wanted`.
pub(crate) fn is_literal(expr: &Expr, wanted: bool) -> bool {
    matches!(expr, Expr::BooleanLiteral(flag) if flag.value == wanted)
}

/// The text of a string literal.
pub(crate) fn text_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::StringLiteral(text) => Some(text.value.to_str()),
        _ => None,
    }
}

/// The value of an integer literal, `-1` included.
pub(crate) fn integer(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::NumberLiteral(number) => match &number.value {
            Number::Int(int) => int.as_i64(),
            _ => None,
        },
        Expr::UnaryOp(op) if matches!(op.op, UnaryOp::USub) => integer(&op.operand)?.checked_neg(),
        _ => None,
    }
}

/// What a method is called on: `x` of `x.float()`.
pub(crate) fn receiver(call: &ExprCall) -> Option<&Expr> {
    match &*call.func {
        Expr::Attribute(attribute) => Some(&attribute.value),
        _ => None,
    }
}

/// Calls `visit` with every expression of statements, functions inside them left out.
pub(crate) fn each_expr_of<'a>(body: &'a [Stmt], visit: &mut dyn FnMut(&'a Expr)) {
    let mut each = Each(visit);
    for stmt in body {
        each.visit_stmt(stmt);
    }
}

/// How often a name is read in statements.
pub(crate) fn count_reads(body: &[Stmt], name: &str) -> usize {
    let mut count = 0;
    each_expr_of(body, &mut |expr| {
        count +=
            usize::from(matches!(expr, Expr::Name(n) if n.id.as_str() == name && n.ctx.is_load()));
    });
    count
}

/// Calls `visit` with the tests of the `if`s around a place, outermost first.
pub(crate) fn each_test_around<'a>(
    body: &'a [Stmt],
    place: TextRange,
    visit: &mut dyn FnMut(&'a Expr),
) {
    let mut inside = body;
    while let Some(stmt) = inside.iter().find(|stmt| stmt.range().contains_range(place)) {
        if let Stmt::If(choice) = stmt {
            visit(&choice.test);
        }
        let mut next: Option<&'a [Stmt]> = None;
        for_each_block(stmt, &mut |block| {
            if block.iter().any(|stmt| stmt.range().contains_range(place)) {
                next = Some(block);
            }
        });
        let Some(block) = next else { return };
        inside = block;
    }
}

/// Whether whoever comes to the second place has passed the first: no branch or loop around the
/// first leaves out the second.
pub(crate) fn runs_before(body: &[Stmt], first: TextRange, second: TextRange) -> bool {
    let mut inside = body;
    while let Some(stmt) = inside.iter().find(|stmt| stmt.range().contains_range(first)) {
        let mut next: Option<&[Stmt]> = None;
        for_each_block(stmt, &mut |block| {
            if block.iter().any(|stmt| stmt.range().contains_range(first)) {
                next = Some(block);
            }
        });
        let Some(block) = next else { return true };
        let around_both = block.iter().any(|stmt| stmt.range().contains_range(second));
        if !around_both && !matches!(stmt, Stmt::With(_)) {
            return false;
        }
        inside = block;
    }
    true
}

struct Each<'f, 'a>(&'f mut dyn FnMut(&'a Expr));

impl<'a> Visitor<'a> for Each<'_, 'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        if !matches!(stmt, Stmt::FunctionDef(_) | Stmt::ClassDef(_)) {
            walk_stmt(self, stmt);
        }
    }
    fn visit_expr(&mut self, expr: &'a Expr) {
        (self.0)(expr);
        walk_expr(self, expr);
    }
}
