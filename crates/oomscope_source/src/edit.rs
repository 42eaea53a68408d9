//! Edits of source text: a suffix on an expression, a line before a statement, a decorator.

use oomscope_model::{Edit, Fix, FixSafety};
use ruff_python_ast::{Expr, Stmt};
use ruff_text_size::{Ranged, TextRange, TextSize};

use crate::index::Function;
use crate::parse::Parsed;
use crate::search::statements_around;

/// One edit as a fix.
pub(crate) fn fix(safety: FixSafety, title: impl Into<String>, edits: Vec<Edit>) -> Fix {
    Fix { safety, title: title.into(), edits }
}

fn binds_tightly(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Name(_) | Expr::Attribute(_) | Expr::Call(_) | Expr::Subscript(_) | Expr::List(_)
    )
}

/// What [`suffix`] makes of an expression that is written as `value`, for titles.
pub(crate) fn suffixed(expr: &Expr, value: &str, text: &str) -> String {
    if binds_tightly(expr) { format!("{value}{text}") } else { format!("({value}){text}") }
}

/// Appends `.item()` and the like to an expression, in parentheses where precedence asks for them.
pub(crate) fn suffix(expr: &Expr, text: &str) -> Vec<Edit> {
    let (start, end) = (expr.start().to_usize(), expr.end().to_usize());
    if binds_tightly(expr) {
        return vec![Edit { start: end, end, text: text.to_owned() }];
    }
    vec![
        Edit { start, end: start, text: "(".to_owned() },
        Edit { start: end, end, text: format!("){text}") },
    ]
}

/// Replaces a range.
pub(crate) fn replace(range: TextRange, text: impl Into<String>) -> Edit {
    Edit { start: range.start().to_usize(), end: range.end().to_usize(), text: text.into() }
}

/// Inserts a statement on a line of its own before the statement at `at`; none where that
/// statement shares its line with another.
pub(crate) fn line_before(file: &Parsed, at: TextSize, statement: &str) -> Option<Edit> {
    let start = file.line_start(at);
    let indent = file.indentation(at);
    if start + indent.len() != at.to_usize() {
        return None;
    }
    let newline = if file.text.contains("\r\n") { "\r\n" } else { "\n" };
    let text = format!("{indent}{statement}{newline}");
    Some(Edit { start, end: start, text })
}

/// Removes the line of a statement that is one call, where nothing else is on it and its block keeps
/// another statement.
pub(crate) fn remove_statement(file: &Parsed, body: &[Stmt], call: TextRange) -> Option<Edit> {
    let placed = *statements_around(body, call).first()?;
    let (start, end) = (file.line_start(call.start()), call.end().to_usize());
    let before = file.text.get(start..call.start().to_usize())?;
    let line_end = file.text.get(end..)?.find('\n').map_or(file.text.len(), |at| end + at + 1);
    let after = file.text.get(end..line_end)?.trim();
    let is_alone = before.trim().is_empty() && (after.is_empty() || after.starts_with('#'));
    (is_alone && placed.stmt.range() == call && placed.block.len() > 1).then(|| Edit {
        start,
        end: line_end,
        text: String::new(),
    })
}

/// Inserts a decorator before a function's `def`, after its other decorators.
pub(crate) fn decorator(file: &Parsed, function: &Function<'_>, text: &str) -> Option<Edit> {
    line_before(file, function.def_start, text)
}

/// Removes the argument at `range` from a call with its comma.
pub(crate) fn remove_argument(file: &Parsed, range: TextRange) -> Edit {
    let (mut start, mut end) = (range.start().to_usize(), range.end().to_usize());
    let before = file.text.get(..start).unwrap_or_default();
    let trimmed = before.trim_end();
    if trimmed.ends_with(',') {
        start = trimmed.len() - 1;
    } else {
        let after = file.text.get(end..).unwrap_or_default();
        let rest = after.trim_start();
        if let Some(rest) = rest.strip_prefix(',') {
            end = file.text.len() - rest.trim_start_matches([' ', '\t']).len();
        }
    }
    Edit { start, end, text: String::new() }
}
