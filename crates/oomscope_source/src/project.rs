//! The passes over all files, and what the rules see of them.

use std::sync::Arc;

use oomscope_model::{Finding, FunctionFact, GradMode, SourceFile};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use ruff_python_ast::Expr;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::Wanted;
use crate::apply::apply;
use crate::callers::{CallSite, CallSites, call_sites, declared_mode, repeated, resolve_modes};
use crate::facts::{Container, Facts, Mode, Summary};
use crate::imports::{last_of_dotted, last_part};
use crate::index::{FileId, Function, FunctionId, Index, index};
use crate::parse::Parsed;
use crate::rounds::Rounds;
use crate::rules::{Rule, rules};
use crate::sites::{CallsByName, calls_by_name};
use crate::store::is_bounded_queue;
use crate::torch_api;

/// Everything that the rules read.
pub(crate) struct Project<'a> {
    pub(crate) index: Index<'a>,
    pub(crate) facts: Vec<Facts<'a>>,
    /// All calls by the last name of what they call.
    pub(crate) calls: CallsByName<'a>,
    pub(crate) summaries: FxHashMap<FunctionId, Arc<Summary<'a>>>,
    pub(crate) modes: FxHashMap<FunctionId, Mode>,
    pub(crate) sites: CallSites,
    pub(crate) repeated: FxHashMap<FunctionId, CallSite>,
    /// Attributes whose values reach a backward, by last name.
    pub(crate) consumed_attributes: FxHashSet<&'a str>,
    /// Containers whose elements are read as tensors, by last name.
    pub(crate) read_as_tensors: FxHashSet<&'a str>,
    /// Containers that lose elements or are made anew after their object was made, by last name.
    pub(crate) emptied: FxHashSet<&'a str>,
    /// Attributes with several assignments after their object was made, or detached in place, by
    /// last name.
    pub(crate) rewritten: FxHashSet<&'a str>,
    /// Attributes with any assignment after their object was made, by last name.
    pub(crate) reassigned: FxHashSet<&'a str>,
    /// Queues of a fixed length, by last name.
    pub(crate) bounded: FxHashSet<&'a str>,
}

/// Analyses parsed files; the texts of the result are left empty.
pub(crate) fn analyse_parsed(parsed: &[Parsed], wanted: Wanted) -> Vec<SourceFile> {
    let project = build(parsed, wanted);
    let facts_too = wanted == Wanted::Evidence;
    let mut files: Vec<SourceFile> = (0u32..)
        .zip(parsed)
        .map(|(number, file)| SourceFile {
            path: file.path.clone(),
            text: String::new(),
            functions: if facts_too {
                function_facts(&project, FileId(number))
            } else {
                Vec::new()
            },
            grad_off: if facts_too { grad_off(&project, FileId(number)) } else { Vec::new() },
            findings: Vec::new(),
        })
        .collect();
    let all: Vec<&Rule> = rules().collect();
    let findings: Vec<Vec<(FileId, Finding)>> = all
        .par_iter()
        .map(|rule| {
            let mut findings = Vec::new();
            (rule.check)(&project, &mut findings);
            findings
        })
        .collect();
    for (file, mut finding) in findings.into_iter().flatten() {
        // Where the syntax is wrong, what the parser recovered may overlap or lie beyond the text.
        if let Some(parsed) = project.index.file(file).filter(|parsed| parsed.problem.is_some()) {
            finding.fix = finding.fix.filter(|fix| apply(&parsed.text, &fix.edits).is_some());
        }
        if let Some(file) = files.get_mut(file.0 as usize) {
            file.findings.push(finding);
        }
    }
    for file in &mut files {
        file.findings.sort_by(|a, b| {
            (a.place.line, a.column, a.rule).cmp(&(b.place.line, b.column, b.rule))
        });
        file.findings.dedup_by(|a, b| a.rule == b.rule && a.place.line == b.place.line);
    }
    files
}

/// Rounds of walks before the callers' grad modes are settled: what is learnt travels one file further
/// with each.
const LEARNING_ROUNDS: usize = 2;

