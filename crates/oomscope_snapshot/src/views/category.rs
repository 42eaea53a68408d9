//! What every block is, in words with the reason.

use oomscope_model::{Bytes, Role, StackId};
use rustc_hash::FxHashMap;

use crate::LiveBlock;
use crate::analysis::Recording;
use crate::analysis::category::{Kind, Verdict, Why};

/// What blocks are, and why they are taken to be that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Category {
    /// One of ours, as `activations`, or one of the user's own.
    pub name: String,
    /// Why, in words.
    pub reason: String,
}

impl Recording<'_> {
    /// What a block of some moment is.
    pub fn category(&self, block: &LiveBlock) -> Category {
        let verdict = self.categories().of(block);
        Category {
            name: self.category_name(verdict.kind),
            reason: self.reason(verdict, block.stack),
        }
    }

    pub(super) fn category_name(&self, kind: Kind) -> String {
        match kind {
            Kind::Known(role) => role.name().to_owned(),
            Kind::Own(rule) => {
                let name = self.rules().and_then(|rules| rules.name(rule));
                name.unwrap_or(Role::Unknown.name()).to_owned()
            }
        }
    }

    fn reason(&self, verdict: Verdict, stack: StackId) -> String {
        if let Why::Rule(rule) = verdict.why {
            let name = self.rules().and_then(|rules| rules.name(rule)).unwrap_or_default();
            return format!("the rule `{name}` matches a frame");
        }
        let words = verdict.why.words();
        match self.stack_summary(stack).library_call.as_ref() {
            Some(call) => format!("made by `{call}`; {words}"),
            None => words.to_owned(),
        }
    }
}

/// A reason with the bytes that have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// In words.
    pub words: String,
    /// Bytes of the blocks.
    pub bytes: Bytes,
    /// The blocks.
    pub blocks: u64,
}

/// The reasons of some blocks, summed while they are met.
#[derive(Default)]
pub(super) struct Reasons {
    sums: FxHashMap<Verdict, (Bytes, u64)>,
    stacks: FxHashMap<(Verdict, StackId), Bytes>,
}

impl Reasons {
    pub(super) fn add(&mut self, verdict: Verdict, block: &LiveBlock) {
        let sum = self.sums.entry(verdict).or_default();
        sum.0 += block.size;
        sum.1 += 1;
        *self.stacks.entry((verdict, block.stack)).or_default() += block.size;
    }

    /// The kind that most bytes have.
    pub(super) fn heaviest(&self) -> Kind {
        let mut kinds: FxHashMap<Kind, Bytes> = FxHashMap::default();
        for (verdict, (bytes, _)) in &self.sums {
            *kinds.entry(verdict.kind).or_default() += *bytes;
        }
        kinds
            .into_iter()
            .max_by_key(|(kind, bytes)| (*bytes, std::cmp::Reverse(*kind)))
            .map_or(Kind::Known(Role::Unknown), |(kind, _)| kind)
    }

    /// Most bytes first; each in the words of the stack that most of its bytes have.
    pub(super) fn finish(self, recording: &Recording<'_>) -> Vec<Reason> {
        let mut heaviest: FxHashMap<Verdict, (Bytes, StackId)> = FxHashMap::default();
        for ((verdict, stack), bytes) in self.stacks {
            let best = heaviest.entry(verdict).or_insert((bytes, stack));
            if (bytes, std::cmp::Reverse(stack)) > (best.0, std::cmp::Reverse(best.1)) {
                *best = (bytes, stack);
            }
        }
        let mut reasons: Vec<Reason> = self
            .sums
            .into_iter()
            .map(|(verdict, (bytes, blocks))| {
                let stack = heaviest.get(&verdict).map_or(StackId::NONE, |(_, stack)| *stack);
                Reason { words: recording.reason(verdict, stack), bytes, blocks }
            })
            .collect();
        reasons.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.words.cmp(&b.words)));
        reasons
    }
}
