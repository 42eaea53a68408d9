//! From stacks, passes and fates to verdicts.

use oomscope_model::{Bytes, EventIndex, Role, StackId};
use rustc_hash::FxHashMap;

use super::fate::{Fate, fate};
use super::passes::{Pass, Passes, Stage, stage};
use super::{Verdict, Why, is_recorded, main_line};
use crate::Life;
use crate::analysis::past::Past;
use crate::history::NEVER;

/// cuBLAS' default workspaces in PyTorch (`CublasHandlePool.cpp`, 2.9): `:4096:2:16:8`, and 32 MiB
/// from compute capability 9.0 on.
const WORKSPACE: Bytes = Bytes(8_519_680);
const LARGE_WORKSPACE: Bytes = Bytes(33_554_432);

/// What is known before the first verdict.
pub(super) struct Court<'a> {
    pub(super) past: &'a Past<'a>,
    pub(super) passes: Passes,
    /// By stack; the last one is that of blocks without a stack.
    peers: Vec<Peers>,
    /// Parameters by size.
    pub(super) parameters: FxHashMap<Bytes, u32>,
    /// When the gradients of each size were given up, those left out that were before the block
    /// that is judged.
    gradients: FxHashMap<Bytes, Vec<u32>>,
    /// The last verdict on a block that each line of the program made outside of every pass.
    pub(super) decided: FxHashMap<StackId, Verdict>,
}

/// What became of the blocks of one stack.
#[derive(Clone, Copy, Default)]
struct Peers {
    /// Freed by the pass that made them.
    short: u32,
    /// Not freed by it.
    long: u32,
    /// The longest life among the short ones, in events.
    longest_short: u32,
}

/// One verdict a life, as they stand. `order` lists all of them, oldest first: a verdict may depend
/// on those on older blocks.
pub(super) fn all(past: &Past<'_>, lives: &[Life], order: &[u32]) -> Vec<Verdict> {
    let passes = Passes::find(past, past.trace());
    let mut court = Court {
        past,
        passes,
        peers: vec![Peers::default(); past.stack_count() + 1],
        parameters: FxHashMap::default(),
        gradients: FxHashMap::default(),
        decided: FxHashMap::default(),
    };
    let mut verdicts = vec![Verdict::NO_STACK; lives.len()];
    for &index in order {
        if let Some(life) = lives.get(index as usize) {
            court.learn(life);
        }
    }
    let mut main_line = Vec::new();
    for &index in order {
        let Some((life, verdict)) = lives.get(index as usize).zip(verdicts.get_mut(index as usize))
        else {
            continue;
        };
        match court.verdict(life) {
            Some(told) => *verdict = told,
            None => main_line.push(index),
        }
    }
    for index in main_line {
        if let Some((life, verdict)) =
            lives.get(index as usize).zip(verdicts.get_mut(index as usize))
        {
            *verdict = main_line::verdict(&court, life);
            if *verdict != main_line::UNKNOWN {
                court.decided.insert(life.stack, *verdict);
            }
        }
    }
    verdicts
}

