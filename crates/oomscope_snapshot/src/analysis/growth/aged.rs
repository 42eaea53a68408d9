//! Where the recording is too short to show steps: tensors of a forward pass that are older than
//! the last backward or optimizer step should have been freed by it.

use crate::LiveBlock;
use oomscope_model::{Bytes, EventIndex, GradMode, Growth, Role, StackId};
use rustc_hash::FxHashSet;

use super::last_release;
use crate::analysis::past::Past;
use crate::analysis::stacks::PhaseKind;

/// With grad mode off nothing is saved for a backward: what an earlier turn of the loop made is
/// kept by a reference, be it older than the recording.
fn last_turn_without_grad(past: &Past<'_>) -> Option<EventIndex> {
    let made_in_forward = |block: &&LiveBlock| past.role_of(block) == Role::Activations;
    let (mut without, mut all) = (Bytes::ZERO, Bytes::ZERO);
    for block in past.live.iter().filter(made_in_forward) {
        all += block.size;
        if past.summary(block.stack).grad_mode == GradMode::Off {
            without += block.size;
        }
    }
    (without.share_of(all) > 0.5).then_some(EventIndex(past.periods().last_turn.unwrap_or(0)))
}

/// Smaller programs are tests.
const LEAST: Bytes = Bytes::from_mib(64);
/// Less than this part of the live bytes may be a cache or a buffer.
pub(super) const WORTH_SAYING: f64 = 0.25;

pub(super) fn find(past: &Past<'_>) -> Option<Growth> {
    let released = last_release(past).or_else(|| last_turn_without_grad(past))?;
    let aged: Vec<LiveBlock> = past
        .live
        .iter()
        .filter(|block| past.summary(block.stack).kind() == PhaseKind::Forward)
        .filter(|block| past.role_of(block) == Role::Activations)
        .filter(|block| block.allocated_at.is_none_or(|at| at < released))
        .copied()
        .collect();
    let total: Bytes = aged.iter().map(|block| block.size).sum();
    let allocated: Bytes = past.live.iter().map(|block| block.size).sum();
    if total < LEAST || total.share_of(allocated) < WORTH_SAYING {
        return None;
    }
    let stacks: FxHashSet<StackId> = aged.iter().map(|block| block.stack).collect();
    Some(Growth {
        periods: past.periods().starts.len() as u32,
        growing_periods: 0,
        per_period: None,
        total,
        lines: past.holders(&aged),
        stacks_per_period: stacks.len() as u32,
        call_kept_percent: None,
        blocks_get_larger: false,
        backward_ran: last_release(past).is_some(),
    })
}
