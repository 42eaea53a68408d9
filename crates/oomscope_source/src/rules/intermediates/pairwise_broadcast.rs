//! OOM704: all pairs of two sets of vectors are materialised and reduced at once.

use oomscope_model::{Cause, Finding, FixSafety, Held, Severity};
use ruff_python_ast::{Expr, ExprCall, Operator};
use ruff_text_size::Ranged;

use crate::edit::{fix, replace};
use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::search::{argument, called_name, count_reads, integer, keyword, receiver};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM704",
    name: "pairwise-broadcast",
    group: Group::Intermediates,
    cause: Cause::OversizedAllocation,
    severity: Severity::Warning,
    doc: include_str!("pairwise_broadcast.md"),
    check,
};

/// What reduces the pairs: a sum, a norm, or a similarity of two arguments.
const REDUCTIONS: &[&str] =
    &["sum", "norm", "vector_norm", "cosine_similarity", "pairwise_distance"];

/// How two vectors of a pair are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compared {
    Euclidean,
    Squared,
    Absolute,
    Product,
    Cosine,
    Other,
}

/// An operand with an axis inserted: `x[:, None]`, `x.unsqueeze(1)`.
struct Inserted<'a> {
    base: &'a Expr,
    axis: i64,
}

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, REDUCTIONS, findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let call = site.call.call;
    let name = called_name(call);
    let of_torch = site.call.path.as_deref().is_some_and(|path| path.starts_with("torch."));
    let (left, right, how, dimension) = if matches!(name, "cosine_similarity" | "pairwise_distance")
    {
        let how = if name == "cosine_similarity" { Compared::Cosine } else { Compared::Other };
        let dimension = argument(call, 2, "dim").map_or(Some(1), integer);
        let dimension = if how == Compared::Cosine { dimension? } else { -1 };
        (argument(call, 0, "x1")?, argument(call, 1, "x2")?, how, dimension)
    } else {
        let (reduced, place) =
            if of_torch { (call.arguments.args.first()?, 1) } else { (receiver(call)?, 0) };
        // `norm(p, dim)`: another power than 2 is no Euclidean norm.
        let power = argument(call, place, "p").or_else(|| keyword(call, "ord"));
        let (base, place) = match power.map(integer) {
            _ if name == "sum" => (Compared::Other, place),
            None | Some(Some(2)) => (Compared::Euclidean, place + 1),
            Some(_) => return None,
        };
        let dimension = integer(argument(call, place, "dim")?)?;
        let (pair, how) = compared(site, reduced, base, 0)?;
        let (left, right) = (&*pair.left, &*pair.right);
        let how = match (name, pair.op) {
            ("sum", Operator::Mult) if how == Compared::Other => Compared::Product,
            (_, Operator::Sub) if how != Compared::Other => how,
            _ => return None,
        };
        (left, right, how, dimension)
    };
    let (left, right) = (inserted(site.followed(left))?, inserted(site.followed(right))?);
    let apart = (left.axis >= 0) == (right.axis >= 0) && left.axis != right.axis;
    let last = left.axis.max(right.axis) + 1;
    if !apart || dimension != -1 && dimension != last || !is_torch(site, of_torch) {
        return None;
    }
    let message =
        format!("`{}` holds all pairs of vectors at once, for one number a pair", site.short(call));
    let instead = match how {
        Compared::Product => "a matrix product makes the same numbers without the pairs",
        Compared::Cosine => "a matrix product of normalised vectors makes the same numbers",
        _ => "`torch.cdist` makes the same numbers without the pairs",
    };
    let fix = edit(project, site, &left, &right, how);
    // Coordinates have two to four numbers: their pairs are hardly larger than the distances.
    let severity = if is_short(site, &left) || is_short(site, &right) || keeps_axis(call) {
        Severity::Note
    } else {
        Severity::Warning
    };
    let levels = (severity, Held::Activations);
    Some(Report { fix, ..site.found(project, levels, message, instead) })
}

/// The operation on two operands below powers, roots and absolute values.
fn compared<'a>(
    site: &Site<'_, 'a>,
    expr: &'a Expr,
    how: Compared,
    depth: usize,
) -> Option<(&'a ruff_python_ast::ExprBinOp, Compared)> {
    if depth > 4 {
        return None;
    }
    match expr {
        Expr::BinOp(op) if op.op == Operator::Pow => {
            let squared = integer(&op.right) == Some(2) && how == Compared::Other;
            compared(
                site,
                &op.left,
                if squared { Compared::Squared } else { return None },
                depth + 1,
            )
        }
        Expr::BinOp(op) if matches!(op.op, Operator::Sub | Operator::Mult) => Some((op, how)),
        Expr::Call(call) => {
            let of_torch = site.file.slice(&*call.func).starts_with("torch.");
            let inner = if of_torch { call.arguments.args.first()? } else { receiver(call)? };
            let next = match (called_name(call), how) {
                ("square", Compared::Other) => Compared::Squared,
                ("pow", Compared::Other) => {
                    let power = call.arguments.args.get(usize::from(of_torch))?;
                    if integer(power) != Some(2) {
                        return None;
                    }
                    Compared::Squared
                }
                ("abs", Compared::Other) => Compared::Absolute,
                _ => return None,
            };
            compared(site, inner, next, depth + 1)
        }
        // A difference that is read only here: otherwise it is wanted for itself.
        Expr::Name(name) if count_reads(site.function.body, name.id.as_str()) == 1 => {
            compared(site, site.assigned(name.id.as_str(), name.range)?, how, depth + 1)
        }
        _ => None,
    }
}