impl Court<'_> {
    fn peers_mut(&mut self, stack: StackId) -> &mut Peers {
        let last = self.peers.len() - 1;
        let at = (stack.0 as usize).min(last);
        self.peers.get_mut(at).expect("there is one more than stacks")
    }

    fn peers_of(&self, stack: StackId) -> Option<&Peers> {
        let at = (stack.0 as usize).min(self.peers.len().checked_sub(1)?);
        self.peers.get(at).filter(|peers| peers.short + peers.long > 0)
    }

    fn learn(&mut self, life: &Life) {
        let summary = self.past.summary(life.stack);
        let is_model = summary.role == Role::Parameters;
        let Some(EventIndex(event)) = life.allocated_at else {
            if is_model {
                *self.parameters.entry(life.size).or_default() += 1;
            }
            return;
        };
        let Some((index, pass)) = self.passes.at(event) else { return };
        match fate(life, &self.passes, index, pass) {
            Fate::Within => {
                let peers = self.peers_mut(life.stack);
                peers.short += 1;
                peers.longest_short =
                    peers.longest_short.max(life.released.saturating_sub(life.born));
            }
            Fate::InItsBackward | Fate::Later | Fate::LivesOn => {
                if is_model && stage(self.past, life.stack) == Some(Stage::Loading) {
                    *self.parameters.entry(life.size).or_default() += 1;
                }
                self.peers_mut(life.stack).long += 1;
            }
            Fate::AtTheEnd | Fate::Open(_) => {
                if is_model && life.released == NEVER {
                    *self.parameters.entry(life.size).or_default() += 1;
                }
            }
        }
    }

    /// Whether the block will outlive its pass, as others of its stack tell; `None` without any. One
    /// that is older than every short one ever grew is none of them.
    fn outlives(&self, life: &Life, until: u32) -> Option<bool> {
        let peers = self.peers_of(life.stack)?;
        if peers.short == 0 {
            return (peers.long > 0).then_some(true);
        }
        let age = until.saturating_sub(life.born);
        Some(age > peers.longest_short || peers.long > peers.short)
    }

    /// The verdict; `None` for what the program's own lines made outside of every pass.
    fn verdict(&mut self, life: &Life) -> Option<Verdict> {
        let summary = self.past.summary(life.stack);
        match summary.role {
            Role::Workspace => return Some(Verdict::new(Role::Workspace, Why::LibraryCall)),
            Role::Collectives => return Some(Verdict::new(Role::Collectives, Why::Collective)),
            Role::Inputs => return Some(Verdict::new(Role::Inputs, Why::MovesABatch)),
            _ => {}
        }
        let Some(EventIndex(event)) = life.allocated_at else {
            return Some(older(self.past, life));
        };
        let stage = if is_recorded(life.stack) {
            stage(self.past, life.stack)
        } else if self.past.has_stacks() {
            Some(Stage::Backward)
        } else {
            return Some(Verdict::NO_STACK);
        };
        let Some((index, pass)) = self.passes.at(event) else {
            return (!self.is_made_by_python(life)).then_some(Verdict::NO_STACK);
        };
        let pass = *pass;
        let Some(stage) = stage else {
            if summary.role == Role::OptimizerState {
                return Some(Verdict::new(Role::OptimizerState, Why::OptimizerBuilt));
            }
            let unknown = Verdict::new(Role::Unknown, Why::NoPython);
            return (!self.is_made_by_python(life)).then_some(unknown);
        };
        Some(self.of_stage(life, stage, index, &pass))
    }

    /// Whether a line of the program or of a library made it.
    fn is_made_by_python(&self, life: &Life) -> bool {
        self.past.summary(life.stack).place.is_some()
    }

    fn of_stage(&mut self, life: &Life, stage: Stage, index: usize, pass: &Pass) -> Verdict {
        let fate = fate(life, &self.passes, index, pass);
        match stage {
            Stage::Loading | Stage::Failed => self.loaded(life, fate, index),
            Stage::Forward => self.forward(life, fate, index),
            Stage::Recompute => self.recomputed(life, fate),
            Stage::Backward => self.backward(life, fate, index),
            Stage::Optimizer => self.optimizer(life, fate),
        }
    }

    fn loaded(&self, life: &Life, fate: Fate, index: usize) -> Verdict {
        let ran = |pass: &Pass| !matches!(pass.stage, Stage::Loading | Stage::Failed);
        let until = self.passes.after(Some(index)).iter().find(|pass| ran(pass));
        let is_freed = life.released != NEVER
            && until.is_none_or(|until| life.released <= until.start)
            && (until.is_some() || fate == Fate::Within);
        let is_late = self.passes.all().iter().take(index).any(ran);
        if is_freed {
            Verdict::new(Role::Temporaries, Why::FreedInLoading)
        } else if is_late && life.released != NEVER && self.is_made_by_python(life) {
            Verdict::new(Role::Inputs, Why::LoadedInAStep)
        } else {
            Verdict::new(Role::Parameters, Why::Loaded)
        }
    }

    fn forward(&self, life: &Life, fate: Fate, index: usize) -> Verdict {
        if self.is_workspace(life, index) {
            return Verdict::new(Role::Workspace, Why::WorkspaceSize);
        }
        let is_trained = self
            .passes
            .after(Some(index))
            .first()
            .is_some_and(|next| matches!(next.stage, Stage::Backward | Stage::Recompute));
        match fate {
            Fate::Within => Verdict::new(Role::Temporaries, Why::FreedInForward),
            Fate::AtTheEnd if is_trained => {
                Verdict::new(Role::Temporaries, Why::FreedBeforeBackward)
            }
            Fate::AtTheEnd => Verdict::new(Role::Activations, Why::HeldToTheEnd),
            Fate::InItsBackward => Verdict::new(Role::Activations, Why::FreedInBackward),
            Fate::Later => Verdict::new(Role::Activations, Why::OutlivesItsStep),
            Fate::LivesOn => Verdict::new(Role::Activations, Why::LivesOn),
            Fate::Open(until) => match self.outlives(life, until) {
                Some(false) => Verdict::new(Role::Temporaries, Why::PeersFreed),
                Some(true) => Verdict::new(Role::Activations, Why::PeersSaved),
                None => Verdict::new(Role::Activations, Why::StillLive),
            },
        }
    }

    fn recomputed(&self, life: &Life, fate: Fate) -> Verdict {
        match fate {
            Fate::Within => Verdict::new(Role::Temporaries, Why::FreedInForward),
            Fate::Open(until) if self.outlives(life, until) == Some(false) => {
                Verdict::new(Role::Temporaries, Why::PeersFreed)
            }
            _ => Verdict::new(Role::Activations, Why::Recomputed),
        }
    }

    fn backward(&mut self, life: &Life, fate: Fate, index: usize) -> Verdict {
        if self.is_workspace(life, index) {
            return Verdict::new(Role::Workspace, Why::WorkspaceSize);
        }
        let temporary = |why| Verdict::new(Role::BackwardTemporaries, why);
        match fate {
            Fate::Later | Fate::LivesOn => {
                self.gradients.entry(life.size).or_default().push(life.released);
                Verdict::new(Role::Gradients, Why::OutlivesBackward)
            }
            // An optimizer that asks for nothing leaves no pass between backward and forward.
            Fate::AtTheEnd if self.claims_a_parameter(life) => {
                Verdict::new(Role::Gradients, Why::ParameterSized)
            }
            Fate::Within | Fate::InItsBackward | Fate::AtTheEnd => {
                temporary(Why::FreedInItsBackward)
            }
            Fate::Open(until) => {
                let outlives = self.outlives(life, until).filter(|_| is_recorded(life.stack));
                match outlives {
                    Some(false) => temporary(Why::PeersFreed),
                    _ if self.claims_a_parameter(life) => {
                        Verdict::new(Role::Gradients, Why::ParameterSized)
                    }
                    _ => temporary(Why::StillLive),
                }
            }
        }
    }

    /// Whether a gradient of this size was seen.
    pub(super) fn has_gradient(&self, size: Bytes) -> bool {
        self.gradients.get(&size).is_some_and(|gradients| !gradients.is_empty())
    }

    /// The verdict on a part of a forward pass that has no frame of a module.
    pub(super) fn forward_part(&self, life: &Life, index: usize, pass: &Pass) -> Verdict {
        self.forward(life, fate(life, &self.passes, index, pass), index)
    }

    /// Whether fewer gradients of this size are held than parameters: then this may be the next.
    fn claims_a_parameter(&mut self, life: &Life) -> bool {
        let Some(&parameters) = self.parameters.get(&life.size) else { return false };
        let gradients = self.gradients.entry(life.size).or_default();
        // Lives come oldest first: what was given up before this one was made stays so.
        gradients.retain(|released| *released > life.born);
        let is_free = gradients.len() < parameters as usize;
        if is_free {
            gradients.push(life.released);
        }
        is_free
    }

    fn optimizer(&self, life: &Life, fate: Fate) -> Verdict {
        let state = |why| Verdict::new(Role::OptimizerState, why);
        let temporary = |why| Verdict::new(Role::Temporaries, why);
        match fate {
            Fate::Within | Fate::AtTheEnd => temporary(Why::FreedInOptimizer),
            Fate::InItsBackward | Fate::Later | Fate::LivesOn => state(Why::OutlivesOptimizer),
            Fate::Open(until) => {
                let sets_up_state = self.past.summary(life.stack).sets_up_state;
                match self.outlives(life, until) {
                    _ if sets_up_state => state(Why::OptimizerInit),
                    Some(false) => temporary(Why::PeersFreed),
                    None if !self.parameters.contains_key(&life.size) => temporary(Why::StillLive),
                    _ => state(Why::StillLive),
                }
            }
        }
    }

    /// A block of a workspace's size that is never given back, one of few; one of a round size
    /// must have outlived an optimizer step or two forward passes.
    fn is_workspace(&self, life: &Life, index: usize) -> bool {
        let is_one_of_few =
            || self.peers_of(life.stack).is_none_or(|peers| peers.short + peers.long <= 2);
        if life.released != NEVER || !is_one_of_few() {
            return false;
        }
        let later = self.passes.after(Some(index));
        let outlives_steps = || {
            let steps = later.iter().filter(|pass| pass.stage == Stage::Forward).take(2).count();
            steps == 2 || later.iter().any(|pass| pass.stage == Stage::Optimizer)
        };
        match life.requested {
            WORKSPACE => true,
            LARGE_WORKSPACE => outlives_steps(),
            _ => false,
        }
    }
}

/// The birth is older than the trace; the dump may still say who made it.
fn older(past: &Past<'_>, life: &Life) -> Verdict {
    if !is_recorded(life.stack) {
        return Verdict::new(Role::Unknown, Why::OlderThanTrace);
    }
    let role = match stage(past, life.stack) {
        Some(Stage::Loading) => Role::Parameters,
        Some(Stage::Forward | Stage::Recompute) => Role::Activations,
        Some(Stage::Optimizer) => Role::OptimizerState,
        Some(Stage::Backward) => Role::Gradients,
        Some(Stage::Failed) | None => past.summary(life.stack).role,
    };
    Verdict::new(role, Why::OlderByStack)
}
