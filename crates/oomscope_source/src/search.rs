//! Looking through expressions and statements without evaluating them.

use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, ExprCall, Stmt};
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