fn build(parsed: &[Parsed], wanted: Wanted) -> Project<'_> {
    let index = index(parsed, wanted);
    let declared = index.function_ids().filter_map(|id| Some((id, declared_mode(&index, id)?)));
    let mut rounds = Rounds::new(&index, declared.collect());
    // What functions return and classes keep is learnt first; callers' grad modes come from that.
    for _ in 0..LEARNING_ROUNDS {
        if rounds.walk(&index) == 0 {
            break;
        }
    }
    let sites = call_sites(&index, rounds.facts());
    rounds.settle_modes(resolve_modes(&index, &sites));
    rounds.walk(&index);
    let (facts, summaries, modes) = rounds.finish();
    let sites = call_sites(&index, index.function_ids().zip(&facts));
    let repeated = repeated(&index, &sites);
    let consumed_attributes = container_names(&facts, |_, _, container| container.consumed);
    // Higher numbers share a place in the set.
    let read_as_tensors = container_names(&facts, |facts, number, _| {
        number < 63 && facts.read_as_tensors.contains(number)
    });
    let emptied = emptied(&index, &facts);
    let (reassigned, rewritten) = rewritten(&index, &facts);
    let bounded = bounded(&facts);
    let calls = calls_by_name(&facts);
    Project {
        index,
        facts,
        calls,
        summaries,
        modes,
        sites,
        repeated,
        consumed_attributes,
        read_as_tensors,
        emptied,
        rewritten,
        reassigned,
        bounded,
    }
}

/// Lines of a file's blocks in which autograd is switched off.
fn grad_off(project: &Project<'_>, file: FileId) -> Vec<(u32, u32)> {
    let Some(parsed) = project.index.file(file) else { return Vec::new() };
    let mut lines: Vec<(u32, u32)> = project
        .functions_of(file)
        .flat_map(|(_, _, facts)| &facts.grad_off)
        .map(|range| parsed.line_span(*range))
        .collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

/// Last names of the containers of all functions that fulfil a condition.
fn container_names<'a>(
    facts: &[Facts<'a>],
    condition: impl Fn(&Facts<'a>, usize, &Container<'a>) -> bool,
) -> FxHashSet<&'a str> {
    let mut names = FxHashSet::default();
    for facts in facts {
        let containers = facts.containers.iter().enumerate();
        let wanted = containers.filter(|(number, container)| condition(facts, *number, container));
        names.extend(wanted.map(|(_, container)| last_part(container.name)));
    }
    names
}

fn emptied<'a>(index: &Index<'a>, facts: &[Facts<'a>]) -> FxHashSet<&'a str> {
    index
        .functions
        .iter()
        .zip(facts)
        .filter(|(function, _)| function.name != "__init__")
        .flat_map(|(_, facts)| facts.emptied.iter().copied())
        .collect()
}

/// Attributes that are assigned after their object was made: at all, and more than once.
fn rewritten<'a>(
    index: &Index<'a>,
    facts: &[Facts<'a>],
) -> (FxHashSet<&'a str>, FxHashSet<&'a str>) {
    let mut assigned: FxHashSet<&'a str> = FxHashSet::default();
    // A function that takes the value and returns nothing, `detach_all(self.state)`, or a method.
    let mut again = container_names(facts, |facts, number, _| {
        number < 63
            && facts.calls.iter().any(|call| {
                let mut given = call.arguments.iter().map(|(_, value)| value);
                call.is_statement && given.any(|value| value.containers.contains(number))
                    || call.name == "detach_"
                        && call.receiver.as_ref().is_some_and(|r| r.containers.contains(number))
            })
    });
    let later = index.functions.iter().zip(facts).filter(|(f, _)| f.name != "__init__");
    for assignment in later.flat_map(|(_, facts)| &facts.assignments) {
        let targets = match assignment.target {
            Expr::Tuple(tuple) => tuple.elts.as_slice(),
            Expr::List(list) => list.elts.as_slice(),
            one => std::slice::from_ref(one),
        };
        for target in targets {
            if let Expr::Attribute(attribute) = target
                && !assigned.insert(attribute.attr.as_str())
            {
                again.insert(attribute.attr.as_str());
            }
        }
    }
    (assigned, again)
}

fn bounded<'a>(facts: &[Facts<'a>]) -> FxHashSet<&'a str> {
    facts
        .iter()
        .flat_map(|facts| &facts.assignments)
        .filter(|assignment| is_bounded_queue(assignment.value))
        .filter_map(|assignment| last_of_dotted(assignment.target))
        .collect()
}

impl<'a> Project<'a> {
    /// Every function with its facts.
    pub(crate) fn functions(
        &self,
    ) -> impl Iterator<Item = (FunctionId, &Function<'a>, &Facts<'a>)> {
        self.index
            .function_ids()
            .zip(&self.facts)
            .filter_map(|(id, facts)| self.index.function(id).map(|function| (id, function, facts)))
    }

    /// A file's functions with their facts, its own statements first.
    pub(crate) fn functions_of(
        &self,
        file: FileId,
    ) -> impl Iterator<Item = (FunctionId, &Function<'a>, &Facts<'a>)> {
        self.index
            .functions_of(file)
            .filter_map(|id| Some((id, self.index.function(id)?, self.facts.get(id.0 as usize)?)))
    }

