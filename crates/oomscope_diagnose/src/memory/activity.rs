//! What ran before the moment: how many backward passes and optimizer steps, and how much of the
//! forward pass that was running is still held.

use oomscope_model::{Bytes, EventIndex};

use super::past::Past;
use super::stacks::PhaseKind;

/// What ran before the moment.
#[derive(Default)]
pub(super) struct Activity {
    pub(super) backward_runs: u32,
    pub(super) optimizer_steps: u32,
    /// Kept and made since the last backward or optimizer step.
    pub(super) forward_kept: Option<(Bytes, Bytes)>,
}

/// The forward pass since the last backward or optimizer step.
struct Forward {
    first: EventIndex,
    blocks: u32,
    made: Bytes,
}

/// The first few blocks of a pass are all live, whether a graph is recorded or not.
const FEWEST_BLOCKS: u32 = 16;

pub(super) fn find(past: &Past<'_>) -> Activity {
    let mut activity = Activity::default();
    let mut forward: Option<Forward> = None;
    let mut last = PhaseKind::Other;
    for (index, event) in past.allocations() {
        let phase = past.summary(event.stack).kind();
        match phase {
            PhaseKind::Other => continue,
            PhaseKind::Forward => {
                let forward =
                    forward.get_or_insert(Forward { first: index, blocks: 0, made: Bytes::ZERO });
                forward.blocks += 1;
                forward.made += event.size;
            }
            PhaseKind::Backward | PhaseKind::Optimizer => forward = None,
        }
        if phase != last {
            activity.backward_runs += u32::from(phase == PhaseKind::Backward);
            activity.optimizer_steps += u32::from(phase == PhaseKind::Optimizer);
        }
        last = phase;
    }
    activity.forward_kept =
        forward.filter(|forward| forward.blocks >= FEWEST_BLOCKS).map(|forward| {
            let kept = past
                .live
                .iter()
                .filter(|block| block.allocated_at.is_some_and(|at| at >= forward.first))
                .filter(|block| past.summary(block.stack).kind() == PhaseKind::Forward)
                .map(|block| block.requested)
                .sum();
            (kept, forward.made)
        });
    activity
}
