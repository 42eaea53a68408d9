//! What ran before the moment: how many backward passes and optimizer steps, and how much of the
//! forward pass that was running is still held.

use crate::LiveBlock;
use oomscope_model::{Bytes, EventIndex, ForwardPass};
use rustc_hash::FxHashMap;

use super::past::Past;
use super::stacks::PhaseKind;

/// What ran before the moment.
#[derive(Default)]
pub(super) struct Activity {
    pub(super) backward_runs: u32,
    pub(super) optimizer_steps: u32,
    /// The forward pass that was running.
    pub(super) forward: Option<ForwardPass>,
}

/// The first few blocks of a pass are all live, whether a graph is recorded or not.
const FEWEST_BLOCKS: usize = 16;

pub(super) fn find(past: &Past<'_>) -> Activity {
    let mut activity = Activity::default();
    let mut made: Vec<(EventIndex, Bytes)> = Vec::new();
    let mut last = PhaseKind::Other;
    for (index, event) in past.allocations() {
        let kind = past.kind(event.stack);
        match kind {
            PhaseKind::Other => continue,
            PhaseKind::Forward => made.push((index, event.size)),
            PhaseKind::Backward | PhaseKind::Optimizer => made.clear(),
        }
        if kind != last {
            activity.backward_runs += u32::from(kind == PhaseKind::Backward);
            activity.optimizer_steps += u32::from(kind == PhaseKind::Optimizer);
        }
        last = kind;
    }
    activity.forward = forward(past, &of_the_running_step(past, made));
    activity
}

/// An inference loop has no backward that ends a pass: there the step that runs does, with the
/// one before when it has hardly begun.
fn of_the_running_step(
    past: &Past<'_>,
    mut made: Vec<(EventIndex, Bytes)>,
) -> Vec<(EventIndex, Bytes)> {
    for start in past.periods().starts.iter().rev().take(2) {
        let from = made.partition_point(|(index, _)| index.0 < *start);
        if made.len() - from >= FEWEST_BLOCKS * 4 {
            return made.split_off(from);
        }
    }
    made
}

/// How much is held of a pass, and of its older half: without a graph hardly anything of the
/// older half is left, since each layer frees the one before.
fn forward(past: &Past<'_>, made: &[(EventIndex, Bytes)]) -> Option<ForwardPass> {
    if made.len() < FEWEST_BLOCKS {
        return None;
    }
    let live: FxHashMap<EventIndex, &LiveBlock> =
        past.live.iter().filter_map(|block| Some((block.allocated_at?, block))).collect();
    let sums = |part: &[(EventIndex, Bytes)]| {
        let made: Bytes = part.iter().map(|(_, bytes)| *bytes).sum();
        let kept: Bytes =
            part.iter().filter_map(|(index, _)| live.get(index)).map(|block| block.requested).sum();
        (kept, made)
    };
    let (kept, all) = sums(made);
    let (older_kept, older) = sums(made.get(..made.len() / 2)?);
    let older_kept_percent = (older_kept.share_of(older) * 100.0).min(100.0) as u8;
    Some(ForwardPass { kept, made: all, older_kept_percent })
}