    /// Grad mode of a function's body, its callers considered.
    pub(crate) fn grad_mode(&self, id: FunctionId) -> GradMode {
        match self.modes.get(&id) {
            Some(Mode::Off) => GradMode::Off,
            Some(Mode::On) => GradMode::Recording,
            Some(Mode::Inherited | Mode::Unknown) | None => GradMode::Unknown,
        }
    }

    /// Whether autograd is off wherever a function runs: as far as its callers are known, or,
    /// where none is, at all calls of something of its name.
    pub(crate) fn runs_without_grad(&self, id: FunctionId) -> bool {
        self.is_off_by_name(id, 3)
    }

    fn is_off_by_name(&self, id: FunctionId, left: usize) -> bool {
        match self.modes.get(&id) {
            Some(Mode::Off) => return true,
            Some(Mode::On) => return false,
            Some(Mode::Inherited | Mode::Unknown) | None => {}
        }
        let (Some(function), Some(left)) = (self.index.function(id), left.checked_sub(1)) else {
            return false;
        };
        if self.sites.contains_key(&id) || function.class.is_none() || function.name == "forward" {
            return false;
        }
        let Some(calls) = self.calls.get(function.name).filter(|calls| calls.len() <= 32) else {
            return false;
        };
        let mut others = calls.iter().filter(|(caller, _)| *caller != id).peekable();
        others.peek().is_some()
            && others.all(|(caller, number)| {
                let call = self.facts.get(caller.0 as usize).and_then(|f| f.calls.get(*number));
                call.is_some_and(|call| match call.mode {
                    Mode::Off => true,
                    Mode::Inherited => self.is_off_by_name(*caller, left),
                    Mode::On | Mode::Unknown => false,
                })
            })
    }

    /// Whether a function evaluates, by its name or by what it calls.
    pub(crate) fn evaluates(&self, id: FunctionId) -> bool {
        let (Some(function), Some(facts)) =
            (self.index.function(id), self.facts.get(id.0 as usize))
        else {
            return false;
        };
        !facts.runs_backward
            && (torch_api::names_an_evaluation(function.name)
                || facts.calls_eval && !facts.calls_train
                || self.is_method_of_evaluator(function))
    }

    /// Whether the function's class puts its network into `eval()` when made and never trains it.
    fn is_method_of_evaluator(&self, function: &Function<'_>) -> bool {
        let Some(class) = function.class else { return false };
        let facts = |id: &FunctionId| self.facts.get(id.0 as usize);
        let methods = self.index.class(class).map(|class| &class.methods);
        !self.index.is_module_class(class)
            && function.name != "__init__"
            && methods.is_some_and(|methods| {
                methods.get("__init__").and_then(facts).is_some_and(|f| f.calls_eval)
                    && methods.values().filter_map(facts).all(|f| !f.runs_backward)
            })
    }

    /// Whether a file or function measures or demonstrates: what it keeps, it keeps for a moment.
    pub(crate) fn is_benchmark(&self, function: &Function<'_>) -> bool {
        let Some(file) = self.index.file(function.file) else { return false };
        let says = |text: &str| {
            text.split(['/', '\\', '_', '.']).any(|word| {
                matches!(word, "benchmark" | "benchmarks" | "bench" | "profile" | "profiling")
            })
        };
        says(&file.path) || says(function.name)
    }

    /// Whether a file uses another framework than PyTorch.
    pub(crate) fn is_of_another_framework(&self, function: &Function<'_>) -> bool {
        let Some(names) = self.index.names(function.file) else { return false };
        let imports = |name: &str| names.imports.path_of(name).is_some();
        !imports("torch")
            && ["mxnet", "mx", "tensorflow", "tf", "jax", "paddle"].iter().any(|name| imports(name))
    }
}

/// Whether the function is a module's forward, or computes a loss for somebody else's backward.
pub(crate) fn feeds_backward(function: &Function<'_>, facts: &Facts<'_>) -> bool {
    if facts.runs_backward {
        return false;
    }
    let lower = function.name.to_ascii_lowercase();
    matches!(function.name, "forward" | "__call__" | "training_step" | "closure")
        || lower.starts_with("forward")
        || lower.contains("loss") && !lower.contains("eval") && !lower.contains("val_")
}

fn function_facts(project: &Project<'_>, file: FileId) -> Vec<FunctionFact> {
    let Some(parsed) = project.index.file(file) else { return Vec::new() };
    let mut result: Vec<FunctionFact> = project
        .functions_of(file)
        .filter(|(_, function, _)| function.parent.is_some())
        .map(|(id, function, facts)| FunctionFact {
            name: function.qualified.clone(),
            lines: parsed.line_span(function.range),
            grad_mode: project.grad_mode(id),
            runs_backward: !facts.backwards.is_empty(),
            evaluates: project.evaluates(id),
        })
        .collect();
    result.sort_by_key(|fact| (fact.lines.0, u32::MAX - fact.lines.1));
    result
}
