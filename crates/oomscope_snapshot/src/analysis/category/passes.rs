//! The passes that a program goes through: loading, forward, backward, optimizer step, in turns.

use std::cell::Cell;

use oomscope_model::{EventIndex, EventKind, Phase, Role, StackId};

use crate::Trace;
use crate::analysis::past::Past;

/// What a pass does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Stage {
    Loading,
    Forward,
    /// A checkpointed segment runs forward again inside backward.
    Recompute,
    Backward,
    Optimizer,
    /// A request failed: what the unwinding frees says nothing of what it was for.
    Failed,
}

/// A stretch of events of one stage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass {
    pub(crate) stage: Stage,
    /// Equal for the parts of one backward that recomputations interrupt.
    pub(crate) number: u32,
    /// Its first event.
    pub(crate) start: u32,
    /// The last event at which it handed out a block.
    pub(crate) last: u32,
    /// The period that it began in.
    pub(crate) period: u32,
}

/// All passes, oldest first.
pub(crate) struct Passes {
    all: Vec<Pass>,
    end: u32,
    has_stacks: bool,
    recent: Cell<usize>,
}

impl Passes {
    pub(crate) fn find(past: &Past<'_>, trace: Option<&Trace>) -> Passes {
        let mut passes = Passes {
            all: Vec::new(),
            end: past.until,
            has_stacks: past.has_stacks(),
            recent: Cell::new(0),
        };
        let starts = &past.periods().starts;
        let mut period = 0_usize;
        for (EventIndex(index), event) in trace.into_iter().flat_map(Trace::iter) {
            while starts.get(period).is_some_and(|start| *start <= index) {
                period += 1;
            }
            let stage = match event.kind {
                EventKind::Alloc => passes.stage_once(past, event.stack),
                EventKind::Oom => Some(Stage::Failed),
                _ => None,
            };
            if let Some(stage) = stage {
                passes.push(stage, index, period as u32);
            }
        }
        passes
    }

    fn stage_once(&mut self, past: &Past<'_>, stack: StackId) -> Option<Stage> {
        if stack == StackId::NONE {
            return self.has_stacks.then_some(Stage::Backward);
        }
        stage(past, stack)
    }

    fn push(&mut self, stage: Stage, index: u32, period: u32) {
        let mut number = 0;
        if let Some(last) = self.all.last_mut() {
            let goes_on = last.stage == stage
                && stage != Stage::Failed
                && (stage != Stage::Forward || last.period == period);
            if goes_on {
                last.last = index;
                return;
            }
            let is_backward = |stage| matches!(stage, Stage::Backward | Stage::Recompute);
            let same = is_backward(last.stage) && is_backward(stage);
            number = last.number + u32::from(!same);
        }
        self.all.push(Pass { stage, number, start: index, last: index, period });
    }

    /// The pass that runs at an event, or ran last.
    pub(crate) fn at(&self, event: u32) -> Option<(usize, &Pass)> {
        // Most questions are about the pass that the one before was about, or the next.
        let runs_at = |index: usize| {
            self.all.get(index).is_some_and(|pass| pass.start <= event)
                && self.all.get(index + 1).is_none_or(|next| next.start > event)
        };
        let recent = self.recent.get();
        let index = if runs_at(recent) {
            recent
        } else if runs_at(recent + 1) {
            recent + 1
        } else {
            self.all.partition_point(|pass| pass.start <= event).checked_sub(1)?
        };
        self.recent.set(index);
        self.all.get(index).map(|pass| (index, pass))
    }

    /// The passes after one, in order.
    pub(crate) fn after(&self, index: Option<usize>) -> &[Pass] {
        let from = index.map_or(0, |index| index + 1);
        self.all.get(from..).unwrap_or_default()
    }

    /// Number of events.
    pub(super) fn end(&self) -> u32 {
        self.end
    }

    /// All, in order.
    pub(crate) fn all(&self) -> &[Pass] {
        &self.all
    }
}

/// The stage that a stack belongs to; `None` where it can be part of any.
pub(super) fn stage(past: &Past<'_>, stack: StackId) -> Option<Stage> {
    let summary = past.summary(stack);
    if summary.role == Role::Collectives {
        return None;
    }
    let runs_forward = matches!(summary.inner, Phase::Forward | Phase::Loss);
    match summary.phase {
        Phase::Backward if runs_forward => Some(Stage::Recompute),
        Phase::Backward => Some(Stage::Backward),
        Phase::OptimizerStep => Some(Stage::Optimizer),
        _ if runs_forward => Some(Stage::Forward),
        _ if summary.role == Role::OptimizerState => None,
        Phase::Loading => Some(Stage::Loading),
        _ if summary.role == Role::Parameters => Some(Stage::Loading),
        _ => None,
    }
}
