//! What every block is, told from who made it and how long it lived.
//!
//! A block is judged by its whole life as the trace knows it, so that its category is the same in
//! every view and at every moment: a temporary of the forward pass is one while it lives, too.

mod fate;
mod judge;
mod main_line;
mod passes;
mod rules;
mod why;

use oomscope_model::{EventIndex, Role, StackId};
use rustc_hash::FxHashMap;

use super::past::Past;
use crate::{Life, LiveBlock};

pub use rules::CategoryRules;
pub(crate) use why::Why;

/// A category: one of ours, or one of the user's, by the number of its rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Known(Role),
    Own(u32),
}

/// What a block is, and why it is taken to be that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Verdict {
    pub(crate) kind: Kind,
    pub(crate) why: Why,
}

impl Verdict {
    const fn new(role: Role, why: Why) -> Verdict {
        Verdict { kind: Kind::Known(role), why }
    }

    const NO_STACK: Verdict = Verdict::new(Role::Unknown, Why::NoStack);
}

/// The category of every block of a recording.
pub(crate) struct Categories {
    verdicts: Vec<Verdict>,
    /// The life that each event began; [`NO_LIFE`] for other events.
    by_event: Vec<u32>,
    /// Blocks that are older than the trace, by address.
    older: FxHashMap<u64, u32>,
}

const NO_LIFE: u32 = u32::MAX;

impl Categories {
    /// Judges every block; `past` is that of the dump.
    pub(crate) fn judge(
        past: &Past<'_>,
        lives: &[Life],
        rules: Option<&CategoryRules>,
        stacks: &crate::Stacks,
    ) -> Categories {
        let mut by_event = vec![NO_LIFE; past.until as usize];
        let mut older = FxHashMap::default();
        for (life, index) in lives.iter().zip(0_u32..) {
            match life.allocated_at {
                Some(EventIndex(event)) => {
                    if let Some(slot) = by_event.get_mut(event as usize) {
                        *slot = index;
                    }
                }
                None => {
                    older.insert(life.addr, index);
                }
            }
        }
        let before_the_trace =
            lives.iter().zip(0_u32..).filter(|(life, _)| life.allocated_at.is_none());
        let mut order: Vec<u32> = before_the_trace.map(|(_, index)| index).collect();
        order.extend(by_event.iter().copied().filter(|&index| index != NO_LIFE));
        let mut verdicts = judge::all(past, lives, &order);
        if let Some(rules) = rules.filter(|rules| !rules.is_empty()) {
            let by_stack = rules.by_stack(stacks);
            for (verdict, life) in verdicts.iter_mut().zip(lives) {
                let rule = by_stack.get(life.stack.0 as usize).copied().flatten();
                if let Some(own) = rule.and_then(|rule| rules.verdict(rule)) {
                    *verdict = own;
                }
            }
        }
        Categories { verdicts, by_event, older }
    }

    /// The verdict on a block of some moment.
    pub(crate) fn of(&self, block: &LiveBlock) -> Verdict {
        let life = match block.allocated_at {
            Some(EventIndex(event)) => self.by_event.get(event as usize).copied(),
            None => self.older.get(&block.addr).copied(),
        };
        let verdict = life.and_then(|life| self.verdicts.get(life as usize));
        verdict.copied().unwrap_or(Verdict::NO_STACK)
    }
}

/// Whether a stack was recorded.
fn is_recorded(stack: StackId) -> bool {
    stack != StackId::NONE
}
