//! Rounds of walks over all functions, until what they learn of each other stays the same.
//!
//! Files come after those that they import, functions in the order of the text. From the second
//! round on only those are walked again that read something which has changed since.

use std::sync::Arc;

use compact_str::CompactString;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::Wanted;
use crate::environment::Names;
use crate::facts::{Facts, Mode, Summary};
use crate::index::{ClassId, FunctionId, Index};
use crate::value::{Graph, Value, join};
use crate::walk::walk_function;

/// The number of a walk: what was written later than it is news to it.
type Tick = u32;

/// What walks learnt of functions and classes.
pub(crate) struct Learnt {
    summaries: FxHashMap<FunctionId, (Arc<Summary>, Tick)>,
    attributes: FxHashMap<(ClassId, CompactString), (Value, Tick)>,
    /// Final names of functions that hold functions, and of modules.
    outer: FxHashMap<FunctionId, (Names, Tick)>,
    /// Grad mode in which a function runs, by its decorators and callers.
    modes: FxHashMap<FunctionId, Mode>,
    /// Functions that hold functions.
    parents: FxHashSet<FunctionId>,
    now: Tick,
}

/// What a walk asked for, found or not.
#[derive(Default)]
pub(crate) struct Reads {
    summaries: Vec<FunctionId>,
    attributes: Vec<(ClassId, CompactString)>,
    outer: bool,
}

/// The last walk over a function.
struct Walked<'a> {
    facts: Facts<'a>,
    reads: Reads,
    at: Tick,
    mode: Mode,
}

/// What one walk reads and writes.
pub(crate) struct Notes<'p> {
    learnt: &'p mut Learnt,
    reads: Reads,
    id: FunctionId,
}

impl Notes<'_> {
    pub(crate) fn mode(&self) -> Mode {
        self.learnt.modes.get(&self.id).copied().unwrap_or_default()
    }

    /// The summary of a function, once it was walked.
    pub(crate) fn summary(&mut self, id: FunctionId) -> Option<Arc<Summary>> {
        if self.reads.summaries.last() != Some(&id) {
            self.reads.summaries.push(id);
        }
        self.learnt.summaries.get(&id).map(|(summary, _)| Arc::clone(summary))
    }

    /// What a class keeps under an attribute.
    pub(crate) fn attribute(&mut self, class: ClassId, name: &str) -> Option<Value> {
        let key = (class, CompactString::from(name));
        let value = self.learnt.attributes.get(&key).map(|(value, _)| value.clone());
        self.reads.attributes.push(key);
        value
    }

    /// The final value of a name of a function around this one.
    pub(crate) fn outer(&mut self, around: FunctionId, name: &str) -> Option<&Value> {
        self.reads.outer = true;
        let (names, _) = self.learnt.outer.get(&around)?;
        names.get(name).map(|binding| &binding.value)
    }

    /// Remembers what a class keeps under an attribute, beside what is known of it.
    pub(crate) fn learn_attribute(&mut self, class: ClassId, name: &str, value: Value) {
        let now = self.learnt.now;
        let key = (class, CompactString::from(name));
        match self.learnt.attributes.get_mut(&key) {
            Some((kept, at)) => {
                let joined = join(kept, &value);
                if *kept != joined {
                    (*kept, *at) = (joined, now);
                }
            }
            None => {
                self.learnt.attributes.insert(key, (value, now));
            }
        }
    }

    /// Ends a walk: what others may read of it.
    pub(crate) fn finish(self, summary: Summary, names: Names) -> Reads {
        let Learnt { summaries, outer, parents, now, .. } = self.learnt;
        if summaries.get(&self.id).is_none_or(|(known, _)| **known != summary) {
            summaries.insert(self.id, (Arc::new(summary), *now));
        }
        if parents.contains(&self.id)
            && outer.get(&self.id).is_none_or(|(known, _)| *known != names)
        {
            outer.insert(self.id, (names, *now));
        }
        self.reads
    }
}

/// All walks.
pub(crate) struct Rounds<'a> {
    learnt: Learnt,
    /// Every function after those of the files that its own file imports.
    order: Vec<FunctionId>,
    /// By the functions' numbers.
    walked: Vec<Option<Walked<'a>>>,
}

