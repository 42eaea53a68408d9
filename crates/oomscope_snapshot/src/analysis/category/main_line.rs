//! Blocks that the program's own lines made outside of every pass, told by what came before and
//! after: a batch is made before the forward pass that it lives through.

use oomscope_model::{EventIndex, Role};

use super::judge::Court;
use super::passes::{Pass, Stage};
use super::{Verdict, Why};
use crate::Life;
use crate::history::NEVER;

/// Nothing tells.
pub(super) const UNKNOWN: Verdict = Verdict::new(Role::Unknown, Why::MainLine);

pub(super) fn verdict(court: &Court<'_>, life: &Life) -> Verdict {
    let Some(EventIndex(event)) = life.allocated_at else { return Verdict::NO_STACK };
    let before = court.passes.at(event).map(|(index, pass)| (index, *pass));
    if let Some((index, pass)) = before
        && pass.last > event
    {
        return inside(court, life, index, &pass);
    }
    let index = before.map(|(index, _)| index);
    let period = court.past.period_of(EventIndex(event));
    let runs = |pass: &&Pass| !matches!(pass.stage, Stage::Loading | Stage::Failed);
    let next = court.passes.after(index).iter().find(runs).copied();
    let previous = before.map(|(_, pass)| pass);
    let released_by = |pass: &Pass| life.released != NEVER && life.released <= pass.start;
    let Some(next) = next else {
        return after_the_last(court, life, before);
    };
    match (previous.map(|pass| pass.stage), next.stage) {
        // The loss, or what is made of a forward's outputs.
        (Some(Stage::Forward), Stage::Backward | Stage::Recompute) => {
            of_forward(court, life, before)
        }
        (Some(Stage::Forward), _) if previous.is_some_and(|pass| pass.period == period) => {
            of_forward(court, life, before)
        }
        _ if released_by(&next) => Verdict::new(Role::Temporaries, Why::FreedBeforeNext),
        (_, Stage::Forward) => before_forward(court, life, &next),
        (_, Stage::Backward | Stage::Recompute) => before_backward(court, life, &next),
        (_, Stage::Optimizer | Stage::Loading | Stage::Failed) => UNKNOWN,
    }
}

/// While a pass runs: a part of it that has no frame of its own.
fn inside(court: &Court<'_>, life: &Life, index: usize, pass: &Pass) -> Verdict {
    match pass.stage {
        Stage::Forward => of_forward(court, life, Some((index, *pass))),
        Stage::Recompute | Stage::Backward | Stage::Optimizer | Stage::Loading | Stage::Failed => {
            let next = court.passes.after(Some(index)).first();
            let is_freed =
                life.released != NEVER && next.is_none_or(|next| life.released <= next.start);
            if is_freed { Verdict::new(Role::Temporaries, Why::FreedBeforeNext) } else { UNKNOWN }
        }
    }
}

fn of_forward(court: &Court<'_>, life: &Life, pass: Option<(usize, Pass)>) -> Verdict {
    match pass {
        Some((index, pass)) => court.forward_part(life, index, &pass),
        None => UNKNOWN,
    }
}

fn before_forward(court: &Court<'_>, life: &Life, next: &Pass) -> Verdict {
    if is_never_given_back(life) && is_the_first(court, next) && court.has_gradient(life.size) {
        return Verdict::new(Role::Parameters, Why::HasGradient);
    }
    Verdict::new(Role::Inputs, Why::MadeBeforeForward)
}

/// A program without modules: what a backward pass frees was saved for it.
fn before_backward(court: &Court<'_>, life: &Life, next: &Pass) -> Verdict {
    if is_never_given_back(life) && is_the_first(court, next) {
        return if court.has_gradient(life.size) {
            Verdict::new(Role::Parameters, Why::HasGradient)
        } else {
            Verdict::new(Role::Inputs, Why::MadeBeforeForward)
        };
    }
    let then = court.passes.at(life.released.saturating_sub(1));
    if then.is_some_and(|(_, then)| then.number == next.number) {
        return Verdict::new(Role::Activations, Why::FreedInBackward);
    }
    Verdict::new(Role::Activations, Why::OutlivesItsStep)
}

fn after_the_last(court: &Court<'_>, life: &Life, before: Option<(usize, Pass)>) -> Verdict {
    match before {
        Some((_, pass)) if pass.stage == Stage::Forward => of_forward(court, life, before),
        _ if life.released != NEVER => Verdict::new(Role::Temporaries, Why::FreedBeforeNext),
        _ => as_earlier_ones(court, life),
    }
}

/// The recording ends before anything tells: as the last one of its line.
fn as_earlier_ones(court: &Court<'_>, life: &Life) -> Verdict {
    let earlier = court.decided.get(&life.stack);
    earlier.map_or(UNKNOWN, |earlier| Verdict { why: Why::AsEarlierOnes, ..*earlier })
}

fn is_never_given_back(life: &Life) -> bool {
    life.released == NEVER
}

/// Whether no forward or backward ran before `pass`.
fn is_the_first(court: &Court<'_>, pass: &Pass) -> bool {
    let runs = |pass: &&Pass| !matches!(pass.stage, Stage::Loading | Stage::Failed);
    court.passes.all().iter().find(runs).is_some_and(|first| first.start == pass.start)
}
