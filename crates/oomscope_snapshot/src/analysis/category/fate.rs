//! How a block's life ended, seen from the pass that made it.

use super::passes::{Pass, Passes, Stage};
use crate::Life;
use crate::history::NEVER;

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Freed while its pass still asked for blocks.
    Within,
    /// Freed after its pass had asked for its last block, before the next began.
    AtTheEnd,
    /// Freed in the backward that follows its forward.
    InItsBackward,
    /// Freed in a later pass.
    Later,
    /// Alive at the dump, after other passes have run.
    LivesOn,
    /// The trace ends, or a request fails, while its pass runs: at this event.
    Open(u32),
}

/// The fate of a block that `pass`, at `index` of all, made.
pub(super) fn fate(life: &Life, passes: &Passes, index: usize, pass: &Pass) -> Fate {
    let following = passes.after(Some(index));
    // Parts of one backward count as one.
    let next = following.iter().position(|next| next.number != pass.number);
    let next = next.and_then(|next| following.get(next));
    let part = following.iter().take_while(|part| part.number == pass.number);
    let (last, end) = match pass.stage {
        Stage::Recompute => (pass.last, following.first().map(|part| part.start)),
        _ => (part.map(|part| part.last).last().unwrap_or(pass.last), next.map(|next| next.start)),
    };
    // Times are one more than the events that they follow.
    let released = life.released;
    let is_cut = next.is_some_and(|next| next.stage == Stage::Failed);
    if released != NEVER && released <= last.saturating_add(1) {
        return Fate::Within;
    }
    if released != NEVER && end.is_none_or(|end| released <= end) && !(is_cut || end.is_none()) {
        return Fate::AtTheEnd;
    }
    if end.is_none() {
        return if released == NEVER { Fate::Open(passes.end()) } else { Fate::AtTheEnd };
    }
    if let Some(next) = next.filter(|_| is_cut && pass.stage != Stage::Recompute) {
        return Fate::Open(next.start);
    }
    if released == NEVER {
        return Fate::LivesOn;
    }
    let runs_backward = |pass: &Pass| matches!(pass.stage, Stage::Backward | Stage::Recompute);
    match passes.at(released.saturating_sub(1)) {
        Some((_, then)) if matches!(pass.stage, Stage::Forward) && runs_backward(then) => {
            let first = following.iter().find(|pass| runs_backward(pass));
            if first.is_some_and(|first| first.number == then.number) {
                Fate::InItsBackward
            } else {
                Fate::Later
            }
        }
        Some((_, then)) if pass.stage == Stage::Recompute && then.number == pass.number => {
            Fate::InItsBackward
        }
        Some((_, then)) if then.stage == Stage::Failed => Fate::LivesOn,
        _ => Fate::Later,
    }
}
