//! Whether a call runs in every step of training or of a walk over a data set: shared by the rules
//! on emptying the cache and on collecting garbage.

use oomscope_model::PathStep;
use ruff_python_ast::{Expr, Stmt};
use ruff_text_size::{Ranged, TextRange};

use crate::facts::{Facts, Loop};
use crate::index::Function;
use crate::project::Project;
use crate::report::{short, step};
use crate::search::{Placed, called_name, each_call, statements_around};
use crate::sites::Site;
use crate::torch_api;

/// Why every step runs the call; none where it runs now and then.
pub(super) fn step_around(project: &Project<'_>, site: &Site<'_, '_>) -> Option<PathStep> {
    if is_measurement(project, site) {
        return None;
    }
    let Some(innermost) = site.call.in_loop else {
        let what = format!("`{}` runs in every step", site.function.name);
        let found = is_step_by_name(project, site.function) && is_unconditional(project, site);
        return if found { step(project, site.id, site.function.range, what) } else { None };
    };
    let this = site.facts.loops.get(innermost)?;
    let what = format!("every iteration over `{}`", short(this.what));
    is_in_step_loop(project, site, innermost, this)?
        .then(|| step(project, site.id, this.range, what))?
}

/// The methods that frameworks call for each batch.
fn is_step_by_name(project: &Project<'_>, function: &Function<'_>) -> bool {
    let in_module = || function.class.is_some_and(|class| project.index.is_module_class(class));
    matches!(function.name, "training_step" | "validation_step" | "test_step" | "train_step")
        && function.class.is_some()
        || function.name == "forward" && in_module()
}

fn is_unconditional(project: &Project<'_>, site: &Site<'_, '_>) -> bool {
    let around = statements_around(site.function.body, site.call.call.range());
    around.iter().all(|placed| passes(project, site, placed) == Some(true))
}

/// Whether a statement around the call lets every step through; none where that is not known.
fn passes(project: &Project<'_>, site: &Site<'_, '_>, placed: &Placed<'_>) -> Option<bool> {
    if frees_a_network(placed) {
        return Some(false);
    }
    let at = site.call.call.range();
    Some(match placed.stmt {
        Stmt::Expr(_) | Stmt::With(_) => true,
        Stmt::If(branch) => {
            let file = project.index.file(site.function.file)?;
            asks_for_device(file.slice(&*branch.test)) && contains(&branch.body, at)
        }
        // Work that may be tried again frees before or after each try.
        Stmt::Try(attempt) => attempt.handlers.is_empty(),
        _ => false,
    })
}

fn is_in_step_loop(
    project: &Project<'_>,
    site: &Site<'_, '_>,
    innermost: usize,
    this: &Loop,
) -> Option<bool> {
    let file = project.index.file(site.function.file)?;
    for placed in statements_around(site.function.body, site.call.call.range()) {
        if placed.stmt.range() != this.range {
            if !passes(project, site, &placed)? {
                return None;
            }
            continue;
        }
        let (target, body) = match placed.stmt {
            Stmt::For(s) => (file.slice(&*s.target), &s.body),
            Stmt::While(s) => ("", &s.body),
            _ => return None,
        };
        return Some(is_step(site.facts, innermost, this, target, body));
    }
    None
}

/// A benchmark or a memory test frees between its runs on purpose.
fn is_measurement(project: &Project<'_>, site: &Site<'_, '_>) -> bool {
    let path = project.index.file(site.function.file).map_or("", |file| &file.path);
    [path, &site.function.qualified].iter().any(|text| {
        let lower = text.to_ascii_lowercase();
        ["bench", "profil", "measure", "memory"].iter().any(|word| lower.contains(word))
    })
}

fn asks_for_device(test: &str) -> bool {
    let lower = test.to_ascii_lowercase();
    ["is_available", "cuda", "device", "gpu"].iter().any(|word| lower.contains(word))
        && !["%", "<", ">", "memory", "empty", "clear", "is not none"]
            .iter()
            .any(|word| lower.contains(word))
}

