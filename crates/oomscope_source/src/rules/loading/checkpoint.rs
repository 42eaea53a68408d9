//! Checkpoints that are loaded and handed to `load_state_dict`, and where their tensors land: shared
//! by the rules on loading.

use compact_str::CompactString;
use oomscope_model::{Edit, Fix, FixSafety};
use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::{Ranged, TextRange};

use crate::edit::{fix, replace};
use crate::facts::{Call, Facts};
use crate::imports::dotted;
use crate::index::Function;
use crate::parse::Parsed;
use crate::placement::{Placement, device_named_by};
use crate::project::Project;
use crate::search::{called_name, contains, each_stmt, reads_name};
use crate::sites::Site;

/// Where a loaded tensor lands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Landing {
    /// On the device that saved it: no `map_location`, or `None`.
    AsSaved,
    /// On a device that `map_location` names.
    OnDevice,
}

/// A checkpoint that a module takes.
pub(super) struct Checkpoint<'p, 'a> {
    pub(super) site: Site<'p, 'a>,
    pub(super) landing: Landing,
    /// The call that hands it to the module.
    pub(super) taker: &'a ExprCall,
    /// What keeps it on the device while training runs: the loop or the attribute.
    pub(super) kept: Option<TextRange>,
    /// What decides it: the load, or the `None` that a name of `map_location` was given.
    pub(super) decided: TextRange,
    map_location: Option<&'a Expr>,
}

/// Every checkpoint of the project that lands on a device beside the module that takes it.
pub(super) fn checkpoints_on_device<'p, 'a>(project: &'p Project<'a>) -> Vec<Checkpoint<'p, 'a>> {
    let loads = project.calls_named(&["load"]);
    let loads = loads.filter(|load| load.call.path.as_deref() == Some("torch.load"));
    loads.filter_map(|load| on_device(project, load)).collect()
}

fn on_device<'p, 'a>(project: &'p Project<'a>, site: Site<'p, 'a>) -> Option<Checkpoint<'p, 'a>> {
    let call = site.call.call;
    let file = project.index.file(site.function.file)?;
    if !runs_on_a_device(file, site.function) {
        return None;
    }
    if !is_plain(call) {
        return None;
    }
    let map_location = map_location(call);
    let landing = landing(site.facts, site.function, map_location)?;
    let assigned = map_location.and_then(|expr| none_of(site.facts, expr));
    let decided = assigned.map_or(call.range(), Ranged::range);
    let map_location = assigned.or(map_location);
    let names = names_of(site.facts, call);
    let taker = taker_of(project, site.facts, call, &names)?;
    let kept = kept_over(project, &site, taker, &names);
    Some(Checkpoint { site, landing, taker, kept, decided, map_location })
}

impl Checkpoint<'_, '_> {
    /// `map_location="cpu"`; unsafe where a name keeps the checkpoint, whose tensors may be used
    /// otherwise too.
    pub(super) fn load_to_host(&self, file: &Parsed) -> Fix {
        let call = self.site.call.call;
        let is_nested = self.taker.range().contains_range(call.range());
        let safety = if is_nested { FixSafety::Safe } else { FixSafety::Unsafe };
        let edit = match self.map_location {
            Some(expr) => replace(expr.range(), "\"cpu\""),
            None => added(file, call),
        };
        fix(safety, "load to the host", vec![edit])
    }
}

fn added(file: &Parsed, call: &ExprCall) -> Edit {
    let end = call.arguments.range().end().to_usize().saturating_sub(1);
    let has_comma = file.text.get(..end).is_some_and(|text| text.trim_end().ends_with(','));
    let comma = if has_comma { " " } else { ", " };
    Edit { start: end, end, text: format!("{comma}map_location=\"cpu\"") }
}

