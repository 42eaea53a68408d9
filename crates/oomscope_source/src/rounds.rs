//! Rounds of walks over all functions, until what they learn of each other stays the same.
//!
//! In a round the files are walked side by side, each in the order of its text: a function sees
//! what earlier rounds learnt of all files, and what this round has learnt of its own. In later
//! rounds only those are walked again that read something which has changed since.

use std::sync::Arc;

use compact_str::CompactString;
use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::environment::Names;
use crate::facts::{Facts, Mode, Summary};
use crate::index::{ClassId, FileId, FunctionId, Index};
use crate::value::{Graph, Value, join};
use crate::walk::walk_function;

/// When and by whose walk something was learnt.
#[derive(Clone, Copy, Debug)]
struct Stamp {
    round: u32,
    by: FunctionId,
}

/// No function has this number: what it wrote is news to all.
const NOBODY: FunctionId = FunctionId(u32::MAX);

/// What walks learnt of functions and classes.
#[derive(Default)]
pub(crate) struct Learnt {
    summaries: FxHashMap<FunctionId, (Arc<Summary>, Stamp)>,
    attributes: FxHashMap<(ClassId, CompactString), (Value, Stamp)>,
    /// Final names of functions that hold functions, and of modules.
    outer: FxHashMap<FunctionId, (Names, u32)>,
}

/// What a walk may read: all that is known, and what it is told of the round.
pub(crate) struct Known {
    pub(crate) learnt: Learnt,
    /// Grad mode in which a function runs, by its decorators and callers.
    pub(crate) modes: FxHashMap<FunctionId, Mode>,
    /// Functions that hold functions.
    parents: FxHashSet<FunctionId>,
    round: u32,
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
    round: u32,
    mode: Mode,
}

/// What one walk reads and writes.
pub(crate) struct Notes<'p> {
    known: &'p Known,
    /// What this round learnt of the file.
    here: &'p mut Learnt,
    reads: Reads,
    id: FunctionId,
}

impl Notes<'_> {
    pub(crate) fn mode(&self) -> Mode {
        self.known.modes.get(&self.id).copied().unwrap_or_default()
    }

    /// The summary of a function, once it was walked.
    pub(crate) fn summary(&mut self, id: FunctionId) -> Option<Arc<Summary>> {
        if self.reads.summaries.last() != Some(&id) {
            self.reads.summaries.push(id);
        }
        let found = self.here.summaries.get(&id).or_else(|| self.known.learnt.summaries.get(&id));
        found.map(|(summary, _)| Arc::clone(summary))
    }

    /// What a class keeps under an attribute.
    pub(crate) fn attribute(&mut self, class: ClassId, name: &str) -> Option<Value> {
        let key = (class, CompactString::from(name));
        let found = self.here.attributes.get(&key);
        let found = found.or_else(|| self.known.learnt.attributes.get(&key));
        let value = found.map(|(value, _)| value.clone());
        self.reads.attributes.push(key);
        value
    }

    /// The final value of a name of a function around this one.
    pub(crate) fn outer(&mut self, around: FunctionId, name: &str) -> Option<&Value> {
        self.reads.outer = true;
        let names = self.here.outer.get(&around).or_else(|| self.known.learnt.outer.get(&around));
        names.and_then(|(names, _)| names.get(name)).map(|binding| &binding.value)
    }

    /// Remembers what a class keeps under an attribute, beside what is known of it.
    pub(crate) fn learn_attribute(&mut self, class: ClassId, name: &str, value: Value) {
        let stamp = Stamp { round: self.known.round, by: self.id };
        let key = (class, CompactString::from(name));
        if let Some((kept, when)) = self.here.attributes.get_mut(&key) {
            let joined = join(kept, &value);
            if *kept != joined {
                (*kept, *when) = (joined, stamp);
            }
            return;
        }
        let value = match self.known.learnt.attributes.get(&key) {
            Some((kept, _)) => {
                let joined = join(kept, &value);
                if joined == *kept {
                    return;
                }
                joined
            }
            None => value,
        };
        self.here.attributes.insert(key, (value, stamp));
    }

    /// Ends a walk: what others may read of it.
    pub(crate) fn finish(self, summary: Summary, names: Names) -> Reads {
        let round = self.known.round;
        let is_news = self
            .known
            .learnt
            .summaries
            .get(&self.id)
            .is_none_or(|(known, _)| **known != summary);
        if is_news {
            let stamp = Stamp { round, by: self.id };
            self.here.summaries.insert(self.id, (Arc::new(summary), stamp));
        }
        if self.known.parents.contains(&self.id) {
            self.here.outer.insert(self.id, (names, round));
        }
        self.reads
    }
}

/// All walks.
pub(crate) struct Rounds<'a> {
    known: Known,
    /// By file, in the order of the functions' numbers.
    walked: Vec<Vec<Walked<'a>>>,
}

