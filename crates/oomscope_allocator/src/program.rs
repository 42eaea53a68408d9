//! What a program asked its allocator for, without what the allocator made of it.

use crate::allocator::StartSegment;
use crate::pool::PoolId;
use crate::settings::Settings;

/// A step of a program. Blocks are named by slots, which are used again: there are as many as
/// blocks were live at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Asks for `size` bytes; the block goes to `slot`. `lane` is the stream and pool.
    Alloc { slot: u32, lane: u16, size: u64 },
    /// Gives a block up that no other stream uses.
    Free { slot: u32 },
    /// Gives a block up that another stream still uses.
    GiveUp { slot: u32 },
    /// All streams are done with the block.
    Complete { slot: u32 },
    /// A step that turned out to be the allocator's own.
    Nothing,
    /// `torch.cuda.empty_cache()`.
    EmptyCache,
    /// The graph of a private pool is gone.
    RetirePool { lane: u16 },
    /// A request that failed when it was recorded. The program went on without the block.
    Failed { lane: u16, size: u64 },
}

/// A stream and a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lane {
    pub(crate) stream: u64,
    pub(crate) pool: PoolId,
}

/// The requests and frees of a recorded run: what [`crate::replay`] runs under other settings.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The settings that it was recorded under.
    pub(crate) settings: Settings,
    /// What was held before the first event.
    pub(crate) start: Vec<StartSegment>,
    pub(crate) steps: Vec<Step>,
    /// For each step, the event that it begins with.
    pub(crate) events: Vec<u32>,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) slots: u32,
    pub(crate) requests: u64,
}

/// What a program that was never recorded asks for. Names are the caller's: small numbers, each of
/// one block at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `bytes` of memory, known as `name` from here on.
    Alloc {
        /// Its name.
        name: u32,
        /// Its size, as the program states it.
        bytes: u64,
    },
    /// The memory of that name is given up.
    Free {
        /// Its name.
        name: u32,
    },
}

impl Program {
    /// A program of requests on one stream, which starts with nothing.
    pub fn of_requests(asked: impl IntoIterator<Item = Asked>) -> Program {
        let lanes = vec![Lane { stream: 0, pool: (0, 0) }];
        let mut program = Program { lanes, ..Program::default() };
        for (event, asked) in (0..u32::MAX).zip(asked) {
            let step = match asked {
                Asked::Alloc { name, bytes } => {
                    program.requests += 1;
                    program.slots = program.slots.max(name.saturating_add(1));
                    Step::Alloc { slot: name, lane: 0, size: bytes }
                }
                Asked::Free { name } => Step::Free { slot: name },
            };
            program.steps.push(step);
            program.events.push(event);
        }
        program
    }

    /// Number of requests for memory.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Number of events of the trace up to the last step.
    pub fn events(&self) -> usize {
        self.events.last().map_or(0, |last| *last as usize + 1)
    }

    /// The same without the failures that the program survived: it went on without those blocks,
    /// on whatever device. `None` where there are none.
    pub(crate) fn without_survived_failures(&self) -> Option<Program> {
        let is_request = |step: &Step| matches!(step, Step::Alloc { .. } | Step::Failed { .. });
        let last = self.steps.iter().rposition(is_request)?;
        let survived =
            |(at, step): (usize, &Step)| at < last && matches!(step, Step::Failed { .. });
        let count = self.steps.iter().enumerate().filter(|it| survived(*it)).count() as u64;
        (count > 0).then(|| {
            let kept = |(at, step): (usize, &Step)| {
                if survived((at, step)) { Step::Nothing } else { *step }
            };
            let steps = self.steps.iter().enumerate().map(kept).collect();
            Program { steps, requests: self.requests - count, ..self.clone() }
        })
    }

    /// Whether it uses pools of its own, of CUDA graphs or `torch.cuda.MemPool`.
    pub fn has_private_pools(&self) -> bool {
        self.lanes.iter().any(|lane| lane.pool != (0, 0))
    }

    /// Whether it gives blocks up that other streams still use.
    pub fn waits_for_streams(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::GiveUp { .. }))
    }

    /// Number of steps: requests, frees, emptied caches.
    pub fn steps(&self) -> usize {
        self.steps.len()
    }
}
