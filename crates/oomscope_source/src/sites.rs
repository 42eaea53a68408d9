//! Calls by the name of what they call: a rule looks up the few it wants.

use oomscope_model::{Finding, Held, Severity};
use ruff_python_ast::Expr;
use ruff_text_size::{Ranged, TextRange};
use rustc_hash::FxHashMap;

use crate::facts::{Call, Facts};
use crate::index::{FileId, Function, FunctionId};
use crate::parse::Parsed;
use crate::project::Project;
use crate::report::{Report, report, short, step};
use crate::rules::Rule;
use crate::search::{reads_name, runs_before};

/// Where the calls of a name are: the function, and the number among its calls.
pub(crate) type CallsByName<'a> = FxHashMap<&'a str, Vec<(FunctionId, usize)>>;

/// A call with what is around it.
#[derive(Clone, Copy)]
pub(crate) struct Site<'p, 'a> {
    pub(crate) id: FunctionId,
    pub(crate) function: &'p Function<'a>,
    pub(crate) facts: &'p Facts<'a>,
    pub(crate) file: &'a Parsed,
    pub(crate) call: &'p Call<'a>,
}

/// Sorts the calls of all functions by name.
pub(crate) fn calls_by_name<'a>(facts: &[Facts<'a>]) -> CallsByName<'a> {
    let mut calls: CallsByName<'a> = FxHashMap::default();
    for (id, facts) in (0u32..).map(FunctionId).zip(facts) {
        for (number, call) in facts.calls.iter().enumerate() {
            if !call.name.is_empty() {
                calls.entry(call.name).or_default().push((id, number));
            }
        }
    }
    calls
}

/// Reports what `look` finds at the calls of these names.
pub(crate) fn report_calls<'a>(
    project: &Project<'a>,
    rule: &Rule,
    names: &[&str],
    findings: &mut Vec<(FileId, Finding)>,
    look: impl Fn(&Project<'a>, &Site<'_, 'a>) -> Option<Report>,
) {
    for site in project.calls_named(names) {
        if let Some(found) = look(project, &site) {
            report(project, rule, found, findings);
        }
    }
}

impl<'a> Project<'a> {
    /// The calls of any of these names, unit tests left out.
    pub(crate) fn calls_named<'p>(
        &'p self,
        names: &'p [&'p str],
    ) -> impl Iterator<Item = Site<'p, 'a>> {
        let found = names.iter().filter_map(|name| self.calls.get(name)).flatten();
        found.filter_map(|(id, number)| self.site(*id, *number))
    }

    /// The calls of names that fulfil a condition, unit tests left out, in the order of the text.
    pub(crate) fn calls_where(&self, wanted: impl Fn(&str) -> bool) -> Vec<Site<'_, 'a>> {
        let names = self.calls.iter().filter(|(name, _)| wanted(name));
        let mut found: Vec<(FunctionId, usize)> =
            names.flat_map(|(_, calls)| calls).copied().collect();
        found.sort_unstable();
        found.into_iter().filter_map(|(id, number)| self.site(id, number)).collect()
    }

    fn site(&self, id: FunctionId, number: usize) -> Option<Site<'_, 'a>> {
        let function = self.index.function(id)?;
        let facts = self.facts.get(id.0 as usize)?;
        let (file, call) = (self.index.file(function.file)?, facts.calls.get(number)?);
        (!function.is_unit_test).then_some(Site { id, function, facts, file, call })
    }
}

impl<'a> Site<'_, 'a> {
    /// The last plain assignment to a name before a place, where it is always run on the way.
    pub(crate) fn assigned(&self, name: &str, before: TextRange) -> Option<&'a Expr> {
        let mut earlier = self.facts.assignments.iter().rev().filter(|assignment| {
            assignment.range.end() <= before.start()
                && matches!(assignment.target, Expr::Name(n) if n.id.as_str() == name)
        });
        let last = earlier.next()?;
        runs_before(self.function.body, last.range, before).then_some(last.value)
    }

    /// What an expression is, one assignment followed where it is a name.
    pub(crate) fn followed(&self, expr: &'a Expr) -> &'a Expr {
        match expr {
            Expr::Name(name) => self.assigned(name.id.as_str(), name.range).unwrap_or(expr),
            other => other,
        }
    }

    /// The name that the value of this call is assigned to.
    pub(crate) fn result_name(&self) -> Option<&'a str> {
        let call = self.call.call;
        self.facts.assignments.iter().find_map(|assignment| {
            match (assignment.target, assignment.value) {
                (Expr::Name(name), Expr::Call(value)) if std::ptr::eq(value, call) => {
                    Some(name.id.as_str())
                }
                _ => None,
            }
        })
    }

    /// Whether the resolved path of the called thing ends so: `torch.compile`.
    pub(crate) fn path_is(&self, path: &str) -> bool {
        self.call.path.as_deref() == Some(path)
    }

    /// The source of a node, short, for messages.
    pub(crate) fn short(&self, node: &impl Ranged) -> String {
        short(self.file.slice(node))
    }

    /// A finding at this call whose path is one step.
    pub(crate) fn found(
        &self,
        project: &Project<'_>,
        (severity, held): (Severity, Held),
        message: String,
        why: impl Into<String>,
    ) -> Report {
        let range = self.call.call.range();
        Report {
            function: self.id,
            range,
            severity,
            held,
            message,
            path: step(project, self.id, range, why.into()).into_iter().collect(),
            fix: None,
        }
    }

    /// Whether the innermost loop around the call goes over data, steps or epochs, and nothing
    /// in the call depends on what the loop hands out.
    pub(crate) fn repeats_the_same(&self) -> bool {
        let Some(around) = self.call.in_loop.and_then(|n| self.facts.loops.get(n)) else {
            return false;
        };
        let made_inside = |expr: &Expr| {
            let mut inside = self.facts.assignments.iter().filter(|assignment| {
                around.range.contains_range(assignment.range)
                    && !assignment.range.contains_range(expr.range())
            });
            inside.any(|assignment| match assignment.target {
                Expr::Name(name) => reads_name(expr, name.id.as_str()),
                _ => false,
            })
        };
        around.over_data
            && !self
                .call
                .call
                .arguments
                .args
                .iter()
                .any(|argument| made_inside(argument) || self.reads_loop_target(argument))
    }

    /// Whether an expression reads a name that a `for` around the call binds.
    fn reads_loop_target(&self, expr: &Expr) -> bool {
        let mut loops = self.facts.loops_around(self.call.in_loop);
        loops.any(|(_, around)| {
            let header = self.file.text.get(around.range.start().to_usize()..);
            let header = header.and_then(|text| text.split_once(':')).map_or("", |(head, _)| head);
            let targets = header.split_once(" in ").map_or("", |(targets, _)| targets);
            targets
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(|word| !matches!(word, "" | "for" | "async") && reads_name(expr, word))
        })
    }
}
