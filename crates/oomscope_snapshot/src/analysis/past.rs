//! Everything that one device's recording says up to the moment: what the analyses look at.

use crate::{LiveBlock, State, Timeline, Trace};
use std::cell::OnceCell;

use oomscope_model::{BlockState, Bytes, Event, EventIndex, Holder, Role, StackId};
use rustc_hash::FxHashSet;

use super::holders;
use super::periods::{self, Periods};
use super::recording::Recording;
use super::stacks::{PhaseKind, StackSummary};

/// A device's recording up to a moment.
pub(crate) struct Past<'a> {
    recording: &'a Recording<'a>,
    /// Events before this one count.
    pub(crate) until: u32,
    /// Blocks that tensors hold at the moment.
    pub(crate) live: Vec<LiveBlock>,
    periods: OnceCell<Periods>,
    parameter_sizes: FxHashSet<Bytes>,
}

impl<'a> Past<'a> {
    /// The events before `until`, where the state is `state`.
    pub(crate) fn new(recording: &'a Recording<'a>, until: u32, state: &State) -> Past<'a> {
        let live: Vec<LiveBlock> = state
            .live
            .iter()
            .filter(|block| block.state == BlockState::Allocated)
            .copied()
            .collect();
        let parameter_sizes = live
            .iter()
            .filter(|block| recording.stack_summary(block.stack).role == Role::Parameters)
            .map(|block| block.size)
            .filter(|size| *size >= Bytes(4096))
            .collect();
        Past { recording, until, live, periods: OnceCell::new(), parameter_sizes }
    }

    /// The counters after every event.
    pub(crate) fn timeline(&self) -> &'a Timeline {
        self.recording.timeline()
    }

    /// The blocks handed out before the moment, oldest first.
    pub(crate) fn allocations(&self) -> impl Iterator<Item = (EventIndex, Event)> {
        let allocations = self.trace().into_iter().flat_map(Trace::allocations);
        allocations.take_while(|(index, _)| index.0 < self.until)
    }

    /// The device's events.
    pub(crate) fn trace(&self) -> Option<&'a Trace> {
        self.recording.trace()
    }

    /// Where the program's steps start.
    pub(crate) fn periods(&self) -> &Periods {
        self.periods.get_or_init(|| periods::find(self))
    }

    /// Takes the steps from elsewhere: the user, recurring sizes.
    pub(crate) fn replace_periods(&mut self, periods: Periods) {
        self.periods = OnceCell::from(periods);
    }

    /// Whether the events right before the dump are lost.
    pub(crate) fn lost_tail(&self) -> bool {
        self.recording.snapshot().lost_tail
    }

    /// Number of stacks.
    pub(crate) fn stack_count(&self) -> usize {
        self.recording.snapshot().stacks.len()
    }

    /// What a stack says.
    pub(crate) fn summary(&self, stack: StackId) -> &StackSummary {
        self.recording.stack_summary(stack)
    }

    /// Whether any event names a line of the user's.
    pub(crate) fn has_stacks(&self) -> bool {
        self.recording.has_stacks()
    }

    /// Which of a step's phases made an event. Where stacks are recorded, an event without one
    /// comes from the backward thread, which has no Python frames.
    pub(crate) fn kind(&self, stack: StackId) -> PhaseKind {
        if stack == StackId::NONE && self.has_stacks() {
            return PhaseKind::Backward;
        }
        self.summary(stack).kind()
    }

    /// All frames of a stack, innermost first.
    pub(crate) fn frames(&self, stack: StackId) -> Vec<oomscope_model::Frame> {
        self.recording.snapshot().stacks.frames_of(stack).cloned().collect()
    }

    /// What a block is: its stack's role, or, for the backward thread's, told by its size.
    pub(crate) fn role_of(&self, block: &LiveBlock) -> Role {
        let summary = self.summary(block.stack);
        if block.stack == StackId::NONE && block.allocated_at.is_some() && self.has_stacks() {
            return if self.is_parameter_sized(block) {
                Role::Gradients
            } else {
                Role::BackwardTemporaries
            };
        }
        let in_backward =
            summary.phase == oomscope_model::Phase::Backward || summary.place.is_none();
        match summary.role {
            Role::BackwardTemporaries | Role::Unknown
                if in_backward && self.is_parameter_sized(block) =>
            {
                Role::Gradients
            }
            role => role,
        }
    }

    /// Whether a parameter of this size is live.
    pub(crate) fn is_parameter_sized(&self, block: &LiveBlock) -> bool {
        self.parameter_sizes.contains(&block.size)
    }

    /// Blocks by user line and role, most bytes first.
    pub(crate) fn holders<'b>(
        &self,
        blocks: impl IntoIterator<Item = &'b LiveBlock>,
    ) -> Vec<Holder> {
        holders::group(self, blocks)
    }

    /// Whether the recording begins before anything was allocated: no block is older than it.
    pub(crate) fn starts_whole(&self) -> bool {
        self.live.iter().all(|block| block.allocated_at.is_some())
    }

    /// In which period an event lies; 0 is before the first.
    pub(crate) fn period_of(&self, event: EventIndex) -> u32 {
        self.periods().starts.partition_point(|start| *start <= event.0) as u32
    }
}
