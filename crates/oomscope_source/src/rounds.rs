//! Rounds of walks over all functions, until what they learn of each other stays the same.
//!
//! Files come after those that they import, functions in the order of the text. From the second
//! round on only those are walked again that read something which has changed since.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::environment::Names;
use crate::facts::{Facts, Mode, Summary};
use crate::index::{ClassId, FunctionId, Index};
use crate::value::{Bits, Graph, Value, join};
use crate::walk::walk_function;

/// The number of a walk: what was written later than it is news to it.
type Tick = u32;

/// What walks learnt of functions and classes.
pub(crate) struct Learnt<'a> {
    summaries: FxHashMap<FunctionId, (Arc<Summary<'a>>, Tick)>,
    attributes: FxHashMap<(ClassId, &'a str), (Value, Tick)>,
    /// Final names of functions that hold functions, and of modules.
    outer: FxHashMap<FunctionId, FxHashMap<&'a str, (Value, Tick)>>,
    /// Grad mode in which a function runs, by its decorators and callers.
    modes: FxHashMap<FunctionId, Mode>,
    /// Functions that hold functions.
    parents: FxHashSet<FunctionId>,
    now: Tick,
}

/// What a walk asked for, found or not, and when.
#[derive(Default)]
pub(crate) struct Reads<'a> {
    summaries: Vec<(FunctionId, Tick)>,
    attributes: Vec<((ClassId, &'a str), Tick)>,
    /// Names of functions around this one that it found.
    outer: Vec<(FunctionId, &'a str, Tick)>,
}

/// How far a function is.
enum State<'a> {
    Waiting,
    UnderWay,
    Walked(Box<Walked<'a>>),
}

/// The last walk over a function.
struct Walked<'a> {
    facts: Facts<'a>,
    reads: Reads<'a>,
    mode: Mode,
}

/// What one walk reads and writes.
pub(crate) struct Notes<'a, 'p> {
    rounds: &'p mut Rounds<'a>,
    reads: Reads<'a>,
    id: FunctionId,
}

impl<'a> Notes<'a, '_> {
    pub(crate) fn mode(&self) -> Mode {
        self.rounds.learnt.modes.get(&self.id).copied().unwrap_or_default()
    }

    /// The summary of a function, which is walked first where it still waits and `may_walk`.
    pub(crate) fn summary(
        &mut self,
        index: &Index<'a>,
        id: FunctionId,
        may_walk: bool,
    ) -> Option<Arc<Summary<'a>>> {
        if may_walk && self.rounds.under_way < DEEPEST_WALK && self.rounds.is_ready(index, id) {
            self.rounds.walk_one(index, id);
        }
        let Learnt { summaries, now, .. } = &self.rounds.learnt;
        if self.reads.summaries.last().is_none_or(|(last, _)| *last != id) {
            self.reads.summaries.push((id, *now));
        }
        summaries.get(&id).map(|(summary, _)| Arc::clone(summary))
    }

    /// What a class keeps under an attribute.
    pub(crate) fn attribute(&mut self, class: ClassId, name: &'a str) -> Option<Value> {
        let key = (class, name);
        let Learnt { attributes, now, .. } = &self.rounds.learnt;
        let value = attributes.get(&key).map(|(value, _)| value.clone());
        self.reads.attributes.push((key, *now));
        value
    }

    /// The final value of a name of a function around this one.
    pub(crate) fn outer(&mut self, around: FunctionId, name: &'a str) -> Option<Value> {
        let Learnt { outer, now, .. } = &self.rounds.learnt;
        let (value, _) = outer.get(&around)?.get(name)?;
        self.reads.outer.push((around, name, *now));
        Some(value.clone())
    }

    /// Remembers what a class keeps under an attribute, beside what is known of it.
    pub(crate) fn learn_attribute(&mut self, class: ClassId, name: &'a str, value: Value) {
        let Learnt { attributes, now, .. } = &mut self.rounds.learnt;
        let key = (class, name);
        match attributes.get_mut(&key) {
            Some((kept, at)) => {
                let joined = join(kept, &value);
                if *kept != joined {
                    (*kept, *at) = (joined, *now);
                }
            }
            None => {
                attributes.insert(key, (value, *now));
            }
        }
    }

    /// Ends a walk: what others may read of it.
    pub(crate) fn finish(self, summary: Summary<'a>, names: Names<'a>) -> Reads<'a> {
        let Learnt { summaries, outer, parents, now, .. } = &mut self.rounds.learnt;
        if summaries.get(&self.id).is_none_or(|(known, _)| **known != summary) {
            summaries.insert(self.id, (Arc::new(summary), *now));
        }
        if parents.contains(&self.id) {
            let known = outer.entry(self.id).or_default();
            for (name, binding) in names {
                let value = from_outside(binding.value);
                if known.get(name).is_none_or(|(known, _)| *known != value) {
                    known.insert(name, (value, *now));
                }
            }
        }
        self.reads
    }
}