/// A file that names no device works on the host; a converter writes another file.
fn runs_on_a_device(file: &Parsed, function: &Function<'_>) -> bool {
    let names = ["cuda", "device", "accelerat", "gpu", "ddp", "distributed"];
    let converts = |text: &str| {
        let lower = text.to_ascii_lowercase();
        ["convert", "export", "migrat", "merge", "upgrade", "consolidat"]
            .iter()
            .any(|word| lower.contains(word))
    };
    let path = file.path.rsplit(['/', '\\']).next().unwrap_or(&file.path);
    names.iter().any(|name| file.text.contains(name))
        // Full states of sharded models are gathered on the host before they are saved.
        && !["fsdp", "fully_sharded"].iter().any(|word| file.path.to_ascii_lowercase().contains(word))
        && !converts(path)
        && !converts(&function.qualified)
}

/// Whether the arguments can be known, and the file is not mapped, which stays on the host.
fn is_plain(call: &ExprCall) -> bool {
    !call.arguments.args.iter().any(Expr::is_starred_expr)
        && call
            .arguments
            .keywords
            .iter()
            .all(|keyword| keyword.arg.as_ref().is_some_and(|arg| arg.as_str() != "mmap"))
}

fn map_location(call: &ExprCall) -> Option<&Expr> {
    let keywords = &call.arguments.keywords;
    let named =
        keywords.iter().find(|k| k.arg.as_ref().is_some_and(|arg| arg.as_str() == "map_location"));
    named.map(|keyword| &keyword.value).or_else(|| call.arguments.args.get(1))
}

fn landing(
    facts: &Facts<'_>,
    function: &Function<'_>,
    map_location: Option<&Expr>,
) -> Option<Landing> {
    let Some(expr) = map_location else { return Some(Landing::AsSaved) };
    match expr {
        Expr::NoneLiteral(_) => Some(Landing::AsSaved),
        Expr::Name(name) => {
            let assigned = || {
                let to_name = |target: &Expr| matches!(target, Expr::Name(n) if n.id == name.id);
                facts.assignments.iter().filter(move |one| to_name(one.target))
            };
            let is_host = |expr: &Expr| device_named_by(expr) == Some(Placement::Host);
            let has_none = assigned().any(|one| one.value.is_none_literal_expr());
            let only_none_or_host =
                assigned().all(|one| one.value.is_none_literal_expr() || is_host(one.value));
            if has_none && only_none_or_host {
                return Some(Landing::AsSaved);
            }
            let may_be_host = assigned().any(|one| is_host(one.value))
                || default_of(function, name.id.as_str()).is_some();
            (!may_be_host && device_named_by(expr) == Some(Placement::Device))
                .then_some(Landing::OnDevice)
        }
        Expr::Lambda(lambda) => {
            let moves = contains(
                &lambda.body,
                |inner| matches!(inner, Expr::Call(call) if called_name(call) == "cuda"),
            );
            moves.then_some(Landing::OnDevice)
        }
        Expr::Dict(dict) => dict
            .items
            .iter()
            .any(|item| device_named_by(&item.value) == Some(Placement::Device))
            .then_some(Landing::OnDevice),
        other => (device_named_by(other) == Some(Placement::Device)).then_some(Landing::OnDevice),
    }
}

/// The `None` that a name is given.
fn none_of<'a>(facts: &Facts<'a>, name: &Expr) -> Option<&'a Expr> {
    let Expr::Name(name) = name else { return None };
    let to_name = |target: &Expr| matches!(target, Expr::Name(n) if n.id == name.id);
    let given = facts.assignments.iter().filter(|one| to_name(one.target)).map(|one| one.value);
    given.into_iter().find(|value| value.is_none_literal_expr())
}

/// The default of a parameter that is a text or `None`: the caller may mean the host.
fn default_of<'a>(function: &Function<'a>, name: &str) -> Option<&'a Expr> {
    let parameters = function.parameters?;
    let mut named = parameters.iter_non_variadic_params();
    let parameter = named.find(|parameter| parameter.parameter.name.as_str() == name)?;
    parameter.default.as_deref()
}

