//! OOM705: a tensor is copied once for each of its own rows.

use oomscope_model::{Cause, Finding, Held, Severity};
use ruff_python_ast::Expr;

use crate::imports::dotted;
use crate::index::FileId;
use crate::project::Project;
use crate::report::Report;
use crate::rules::{Group, Rule};
use crate::search::{argument, called_name, integer, keyword, receiver};
use crate::sites::{Site, report_calls};

pub(crate) const RULE: Rule = Rule {
    id: "OOM705",
    name: "quadratic-repeat",
    group: Group::Intermediates,
    cause: Cause::OversizedAllocation,
    severity: Severity::Warning,
    doc: include_str!("quadratic_repeat.md"),
    check,
};

fn check(project: &Project<'_>, findings: &mut Vec<(FileId, Finding)>) {
    report_calls(project, &RULE, &["repeat", "repeat_interleave"], findings, look);
}

fn look<'a>(project: &Project<'a>, site: &Site<'_, 'a>) -> Option<Report> {
    let call = site.call.call;
    let repeated = receiver(call)?;
    let (base, inserted) = match repeated {
        Expr::Call(inner) if called_name(inner) == "unsqueeze" => {
            let axis = integer(inner.arguments.args.first()?)?;
            (receiver(inner)?, Some(usize::try_from(axis).ok()?))
        }
        other => (other, None),
    };
    let base = dotted(base)?;
    let by_length = if called_name(call) == "repeat_interleave" {
        let axis =
            usize::try_from(integer(keyword(call, "dim").or(call.arguments.args.get(1))?)?).ok()?;
        let times = argument(call, 0, "repeats")?;
        inserted.is_none() && own_length(site, times, &base)? == axis
    } else {
        let mut counts = call.arguments.args.iter().enumerate();
        let (place, times) = counts.find(|(_, count)| integer(count) != Some(1))?;
        if counts.any(|(_, count)| integer(count) != Some(1)) {
            return None;
        }
        let dimensions = call.arguments.args.len();
        let length = own_length(site, times, &base)?;
        match inserted {
            // `x.unsqueeze(1).repeat(1, len(x), 1)`: a row for each pair of rows.
            Some(axis) => place == axis && dimensions >= 3,
            None => dimensions >= 2 && length == place,
        }
    };
    if !by_length || names_ids(&base) {
        return None;
    }
    let message = format!(
        "`{}` copies `{base}` once for each of its own rows: its size is quadratic",
        site.short(call)
    );
    let why =
        "adding `x[:, None]` and `y[None]` after they are small makes every pair without copies";
    Some(site.found(project, (Severity::Warning, Held::Activations), message, why))
}

/// Which axis of `base` a count is the length of.
fn own_length<'a>(site: &Site<'_, 'a>, count: &'a Expr, base: &str) -> Option<usize> {
    if let Some(axis) = length_of(count, base) {
        return Some(axis);
    }
    let Expr::Name(name) = count else { return None };
    if let Some(value) = site.assigned(name.id.as_str(), name.range) {
        return length_of(value, base);
    }
    // `batch, n, _ = x.shape`
    let mut unpacked = site.facts.assignments.iter().rev().filter_map(|assignment| {
        let Expr::Tuple(targets) = assignment.target else { return None };
        let place = targets
            .elts
            .iter()
            .position(|target| matches!(target, Expr::Name(n) if n.id == name.id))?;
        Some((assignment.value, place))
    });
    let (value, place) = unpacked.next()?;
    let of_shape = match value {
        Expr::Attribute(shape) if shape.attr.as_str() == "shape" => dotted(&shape.value),
        Expr::Call(size) if called_name(size) == "size" && size.arguments.is_empty() => {
            dotted(receiver(size)?)
        }
        _ => None,
    };
    (of_shape.as_deref() == Some(base)).then_some(place)
}

/// The axis whose length is written: `x.size(0)`, `x.size()[0]`, `x.shape[0]`, `len(x)`.
fn length_of(expr: &Expr, base: &str) -> Option<usize> {
    let axis = match expr {
        Expr::Subscript(subscript) => {
            let whole = match &*subscript.value {
                Expr::Attribute(shape) if shape.attr.as_str() == "shape" => &*shape.value,
                Expr::Call(size) if called_name(size) == "size" => receiver(size)?,
                _ => return None,
            };
            (dotted(whole)? == base).then(|| integer(&subscript.slice))??
        }
        Expr::Call(call) if called_name(call) == "size" => {
            (dotted(receiver(call)?)? == base).then(|| integer(call.arguments.args.first()?))??
        }
        Expr::Call(call) if called_name(call) == "len" => {
            (dotted(call.arguments.args.first()?)? == base).then_some(0)?
        }
        _ => return None,
    };
    usize::try_from(axis).ok()
}

/// Labels and positions: their pairs are numbers, not vectors.
fn names_ids(base: &str) -> bool {
    let lower = base.to_ascii_lowercase();
    ["label", "target", "mask", "idx", "index", "ids", "pos", "arange", "range"]
        .iter()
        .any(|word| lower.contains(word))
}