/// What functions inside a function see of a value there: its graphs and containers have other
/// numbers.
fn from_outside(value: Value) -> Value {
    Value {
        graph: value.graph.min(Graph::Maybe),
        may: Bits::default(),
        must: Bits::default(),
        params: Bits::default(),
        containers: Bits::default(),
        ..value
    }
}

/// Walks inside walks: each takes its share of the stack.
const DEEPEST_WALK: usize = 4;

/// All walks.
pub(crate) struct Rounds<'a> {
    learnt: Learnt<'a>,
    /// Every function after those of the files that its own file imports.
    order: Vec<FunctionId>,
    /// By the functions' numbers.
    states: Vec<State<'a>>,
    /// How many walks are under way.
    under_way: usize,
}

impl<'a> Rounds<'a> {
    pub(crate) fn new(index: &Index<'a>, modes: FxHashMap<FunctionId, Mode>) -> Rounds<'a> {
        let learnt = Learnt {
            summaries: FxHashMap::default(),
            attributes: FxHashMap::default(),
            outer: FxHashMap::default(),
            modes,
            parents: index.functions.iter().filter_map(|function| function.parent).collect(),
            now: 0,
        };
        let files = index.imported_first().into_iter();
        let order = files.flat_map(|file| index.functions_of(file)).collect();
        let states = index.functions.iter().map(|_| State::Waiting).collect();
        Rounds { learnt, order, states, under_way: 0 }
    }

    /// Walks what has not been walked, or read what has changed since; returns how many.
    pub(crate) fn walk(&mut self, index: &Index<'a>) -> usize {
        let before = self.learnt.now;
        for number in 0..self.order.len() {
            let Some(&id) = self.order.get(number) else { break };
            let is_due = match self.states.get(id.0 as usize) {
                Some(State::Waiting) => true,
                Some(State::Walked(last)) => is_stale(&self.learnt, id, last),
                Some(State::UnderWay) | None => false,
            };
            if is_due {
                self.walk_one(index, id);
            }
        }
        (self.learnt.now - before) as usize
    }

    fn walk_one(&mut self, index: &Index<'a>, id: FunctionId) {
        let place = id.0 as usize;
        if let Some(state) = self.states.get_mut(place) {
            *state = State::UnderWay;
        }
        self.learnt.now += 1;
        self.under_way += 1;
        let notes = Notes { rounds: self, reads: Reads::default(), id };
        let mode = notes.mode();
        let (facts, reads) = walk_function(index, notes, id);
        self.under_way -= 1;
        if let Some(state) = self.states.get_mut(place) {
            *state = State::Walked(Box::new(Walked { facts, reads, mode }));
        }
    }

    /// Whether a function still waits, and what is around it has been walked.
    fn is_ready(&self, index: &Index<'a>, id: FunctionId) -> bool {
        let state = |id: FunctionId| self.states.get(id.0 as usize);
        let parent = index.function(id).and_then(|function| function.parent);
        matches!(state(id), Some(State::Waiting))
            && parent.is_none_or(|parent| matches!(state(parent), Some(State::Walked(_))))
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
        let numbered = (0u32..).map(FunctionId).zip(&self.states);
        numbered.filter_map(|(id, state)| match state {
            State::Walked(walked) => Some((id, &walked.facts)),
            State::Waiting | State::UnderWay => None,
        })
    }

    /// Facts, summaries and modes, when all is done.
    pub(crate) fn finish(self) -> Outcome<'a> {
        let summaries = self.learnt.summaries.into_iter();
        let facts = self.states.into_iter().map(|state| match state {
            State::Walked(walked) => walked.facts,
            State::Waiting | State::UnderWay => Facts::default(),
        });
        (
            facts.collect(),
            summaries.map(|(id, (summary, _))| (id, summary)).collect(),
            self.learnt.modes,
        )
    }
}

/// Facts by function, summaries, grad modes.
pub(crate) type Outcome<'a> =
    (Vec<Facts<'a>>, FxHashMap<FunctionId, Arc<Summary<'a>>>, FxHashMap<FunctionId, Mode>);

/// Whether something that a walk read has changed since.
fn is_stale(learnt: &Learnt<'_>, id: FunctionId, last: &Walked<'_>) -> bool {
    let mode = learnt.modes.get(&id).copied().unwrap_or_default();
    let records = |mode| matches!(mode, Mode::Inherited | Mode::On);
    if mode != last.mode && !(records(mode) && records(last.mode)) {
        return true;
    }
    let summary_is_news = |(read, at): &(FunctionId, Tick)| {
        learnt.summaries.get(read).is_some_and(|(_, written)| written > at)
    };
    let attribute_is_news = |(read, at): &((ClassId, &str), Tick)| {
        learnt.attributes.get(read).is_some_and(|(_, written)| written > at)
    };
    let outer_is_news = |(around, name, at): &(FunctionId, &str, Tick)| {
        let names = learnt.outer.get(around);
        names.and_then(|names| names.get(*name)).is_some_and(|(_, written)| written > at)
    };
    last.reads.summaries.iter().any(summary_is_news)
        || last.reads.attributes.iter().any(attribute_is_news)
        || last.reads.outer.iter().any(outer_is_news)
}