/// The names that hold what was loaded, or a part of it.
fn names_of(facts: &Facts<'_>, load: &ExprCall) -> Vec<CompactString> {
    let mut names: Vec<CompactString> = Vec::new();
    for assignment in &facts.assignments {
        let from_load = assignment.value.range().contains_range(load.range());
        let from_name = names
            .iter()
            .any(|name| name.split('.').next().is_some_and(|n| reads_name(assignment.value, n)));
        if (from_load || from_name)
            && let Some(name) = dotted(assignment.target)
        {
            names.push(name);
        }
        if names.len() > 16 {
            break;
        }
    }
    names
}

/// The call that hands the checkpoint to a module: `load_state_dict`, or a function that calls it.
fn taker_of<'a>(
    project: &Project<'a>,
    facts: &Facts<'a>,
    load: &ExprCall,
    names: &[CompactString],
) -> Option<&'a ExprCall> {
    let takes = |call: &Call<'a>| {
        call.call.arguments.args.iter().any(|argument| {
            contains(argument, |inner| {
                inner.range() == load.range()
                    || dotted(inner).is_some_and(|path| names.contains(&path))
            })
        })
    };
    let takers = facts.calls.iter().filter(|call| match call.name {
        "load_state_dict" => !takes_a_few_numbers(call.call),
        _ => call.callee.is_some_and(|callee| {
            project.facts.get(callee.0 as usize).is_some_and(|facts| {
                facts.calls.iter().any(|inner| {
                    called_name(inner.call) == "load_state_dict"
                        && !takes_a_few_numbers(inner.call)
                        && inner.arguments.iter().any(|(_, value)| !value.params.is_empty())
                })
            })
        }),
    });
    takers.into_iter().find(|call| takes(call)).map(|call| call.call)
}

/// Whether what takes the state holds numbers, or states that it copies one by one.
fn takes_a_few_numbers(taker: &ExprCall) -> bool {
    let Expr::Attribute(attribute) = &*taker.func else { return false };
    let holder = match &*attribute.value {
        Expr::Subscript(subscript) => dotted(&subscript.value),
        other => dotted(other),
    };
    let holder = holder.unwrap_or_default().to_ascii_lowercase();
    let last = holder.rsplit('.').next().unwrap_or(&holder);
    [
        "scaler", "sched", "sampler", "loader", "opt", "metric", "norm", "rms", "state", "meter",
        "trainer",
    ]
    .iter()
    .any(|word| last.contains(word))
}

/// The loop over which a named checkpoint stays alive, or the attribute that keeps it.
fn kept_over(
    project: &Project<'_>,
    site: &Site<'_, '_>,
    taker: &ExprCall,
    names: &[CompactString],
) -> Option<TextRange> {
    let call = site.call.call;
    let holder = site.facts.assignments.iter().find(|a| a.value.range() == call.range())?;
    let name = dotted(holder.target)?;
    if !names.contains(&name) || site.call.in_loop.is_some() {
        return None;
    }
    let is_dropped = || {
        let mut dropped = site.facts.assignments.iter().any(|other| {
            other.range.start() > taker.end()
                && dotted(other.target).as_deref() == Some(name.as_str())
        });
        each_stmt(site.function.body, &mut |stmt| {
            if let ruff_python_ast::Stmt::Delete(delete) = stmt {
                dropped |=
                    delete.targets.iter().any(|t| dotted(t).as_deref() == Some(name.as_str()));
            }
        });
        dropped
    };
    let loops = site.facts.loops.iter();
    let trains = loops.filter(|l| l.has_backward && l.range.start() > taker.end());
    let trains = trains.map(|l| l.range).next().or_else(|| {
        let later = site.facts.calls.iter().filter(|c| c.call.start() > taker.end());
        let mut training = later.filter(|c| {
            c.callee
                .and_then(|callee| project.summaries.get(&callee))
                .is_some_and(|summary| summary.runs_backward)
        });
        training.next().map(|c| c.call.range())
    })?;
    (!is_dropped()).then_some(trains)
}
