//! One device's recording with the tables that every question to it needs, each made once.

use std::cell::OnceCell;

use oomscope_model::{Bytes, DeviceId, EventIndex, Limit, StackId};

use super::category::{Categories, CategoryRules};
use super::limits;
use super::past::Past;
use super::stacks::{StackSummary, StackTable};
use crate::{At, History, Snapshot, State, Timeline, Trace, history};

/// What a snapshot says of one device.
pub struct Recording<'s> {
    snapshot: &'s Snapshot,
    device: DeviceId,
    history: History,
    timeline: OnceCell<Timeline>,
    peak: OnceCell<Option<(EventIndex, Bytes)>>,
    stacks: StackTable<'s>,
    rules: Option<&'s CategoryRules>,
    user_frames_only: bool,
    categories: OnceCell<Categories>,
    has_stacks: OnceCell<bool>,
}

impl<'s> Recording<'s> {
    /// Walks the device's trace once: O(n log n) in events.
    pub fn new(snapshot: &'s Snapshot, device: DeviceId) -> Recording<'s> {
        Recording {
            snapshot,
            device,
            history: history(snapshot, device),
            timeline: OnceCell::new(),
            peak: OnceCell::new(),
            stacks: StackTable::new(&snapshot.stacks),
            rules: None,
            user_frames_only: false,
            categories: OnceCell::new(),
            has_stacks: OnceCell::new(),
        }
    }

    /// The same with categories of the user's own.
    #[must_use]
    pub fn with_rules(self, rules: &'s CategoryRules) -> Recording<'s> {
        Recording { rules: Some(rules), ..self }
    }

    /// The same, with stacks spelt by the user's own frames only.
    #[must_use]
    pub fn with_user_frames_only(self, only: bool) -> Recording<'s> {
        Recording { user_frames_only: only, ..self }
    }

    /// Whether stacks are spelt by the user's own frames only.
    pub(crate) fn shows_user_frames_only(&self) -> bool {
        self.user_frames_only
    }

    /// The whole file.
    pub fn snapshot(&self) -> &'s Snapshot {
        self.snapshot
    }

    /// The device.
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// The device's events, where any were recorded.
    pub fn trace(&self) -> Option<&'s Trace> {
        self.snapshot.trace(self.device).filter(|trace| !trace.is_empty())
    }

    /// Every block's life.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The counters after every event.
    pub fn timeline(&self) -> &Timeline {
        self.timeline.get_or_init(|| self.history.timeline())
    }

    /// The first event after which the most bytes were allocated, and how many.
    pub fn peak_allocated(&self) -> Option<(EventIndex, Bytes)> {
        *self.peak.get_or_init(|| match self.timeline.get() {
            Some(timeline) => timeline.peak_allocated(),
            None => self.history.peak_allocated(),
        })
    }

    /// What every block is.
    pub(crate) fn categories(&self) -> &Categories {
        self.categories.get_or_init(|| {
            let state = self.history.state_at(At::End);
            let past = self.past(At::End, &state);
            Categories::judge(&past, &self.history.lives, self.rules, &self.snapshot.stacks)
        })
    }

    /// What a stack says.
    pub(crate) fn stack_summary(&self, stack: StackId) -> &StackSummary {
        self.stacks.summary(stack)
    }

    /// Whether any event names a line of the user's.
    pub(crate) fn has_stacks(&self) -> bool {
        *self.has_stacks.get_or_init(|| {
            let mut made = self.trace().into_iter().flat_map(Trace::allocations);
            made.any(|(_, event)| self.stack_summary(event.stack).place.is_some())
        })
    }

    /// The user's categories.
    pub(crate) fn rules(&self) -> Option<&'s CategoryRules> {
        self.rules
    }

    /// Everything up to a moment, whose state is `state`.
    pub(crate) fn past<'a>(&'a self, at: At, state: &State) -> Past<'a> {
        let until = self.history.time(at);
        Past::new(self, until, state)
    }

    /// What the recording cannot show, given who holds memory at the moment that matters.
    pub(crate) fn limits(&self, at: At, state: &State) -> Vec<Limit> {
        let past = self.past(at, state);
        limits::find(&past, self.trace(), &past.holders(&past.live))
    }
}
