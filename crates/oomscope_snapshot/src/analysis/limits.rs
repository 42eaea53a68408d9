//! What a recording cannot show, and why.

use crate::Trace;
use oomscope_model::{Bytes, Holder, Limit, Role, StackId};

use super::past::Past;

/// More bytes than this without a frame are worth a word.
const WORTH_SAYING: f64 = 0.05;

pub(super) fn find(past: &Past<'_>, trace: Option<&Trace>, holders: &[Holder]) -> Vec<Limit> {
    let Some(trace) = trace.filter(|trace| !trace.is_empty()) else { return vec![Limit::NoTrace] };
    let mut limits = Vec::new();
    if past.lost_tail() {
        limits.push(Limit::TailLost);
    }
    if past.live.iter().any(|block| block.allocated_at.is_none()) {
        limits.push(if fills_a_ring(trace) {
            Limit::RingWrapped
        } else {
            Limit::RecordingBeganLate
        });
    }
    if trace.iter().all(|(_, event)| event.stack == StackId::NONE)
        && past.live.iter().all(|block| block.stack == StackId::NONE)
    {
        limits.push(Limit::NoStacks);
        return limits;
    }
    let allocated: Bytes = holders.iter().map(|holder| holder.bytes).sum();
    let without: Bytes = holders
        .iter()
        .filter(|holder| holder.place.is_none() && holder.role != Role::Workspace)
        .map(|holder| holder.bytes)
        .sum();
    if without.share_of(allocated) > WORTH_SAYING {
        limits.push(Limit::SomeWithoutFrames);
    }
    limits
}

/// A wrapped ring holds exactly the round number of entries that the user gave as `max_entries`;
/// a recording that began late ends anywhere.
fn fills_a_ring(trace: &Trace) -> bool {
    trace.len() >= 500 && trace.len().is_multiple_of(100)
}