fn contains(block: &[Stmt], at: TextRange) -> bool {
    block.iter().any(|stmt| stmt.range().contains_range(at))
}

/// Whether a network dies or leaves the device earlier in the same block: then its memory is
/// worth returning.
fn frees_a_network(placed: &Placed<'_>) -> bool {
    if matches!(placed.stmt, Stmt::For(_) | Stmt::While(_)) {
        return false;
    }
    let names_one = |expr: &Expr| match expr {
        Expr::Name(name) => is_heavy(name.id.as_str()),
        Expr::Attribute(attribute) => is_heavy(attribute.attr.as_str()),
        _ => false,
    };
    placed.block.iter().take(placed.index).any(|stmt| match stmt {
        Stmt::Delete(s) => s.targets.iter().any(names_one),
        Stmt::Assign(s) => {
            s.value.is_none_literal_expr() && s.targets.iter().any(names_one)
                || moves_network(&s.value, names_one)
        }
        Stmt::Expr(s) => moves_network(&s.value, names_one),
        _ => false,
    })
}

fn is_heavy(name: &str) -> bool {
    torch_api::names_a_network(name)
        || ["pipe", "optim", "engine", "trainer", "adapter", "learner"]
            .iter()
            .any(|word| name.to_ascii_lowercase().contains(word))
}

fn moves_network(expr: &Expr, names_one: impl Fn(&Expr) -> bool) -> bool {
    let Expr::Call(call) = expr else { return false };
    let Expr::Attribute(attribute) = &*call.func else { return false };
    matches!(attribute.attr.as_str(), "cpu" | "to") && names_one(&attribute.value)
}

/// Whether one iteration is one step: it holds a model call, a backward or an optimizer's step
/// itself, or goes over batches. A loop over epochs, runs or models is none.
fn is_step(facts: &Facts<'_>, number: usize, this: &Loop, target: &str, body: &[Stmt]) -> bool {
    let over = format!("{target} {}", this.what).to_ascii_lowercase();
    let is_outer =
        ["epoch", "fold", "trial", "seed", "run", "experiment", "config", "task", "model"]
            .iter()
            .any(|word| over.contains(word));
    let steps = facts.calls.iter().any(|call| {
        call.in_loop == Some(number)
            && call.name == "step"
            && matches!(&*call.call.func, Expr::Attribute(a)
                if crate::imports::dotted(&a.value).is_some_and(|p| p.contains("opt")))
    });
    if steps {
        return true;
    }
    let trains_inside = facts.loops.iter().any(|inner| {
        inner.parent == Some(number)
            && (inner.has_backward || inner.what.to_ascii_lowercase().contains("loader"))
    });
    let retries = || {
        let handles = |stmt: &Stmt| matches!(stmt, Stmt::Try(s) if !s.handlers.is_empty());
        target.is_empty() && body.iter().any(handles)
    };
    if is_outer && !over.contains("loader") || trains_inside || retries() {
        return false;
    }
    let computes = facts.model_calls.iter().any(|call| call.in_loop == Some(number))
        || facts.backwards.iter().any(|backward| backward.in_loop == Some(number));
    computes
        || over.contains("loader")
        || over.replace("batch_size", "").contains("batch")
        || makes_a_batch(body)
}

/// `batch = texts[start:end]`, or the next one of a loader.
fn makes_a_batch(body: &[Stmt]) -> bool {
    let takes_next = |body: &[Stmt]| {
        let mut found = false;
        each_call(body, &mut |call| {
            let holder = call.arguments.args.first().and_then(crate::imports::dotted);
            let receiver = match &*call.func {
                Expr::Attribute(attribute) => crate::imports::dotted(&attribute.value),
                _ => None,
            };
            found |= called_name(call) == "next"
                && holder
                    .or(receiver)
                    .is_some_and(|name| name.to_ascii_lowercase().contains("loader"));
        });
        found
    };
    body.iter().any(|stmt| match stmt {
        Stmt::Assign(s) => s
            .targets
            .iter()
            .any(|target| matches!(target, Expr::Name(name) if name.id.as_str().contains("batch"))),
        _ => false,
    }) || takes_next(body)
}