impl<'a> Rounds<'a> {
    pub(crate) fn new(
        index: &Index<'a>,
        modes: FxHashMap<FunctionId, Mode>,
        wanted: Wanted,
    ) -> Rounds<'a> {
        let learnt = Learnt {
            summaries: FxHashMap::default(),
            attributes: FxHashMap::default(),
            outer: FxHashMap::default(),
            modes,
            parents: index.functions.iter().filter_map(|function| function.parent).collect(),
            now: 0,
        };
        let mut files = index.imported_first();
        if wanted == Wanted::Findings {
            files.retain(|file| index.file(*file).is_some_and(|file| !file.is_unit_test()));
        }
        let order = files.into_iter().flat_map(|file| index.functions_of(file)).collect();
        Rounds { learnt, order, walked: index.functions.iter().map(|_| None).collect() }
    }

    /// Walks what has not been walked, or read what has changed since; returns how many.
    pub(crate) fn walk(&mut self, index: &Index<'a>) -> usize {
        let mut count = 0;
        for id in &self.order {
            let Some(last) = self.walked.get_mut(id.0 as usize) else { continue };
            if last.as_ref().is_some_and(|last| !is_stale(index, &self.learnt, *id, last)) {
                continue;
            }
            count += 1;
            self.learnt.now += 1;
            let at = self.learnt.now;
            let notes = Notes { learnt: &mut self.learnt, reads: Reads::default(), id: *id };
            let mode = notes.mode();
            let (facts, reads) = walk_function(index, notes, *id);
            *last = Some(Walked { facts, reads, at, mode });
        }
        count
    }

    /// Takes new modes over, and takes attributes that were learnt under recording for perhaps
    /// attached: they may be stored under `no_grad` only.
    pub(crate) fn settle_modes(&mut self, modes: FxHashMap<FunctionId, Mode>) {
        self.learnt.modes = modes;
        self.learnt.now += 1;
        for (value, at) in self.learnt.attributes.values_mut() {
            if value.graph == Graph::Yes {
                (value.graph, *at) = (Graph::Maybe, self.learnt.now);
            }
        }
    }

    /// The facts of every function that was walked.
    pub(crate) fn facts(&self) -> impl Iterator<Item = (FunctionId, &Facts<'a>)> {
        let numbered = (0u32..).map(FunctionId).zip(&self.walked);
        numbered.filter_map(|(id, walked)| Some((id, &walked.as_ref()?.facts)))
    }

    /// Facts, summaries and modes, when all is done.
    pub(crate) fn finish(self) -> Outcome<'a> {
        let summaries = self.learnt.summaries.into_iter();
        let facts = self.walked.into_iter();
        (
            facts.map(|walked| walked.map(|walked| walked.facts).unwrap_or_default()).collect(),
            summaries.map(|(id, (summary, _))| (id, summary)).collect(),
            self.learnt.modes,
        )
    }
}

/// Facts by function, summaries, grad modes.
pub(crate) type Outcome<'a> =
    (Vec<Facts<'a>>, FxHashMap<FunctionId, Arc<Summary>>, FxHashMap<FunctionId, Mode>);

/// Whether something that a walk read has changed since.
fn is_stale(index: &Index<'_>, learnt: &Learnt, id: FunctionId, last: &Walked<'_>) -> bool {
    let mode = learnt.modes.get(&id).copied().unwrap_or_default();
    let records = |mode| matches!(mode, Mode::Inherited | Mode::On);
    if mode != last.mode && !(records(mode) && records(last.mode)) {
        return true;
    }
    let summary_is_news =
        |read: &FunctionId| learnt.summaries.get(read).is_some_and(|(_, at)| *at > last.at);
    let attribute_is_news = |read: &(ClassId, CompactString)| {
        learnt.attributes.get(read).is_some_and(|(_, at)| *at > last.at)
    };
    let outer_is_news = || {
        let around = index.function(id).and_then(|function| function.parent);
        around.and_then(|around| learnt.outer.get(&around)).is_some_and(|(_, at)| *at > last.at)
    };
    last.reads.summaries.iter().any(summary_is_news)
        || last.reads.attributes.iter().any(attribute_is_news)
        || last.reads.outer && outer_is_news()
}
