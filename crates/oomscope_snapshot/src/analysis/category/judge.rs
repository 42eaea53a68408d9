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
const WORKSPACES: [Bytes; 2] = [Bytes(8_519_680), Bytes(33_554_432)];

/// What is known before the first verdict.
pub(super) struct Court<'a> {
    pub(super) past: &'a Past<'a>,
    pub(super) passes: Passes,
    /// How often blocks of one stack and size were freed by their own pass, and how often not.
    peers: FxHashMap<(StackId, Bytes), [u32; 2]>,
    /// Parameters by size.
    pub(super) parameters: FxHashMap<Bytes, u32>,
    /// Gradients by size, of one step at most.
    pub(super) gradients: FxHashMap<Bytes, u32>,
}

/// One verdict a life, in their order.
pub(super) fn all(past: &Past<'_>, lives: &[Life]) -> Vec<Verdict> {
    let passes = Passes::find(past, past.trace());
    let mut court = Court {
        past,
        passes,
        peers: FxHashMap::default(),
        parameters: FxHashMap::default(),
        gradients: FxHashMap::default(),
    };
    let mut verdicts = vec![Verdict::NO_STACK; lives.len()];
    // A verdict may depend on those on older blocks.
    let mut order: Vec<(u32, u32)> =
        lives.iter().zip(0_u32..).map(|(life, index)| (life.born, index)).collect();
    order.sort_unstable();
    for &(_, index) in &order {
        if let Some(life) = lives.get(index as usize) {
            court.learn(life);
        }
    }
    let mut main_line = Vec::new();
    for &(_, index) in &order {
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
        }
    }
    verdicts
}

impl Court<'_> {
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
            Fate::Within => self.remember(life, 0),
            Fate::InItsBackward | Fate::Later | Fate::LivesOn => {
                if is_model && stage(self.past, life.stack) == Some(Stage::Loading) {
                    *self.parameters.entry(life.size).or_default() += 1;
                }
                self.remember(life, 1);
            }
            Fate::AtTheEnd | Fate::Open => {
                if is_model && life.released == NEVER {
                    *self.parameters.entry(life.size).or_default() += 1;
                }
            }
        }
    }

    fn remember(&mut self, life: &Life, outcome: usize) {
        let counts = self.peers.entry((life.stack, life.size)).or_default();
        if let Some(count) = counts.get_mut(outcome) {
            *count += 1;
        }
    }

    /// Whether blocks of this stack and size usually outlive their pass; `None` without any.
    fn usually_outlive(&self, life: &Life) -> Option<bool> {
        let [short, long] = self.peers.get(&(life.stack, life.size))?;
        (short != long).then_some(long > short)
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
            return if self.is_made_by_python(life) { None } else { Some(self.native(life)) };
        };
        Some(self.of_stage(life, stage, index, &pass))
    }

    /// Whether a line of the program or of a library made it.
    fn is_made_by_python(&self, life: &Life) -> bool {
        self.past.summary(life.stack).place.is_some()
    }

    /// No Python on the stack and nothing that tells.
    fn native(&self, _life: &Life) -> Verdict {
        Verdict::new(Role::Unknown, Why::NoPython)
    }

    pub(super) fn of_stage(
        &mut self,
        life: &Life,
        stage: Stage,
        index: usize,
        pass: &Pass,
    ) -> Verdict {
        let fate = fate(life, &self.passes, index, pass);
        match stage {
            Stage::Loading | Stage::Failed => self.loaded(life, fate, index),
            Stage::Forward => self.forward(life, fate, index),
            Stage::Recompute => self.recomputed(life, fate),
            Stage::Backward => self.backward(life, fate),
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
        if self.is_workspace(life, fate) {
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
            Fate::Open => match self.usually_outlive(life) {
                Some(false) => Verdict::new(Role::Temporaries, Why::PeersFreed),
                Some(true) => Verdict::new(Role::Activations, Why::PeersSaved),
                None => Verdict::new(Role::Activations, Why::StillLive),
            },
        }
    }

    fn recomputed(&self, life: &Life, fate: Fate) -> Verdict {
        match fate {
            Fate::Within => Verdict::new(Role::Temporaries, Why::FreedInForward),
            Fate::Open if self.usually_outlive(life) == Some(false) => {
                Verdict::new(Role::Temporaries, Why::PeersFreed)
            }
            _ => Verdict::new(Role::Activations, Why::Recomputed),
        }
    }

    fn backward(&mut self, life: &Life, fate: Fate) -> Verdict {
        if self.is_workspace(life, fate) {
            return Verdict::new(Role::Workspace, Why::WorkspaceSize);
        }
        let temporary = |why| Verdict::new(Role::BackwardTemporaries, why);
        match fate {
            Fate::Within | Fate::AtTheEnd | Fate::InItsBackward => temporary(Why::FreedInItsBackward),
            Fate::Later | Fate::LivesOn => {
                *self.gradients.entry(life.size).or_default() += 1;
                Verdict::new(Role::Gradients, Why::OutlivesBackward)
            }
            Fate::Open => match self.usually_outlive(life) {
                Some(false) if is_recorded(life.stack) => temporary(Why::PeersFreed),
                _ if self.claims_a_parameter(life) => {
                    Verdict::new(Role::Gradients, Why::ParameterSized)
                }
                _ => temporary(Why::StillLive),
            },
        }
    }

    /// The verdict on a part of a forward pass that has no frame of a module.
    pub(super) fn forward_part(&self, life: &Life, index: usize, pass: &Pass) -> Verdict {
        self.forward(life, fate(life, &self.passes, index, pass), index)
    }

    /// Whether fewer gradients of this size than parameters are known: then this may be the next.
    fn claims_a_parameter(&mut self, life: &Life) -> bool {
        let parameters = self.parameters.get(&life.size).copied().unwrap_or(0);
        let gradients = self.gradients.entry(life.size).or_default();
        let is_free = *gradients < parameters;
        *gradients += u32::from(is_free);
        is_free
    }

    fn optimizer(&self, life: &Life, fate: Fate) -> Verdict {
        let state = |why| Verdict::new(Role::OptimizerState, why);
        let temporary = |why| Verdict::new(Role::Temporaries, why);
        match fate {
            Fate::Within | Fate::AtTheEnd => temporary(Why::FreedInOptimizer),
            Fate::InItsBackward | Fate::Later | Fate::LivesOn => state(Why::OutlivesOptimizer),
            Fate::Open => {
                let call = self.past.summary(life.stack).sets_up_state;
                match (self.usually_outlive(life), call) {
                    (Some(false), _) => temporary(Why::PeersFreed),
                    (_, true) => state(Why::OptimizerInit),
                    (None, false) if !self.parameters.contains_key(&life.size) => {
                        temporary(Why::StillLive)
                    }
                    _ => state(Why::StillLive),
                }
            }
        }
    }

    /// A block of a workspace's size that is never given back, made only once.
    fn is_workspace(&self, life: &Life, fate: Fate) -> bool {
        WORKSPACES.contains(&life.requested)
            && life.released == NEVER
            && matches!(fate, Fate::LivesOn | Fate::Open)
            && self.peers.get(&(life.stack, life.size)).is_none_or(|[short, long]| short + long <= 1)
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