impl<'a> Rounds<'a> {
    pub(crate) fn new(index: &Index<'a>, modes: FxHashMap<FunctionId, Mode>) -> Rounds<'a> {
        let parents = index.functions.iter().filter_map(|function| function.parent).collect();
        let known = Known { learnt: Learnt::default(), modes, parents, round: 0 };
        Rounds { known, walked: index.files.iter().map(|_| Vec::new()).collect() }
    }

    /// Walks what has not been walked, or read what has changed since; returns how many.
    pub(crate) fn walk(&mut self, index: &Index<'a>) -> usize {
        self.known.round += 1;
        let known = &self.known;
        let walked = std::mem::take(&mut self.walked);
        let done: Vec<(Vec<Walked<'a>>, Learnt, usize)> = walked
            .into_par_iter()
            .enumerate()
            .map(|(file, walked)| {
                walk_file(index, known, FileId(u32::try_from(file).unwrap_or(u32::MAX)), walked)
            })
            .collect();
        let mut count = 0;
        for (walked, learnt, again) in done {
            count += again;
            self.walked.push(walked);
            self.known.learnt.merge(learnt);
        }
        count
    }

    /// Takes new modes over, and takes attributes that were learnt under recording for perhaps
    /// attached: they may be stored under `no_grad` only.
    pub(crate) fn settle_modes(&mut self, modes: FxHashMap<FunctionId, Mode>) {
        self.known.modes = modes;
        let stamp = Stamp { round: self.known.round, by: NOBODY };
        for (value, when) in self.known.learnt.attributes.values_mut() {
            if value.graph == Graph::Yes {
                value.graph = Graph::Maybe;
                *when = stamp;
            }
        }
    }

    /// Every function's facts, in the order of the functions' numbers.
    pub(crate) fn facts(&self) -> impl Iterator<Item = &Facts<'a>> {
        self.walked.iter().flatten().map(|walked| &walked.facts)
    }

    /// Facts, summaries and modes, when all is done.
    pub(crate) fn finish(self) -> Outcome<'a> {
        let summaries = self.known.learnt.summaries.into_iter();
        (
            self.walked.into_iter().flatten().map(|walked| walked.facts).collect(),
            summaries.map(|(id, (summary, _))| (id, summary)).collect(),
            self.known.modes,
        )
    }
}

/// Facts by function, summaries, grad modes.
pub(crate) type Outcome<'a> =
    (Vec<Facts<'a>>, FxHashMap<FunctionId, Arc<Summary>>, FxHashMap<FunctionId, Mode>);

fn walk_file<'a>(
    index: &Index<'a>,
    known: &Known,
    file: FileId,
    mut walked: Vec<Walked<'a>>,
) -> (Vec<Walked<'a>>, Learnt, usize) {
    let mut here = Learnt::default();
    let mut count = 0;
    for (position, id) in index.functions_of(file).enumerate() {
        if walked.get(position).is_some_and(|last| !is_stale(index, known, &here, id, last)) {
            continue;
        }
        count += 1;
        let notes = Notes { known, here: &mut here, reads: Reads::default(), id };
        let (facts, reads) = walk_function(index, notes, id);
        let mode = known.modes.get(&id).copied().unwrap_or_default();
        let walk = Walked { facts, reads, round: known.round, mode };
        match walked.get_mut(position) {
            Some(last) => *last = walk,
            None => walked.push(walk),
        }
    }
    (walked, here, count)
}

/// Whether something that a walk read has changed since.
fn is_stale(
    index: &Index<'_>,
    known: &Known,
    here: &Learnt,
    id: FunctionId,
    last: &Walked<'_>,
) -> bool {
    let mode = known.modes.get(&id).copied().unwrap_or_default();
    let records = |mode| matches!(mode, Mode::Inherited | Mode::On);
    if mode != last.mode && !(records(mode) && records(last.mode)) {
        return true;
    }
    let file = index.function(id).map(|function| function.file);
    let is_news = |stamp: &Stamp| {
        let seen = stamp.by == id
            || stamp.by < id
                && index.function(stamp.by).is_some_and(|by| Some(by.file) == file);
        stamp.round > last.round || stamp.round == last.round && !seen
    };
    let summary_is_news = |read: &FunctionId| {
        let found = here.summaries.get(read).or_else(|| known.learnt.summaries.get(read));
        found.is_some_and(|(_, stamp)| is_news(stamp))
    };
    let attribute_is_news = |read: &(ClassId, CompactString)| {
        let found = here.attributes.get(read).or_else(|| known.learnt.attributes.get(read));
        found.is_some_and(|(_, stamp)| is_news(stamp))
    };
    let outer_is_news = || {
        let around = index.function(id).and_then(|function| function.parent);
        let names = around.and_then(|around| here.outer.get(&around));
        names.is_some_and(|(_, round)| *round > last.round)
    };
    last.reads.summaries.iter().any(summary_is_news)
        || last.reads.attributes.iter().any(attribute_is_news)
        || last.reads.outer && outer_is_news()
}

impl Learnt {
    fn merge(&mut self, other: Learnt) {
        self.summaries.extend(other.summaries);
        self.outer.extend(other.outer);
        for (key, (value, stamp)) in other.attributes {
            match self.attributes.get_mut(&key) {
                Some((kept, when)) if when.round == stamp.round => {
                    // Two files wrote it in one round: neither saw the other's.
                    *kept = join(kept, &value);
                    when.by = NOBODY;
                }
                Some(kept) => *kept = (value, stamp),
                None => {
                    self.attributes.insert(key, (value, stamp));
                }
            }
        }
    }
}
