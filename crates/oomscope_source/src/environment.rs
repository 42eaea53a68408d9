//! Names and their values along one path, with a journal so that branches cost what they change.

use rustc_hash::FxHashMap;

use crate::value::{Bits, Value, join};

/// What a name holds and how deep in loops it was bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) value: Value,
    /// The innermost loop at the last plain assignment: accumulation counts against loops inside it.
    pub(crate) bound_in: Option<usize>,
    /// The container or accumulator number of the name, where it is one.
    pub(crate) container: Option<usize>,
}

/// Values by dotted name (`x`, `self.x`).
#[derive(Debug, Default)]
pub(crate) struct Environment<'a> {
    names: Names<'a>,
    journal: Vec<(&'a str, Option<Binding>)>,
    /// Branches that are open: outside of them nothing is ever taken back.
    open: usize,
    /// Graphs whose backward has run on this path, and was not told to retain them.
    pub(crate) consumed: Bits,
    /// Whether this path has left the block by `return`, `raise`, `break` or `continue`.
    pub(crate) ended: bool,
}

/// What one branch changed.
pub(crate) struct Branch<'a> {
    changed: FxHashMap<&'a str, Option<Binding>>,
    consumed: Bits,
    ended: bool,
}

/// Where a branch started.
pub(crate) struct Mark {
    journal: usize,
    consumed: Bits,
    /// Graphs made so far: later ones are made on one branch alone.
    graphs: usize,
}

impl Mark {
    fn made_since(&self) -> Bits {
        // The last number is shared by all further graphs.
        Bits(if self.graphs < 63 { (u64::MAX << self.graphs) & !(1 << 63) } else { 0 })
    }
}

impl<'a> Environment<'a> {
    pub(crate) fn lookup(&self, name: &str) -> Option<&Binding> {
        self.names.get(name)
    }

    pub(crate) fn bind(&mut self, name: &'a str, binding: Binding) {
        let old = self.names.insert(name, binding);
        if self.open > 0 {
            self.journal.push((name, old));
        }
    }

    /// Starts branches, where so many graphs have been made.
    pub(crate) fn mark(&mut self, graphs: usize) -> Mark {
        self.open += 1;
        Mark { journal: self.journal.len(), consumed: self.consumed, graphs }
    }

    /// Takes back what happened since the mark and hands it over as a branch.
    pub(crate) fn take_branch(&mut self, mark: &Mark) -> Branch<'a> {
        let mut changed = FxHashMap::default();
        while self.journal.len() > mark.journal {
            let Some((name, old)) = self.journal.pop() else { break };
            let now = match old {
                Some(old) => self.names.insert(name, old),
                None => self.names.remove(name),
            };
            changed.entry(name).or_insert(now);
        }
        let branch = Branch { changed, consumed: self.consumed, ended: self.ended };
        self.consumed = mark.consumed;
        self.ended = false;
        branch
    }

    /// Goes on after branches that started at the same mark. Branches that ended do not count.
    pub(crate) fn join_branches(&mut self, mark: &Mark, branches: Vec<Branch<'a>>) {
        self.open = self.open.saturating_sub(1);
        let alive: Vec<Branch<'a>> = branches.into_iter().filter(|branch| !branch.ended).collect();
        let Some(first) = alive.first() else {
            self.ended = true;
            return;
        };
        let everywhere =
            alive.iter().fold(first.consumed, |all, branch| all.intersection(branch.consumed));
        let somewhere = alive.iter().fold(first.consumed, |all, branch| all.union(branch.consumed));
        self.consumed = everywhere.union(somewhere.intersection(mark.made_since()));
        let mut names: Vec<&'a str> =
            alive.iter().flat_map(|b| b.changed.keys().copied()).collect();
        names.sort_unstable();
        names.dedup();
        let mut joined = Vec::with_capacity(names.len());
        for name in names {
            let before = self.names.get(name);
            let mut result: Option<Binding> = None;
            for branch in &alive {
                let after = branch.changed.get(name).map_or(before, Option::as_ref);
                let Some(after) = after else { continue };
                result = Some(match result {
                    None => after.clone(),
                    Some(so_far) => Binding {
                        value: join_paths(&so_far.value, &after.value, mark),
                        bound_in: so_far.bound_in.min(after.bound_in),
                        container: so_far.container.or(after.container),
                    },
                });
            }
            if let Some(binding) = result {
                joined.push((name, binding));
            }
        }
        for (name, binding) in joined {
            self.bind(name, binding);
        }
    }

    /// What a finished scope leaves to the functions inside it.
    pub(crate) fn into_names(self) -> Names<'a> {
        self.names
    }
}

/// What a name holds after branches. A graph made on one of them and held there is not missing on
/// the others: it does not exist there.
fn join_paths(left: &Value, right: &Value, mark: &Mark) -> Value {
    let mut value = join(left, right);
    let held = left.must.union(right.must).intersection(mark.made_since());
    value.must = value.must.union(held);
    value
}

/// Names with what they hold.
pub(crate) type Names<'a> = FxHashMap<&'a str, Binding>;