fn inserted(expr: &Expr) -> Option<Inserted<'_>> {
    match expr {
        Expr::Call(call) if called_name(call) == "unsqueeze" => {
            let base = receiver(call)?;
            Some(Inserted { base, axis: integer(call.arguments.args.first()?)? })
        }
        Expr::Subscript(subscript) => {
            let axis = match &*subscript.slice {
                Expr::NoneLiteral(_) => 0,
                Expr::Tuple(tuple) => {
                    let mut places = tuple.elts.iter().enumerate();
                    let is_new = |(_, axis): &(usize, &Expr)| axis.is_none_literal_expr();
                    let (place, _) = places.find(is_new)?;
                    if places.any(|place| is_new(&place)) {
                        return None;
                    }
                    let whole = |e: &Expr| match e {
                        Expr::Slice(s) => {
                            s.lower.is_none() && s.upper.is_none() && s.step.is_none()
                        }
                        other => other.is_none_literal_expr() || other.is_ellipsis_literal_expr(),
                    };
                    // `[:, None]` with `[None, :]` are vectors: their pairs are numbers.
                    if !tuple.elts.iter().all(whole) || place == 0 && tuple.elts.len() == 2 {
                        return None;
                    }
                    let place = i64::try_from(place).ok()?;
                    if tuple.elts.first().is_some_and(Expr::is_ellipsis_literal_expr) {
                        place - i64::try_from(tuple.elts.len()).ok()?
                    } else {
                        place
                    }
                }
                _ => return None,
            };
            Some(Inserted { base: &subscript.value, axis })
        }
        _ => None,
    }
}

/// Whether a name says that the vectors are coordinates.
fn is_short(site: &Site<'_, '_>, operand: &Inserted<'_>) -> bool {
    let lower = site.file.slice(operand.base).to_ascii_lowercase();
    let words =
        ["box", "center", "centre", "point", "pts", "coord", "pos", "xyz", "anchor", "atom"];
    words.iter().any(|word| lower.contains(word))
}

/// `keepdim=True`: the axis is wanted.
fn keeps_axis(call: &ExprCall) -> bool {
    let mut keywords = call.arguments.keywords.iter();
    keywords.any(|k| k.arg.as_deref().is_some_and(|arg| arg.starts_with("keepdim")))
}

/// Whether the operands are tensors rather than arrays of NumPy.
fn is_torch(site: &Site<'_, '_>, of_torch: bool) -> bool {
    let text = site.file.slice(site.call.call);
    of_torch
        || keyword(site.call.call, "dim").is_some()
        || [".unsqueeze(", ".pow(", ".square()", ".abs()", ".norm("]
            .iter()
            .any(|word| text.contains(word))
        || !site.file.slice(&site.function.range).contains("np.")
}

fn edit(
    project: &Project<'_>,
    site: &Site<'_, '_>,
    left: &Inserted<'_>,
    right: &Inserted<'_>,
    how: Compared,
) -> Option<oomscope_model::Fix> {
    let call: &ExprCall = site.call.call;
    let adjacent = (left.axis - right.axis).abs() == 1;
    let keeps = call.arguments.keywords.iter().any(|k| k.arg.as_deref() != Some("dim"));
    let imports = &project.index.names(site.function.file)?.imports;
    if !adjacent || keeps || imports.path_of("torch") != Some("torch") {
        return None;
    }
    // The operand with the later axis gives the rows.
    let (rows, columns) = if left.axis > right.axis { (left, right) } else { (right, left) };
    let (rows, columns) = (site.file.slice(rows.base), site.file.slice(columns.base));
    let simple = |text: &str| text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
    if !simple(rows) || !simple(columns) {
        return None;
    }
    let text = match how {
        Compared::Euclidean => format!("torch.cdist({rows}, {columns})"),
        Compared::Squared => format!("torch.cdist({rows}, {columns}).square()"),
        Compared::Absolute => format!("torch.cdist({rows}, {columns}, p=1)"),
        Compared::Product => format!("torch.matmul({rows}, {columns}.transpose(-1, -2))"),
        Compared::Cosine => format!(
            "torch.matmul(torch.nn.functional.normalize({rows}, dim=-1), \
             torch.nn.functional.normalize({columns}, dim=-1).transpose(-1, -2))"
        ),
        Compared::Other => return None,
    };
    Some(fix(FixSafety::Unsafe, format!("use `{text}`"), vec![replace(call.range(), text)]))
}
