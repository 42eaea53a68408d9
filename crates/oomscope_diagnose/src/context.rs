//! The evidence, joined once: which failure, which snapshot, which figures, which source findings
//! are warm. The causes read this and nothing else.

use oomscope_model::{
    Bytes, Evidence, Failure, Frame, GradMode, Growth, LiveDevice, MemoryError, MemorySample,
    Phase, Place, ReplayEvidence, Role, Signal, SnapshotEvidence, SourceFile,
};

use crate::join::{self, Joined};
use crate::log::{Trend, primary_failure, trend};

/// All the evidence about one failure.
pub(crate) struct Context<'a> {
    /// What everything below is drawn from.
    pub(crate) evidence: &'a Evidence,
    /// The failure that is diagnosed: the first to die, of memory where any did.
    pub(crate) failure: Option<&'a Failure>,
    /// The snapshot of the device that failed.
    pub(crate) snapshot: Option<&'a SnapshotEvidence>,
    /// The figures of the failure, the text's completed by the snapshot's; `None` without failure.
    pub(crate) memory: Option<MemoryError>,
    /// What the program was doing when it failed.
    pub(crate) phase: Phase,
    /// The user's lines of the failing request, innermost first.
    pub(crate) asked: Vec<Place>,
    /// The library call that made the failing request.
    pub(crate) library_call: Option<String>,
    /// Source findings, with the live bytes that they account for.
    pub(crate) findings: Vec<Joined<'a>>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(evidence: &'a Evidence) -> Context<'a> {
        let failure = primary_failure(evidence.logs.iter().flat_map(|log| &log.failures));
        let snapshot = main_snapshot(evidence, failure);
        let mut memory = merged_memory(failure, snapshot);
        if let (Some(memory), Some(device)) = (&mut memory, &evidence.device_at_failure) {
            complete(memory, device);
        }
        let asked = asked(failure, snapshot);
        let library_call = snapshot
            .filter(|snapshot| snapshot.failed())
            .and_then(|snapshot| snapshot.request.as_ref()?.library_call.clone())
            .or_else(|| failure.and_then(failing_library_call));
        let phase = failure
            .map(|failure| failure.phase)
            .filter(|phase| *phase != Phase::Unknown)
            .or_else(|| {
                snapshot
                    .filter(|snapshot| snapshot.failed())
                    .and_then(|snapshot| Some(snapshot.request.as_ref()?.phase))
            })
            .unwrap_or(Phase::Unknown);
        let findings = join::join(&evidence.source, snapshot, &asked);
        Context { evidence, failure, snapshot, memory, phase, asked, library_call, findings }
    }

    /// Whether anything failed at all.
    pub(crate) fn failed(&self) -> bool {
        self.failure.is_some() || self.snapshot.is_some_and(Failed::failed)
    }

    pub(crate) fn requested(&self) -> Option<Bytes> {
        self.memory.as_ref()?.requested
    }

    pub(crate) fn capacity(&self) -> Option<Bytes> {
        self.memory.as_ref()?.capacity
    }

    pub(crate) fn free(&self) -> Option<Bytes> {
        self.memory.as_ref()?.free
    }

    pub(crate) fn allocated(&self) -> Option<Bytes> {
        self.memory.as_ref().and_then(|memory| memory.allocated).or_else(|| self.live())
    }

    pub(crate) fn reserved(&self) -> Option<Bytes> {
        self.memory.as_ref()?.reserved
    }

    /// Bytes that live tensors hold at the moment, from the snapshot.
    pub(crate) fn live(&self) -> Option<Bytes> {
        self.snapshot.map(|snapshot| snapshot.state.allocated).filter(|bytes| *bytes > Bytes::ZERO)
    }

    /// The replay of the trace that failed, where the model agrees with it.
    pub(crate) fn replay(&self) -> Option<&'a ReplayEvidence> {
        let replay = self.snapshot?.replay.as_ref()?;
        replay.divergence.is_none().then_some(replay)
    }

    /// Reserved but not allocated, at the failure.
    pub(crate) fn stranded(&self) -> Option<Bytes> {
        self.memory.as_ref()?.reserved_unallocated
    }

    /// Live bytes of one role.
    pub(crate) fn role_bytes(&self, role: Role) -> Bytes {
        self.snapshot
            .and_then(|snapshot| snapshot.roles.iter().find(|(held, _)| *held == role))
            .map_or(Bytes::ZERO, |(_, bytes)| *bytes)
    }

    /// Live bytes that `torch.load` put on the device, and the line that called it.
    pub(crate) fn loaded(&self) -> (Bytes, Option<&'a Place>) {
        let is_read = |holder: &&oomscope_model::Holder| {
            holder
                .library_call
                .as_deref()
                .is_some_and(|call| call.starts_with("torch.serialization"))
        };
        let holders =
            || self.snapshot.into_iter().flat_map(|snapshot| &snapshot.holders).filter(is_read);
        (
            holders().map(|holder| holder.bytes).sum(),
            holders().find_map(|holder| holder.place.as_ref()),
        )
    }

    /// What other processes hold on the device.
    pub(crate) fn others(&self) -> Bytes {
        self.memory.as_ref().map_or(Bytes::ZERO, |memory| {
            memory.other_processes.iter().filter_map(|process| process.bytes).sum()
        })
    }

    /// What the request lacked: its size less what the device had free.
    pub(crate) fn deficit(&self) -> Option<Bytes> {
        Some(self.requested()?.saturating_sub(self.free().unwrap_or_default()))
    }

    /// Whether the request would have fitted into what is free and what is reserved but unused:
    /// with a good part of the reserved bytes, or, when memory is flat, twice what was lacking.
    pub(crate) fn is_packable(&self) -> bool {
        let (Some(stranded), Some(reserved), Some(deficit)) =
            (self.stranded(), self.reserved(), self.deficit())
        else {
            return false;
        };
        stranded >= deficit
            && (stranded.share_of(reserved) >= 0.14
                || self.is_flat() && stranded >= deficit.times(2))
    }

    /// Whether the trace shows several steps and nothing that outlives them.
    pub(crate) fn is_flat(&self) -> bool {
        self.growth().is_none()
            && self
                .snapshot
                .is_some_and(|snapshot| snapshot.steps_seen >= 3 || snapshot.backward_runs >= 3)
    }

    /// Growth in the trace that matters: at least a quarter of the live bytes.
    pub(crate) fn growth(&self) -> Option<&'a Growth> {
        let snapshot = self.snapshot?;
        snapshot
            .growth
            .as_ref()
            .filter(|growth| growth.total.share_of(snapshot.state.allocated) >= 0.25)
    }

    /// How the memory that the program itself printed develops; `None` when a trace of several
    /// steps knows better.
    pub(crate) fn printed(&self) -> Option<Trend> {
        let traced = self
            .snapshot
            .is_some_and(|snapshot| snapshot.events > 0 && snapshot.backward_runs >= 4);
        if traced && self.growth().is_none() {
            return None;
        }
        self.evidence.logs.iter().find_map(trend)
    }

    /// First and last memory figure that the program itself printed, when they rise throughout.
    pub(crate) fn printed_growth(&self) -> Option<(MemorySample, MemorySample)> {
        match self.printed()? {
            Trend::Rises { from, to } => Some((from, to)),
            Trend::Flat { .. } => None,
        }
    }

    /// Whether memory rises step after step, by whatever evidence.
    pub(crate) fn grows(&self) -> bool {
        self.growth().is_some() || self.printed_growth().is_some()
    }

    /// Whether survivors carry graphs: many different operations leave something in each step.
    pub(crate) fn growth_is_graph(&self) -> bool {
        self.growth().is_some_and(|growth| {
            !growth.blocks_get_larger
                && growth.stacks_per_period >= 3
                && growth.call_kept_percent.is_none_or(|percent| percent >= SINGLE_OUTPUTS_PERCENT)
                && !self.growth_without_grad()
        })
    }

    /// Whether the survivors are single outputs of several layers, as a hook keeps them: of what
    /// the calls made, far less than a graph holds.
    pub(crate) fn growth_is_single_outputs(&self) -> bool {
        self.growth().is_some_and(|growth| {
            growth.stacks_per_period >= 3
                && growth.call_kept_percent.is_some_and(|percent| percent < SINGLE_OUTPUTS_PERCENT)
        })
    }

    /// Whether what grows lies in code that keeps keys and values of past tokens.
    pub(crate) fn growth_is_cache(&self) -> bool {
        let is_generating = self.phase == Phase::Generation
            || self
                .asked
                .iter()
                .any(|place| says(place, &["generate", "decode", "sample", "beam"]));
        let words = &["cache", "past", "kv", "decode", "attn", "attention"];
        is_generating
            && self.growth().is_some_and(|growth| {
                growth.lines.iter().take(3).any(|line| {
                    line.place.iter().chain(&line.callers).any(|place| says(place, words))
                        || line
                            .place
                            .as_ref()
                            .and_then(|place| self.line_text(place))
                            .is_some_and(|text| mentions(text, &["past", "cache", "kv"]))
                })
            })
    }

    /// Whether the survivors were made with grad mode off: by a decorator on their stack or by the
    /// source. What is kept like a graph is one, whatever the line of one of its calls says.
    pub(crate) fn growth_without_grad(&self) -> bool {
        let Some(growth) = self.growth() else { return false };
        let Some(line) = growth.lines.first() else { return false };
        let is_kept_like_a_graph = growth.stacks_per_period >= 3
            && growth.call_kept_percent.is_some_and(|percent| percent >= GRAPH_PERCENT);
        line.grad_mode == GradMode::Off
            || !is_kept_like_a_graph
                && self.grad_mode(line.place.iter().chain(&line.callers)) == GradMode::Off
    }

    /// Grad mode at a stack of user lines, from the source: off when any function of it is.
    pub(crate) fn grad_mode<'p>(&self, places: impl Iterator<Item = &'p Place>) -> GradMode {
        let mut mode = GradMode::Unknown;
        for place in places {
            let is_off = |file: &SourceFile| {
                file.grad_off.iter().any(|(first, last)| (first..=last).contains(&&place.line))
            };
            if self.file_of(place).is_some_and(is_off) {
                return GradMode::Off;
            }
            match self.function_at(place).map(|fact| fact.grad_mode) {
                Some(GradMode::Off) => return GradMode::Off,
                Some(GradMode::Recording) => mode = GradMode::Recording,
                Some(GradMode::Unknown) | None => {}
            }
        }
        mode
    }

    /// Whether the failing request was made while evaluating: by the source's own knowledge of the
    /// functions on the stack, or their names.
    pub(crate) fn is_evaluating(&self) -> bool {
        self.phase == Phase::Evaluation
            || self.phase == Phase::Generation
            || self.asked.iter().any(|place| {
                self.function_at(place).is_some_and(|fact| fact.evaluates && !fact.runs_backward)
            })
    }

    /// Whether the failing path belongs to training: a backward ran, or a function on the path runs
    /// one, and nothing says that it evaluates.
    pub(crate) fn trains(&self) -> bool {
        let ran = self.snapshot.is_some_and(|snapshot| snapshot.backward_runs > 0);
        let will = |place: &Place| self.function_at(place).is_some_and(|fact| fact.runs_backward);
        let in_step = matches!(self.phase, Phase::Backward | Phase::OptimizerStep);
        (ran || in_step || self.asked.iter().any(will)) && !self.is_evaluating()
    }

    /// What the source knows of the innermost function around a line.
    pub(crate) fn function_at(&self, place: &Place) -> Option<&'a oomscope_model::FunctionFact> {
        let file = self.file_of(place)?;
        file.functions
            .iter()
            .filter(|fact| (fact.lines.0..=fact.lines.1).contains(&place.line))
            .min_by_key(|fact| fact.lines.1.saturating_sub(fact.lines.0))
    }

    /// The user's file that a recorded place lies in.
    pub(crate) fn file_of(&self, place: &Place) -> Option<&'a SourceFile> {
        join::file_of(&self.evidence.source, place)
    }

    /// The text of a recorded line, where source is there.
    pub(crate) fn line_text(&self, place: &Place) -> Option<&'a str> {
        let index = usize::try_from(place.line).ok()?.checked_sub(1)?;
        self.file_of(place)?.text.lines().nth(index)
    }

    /// Whether any given source file holds `word`, and where.
    pub(crate) fn source_mentions(&self, word: &str) -> Option<Place> {
        self.evidence.source.files.iter().find_map(|file| {
            let (index, _) = file.text.lines().enumerate().find(|(_, line)| {
                line.find(word)
                    .is_some_and(|at| !line.get(..at).is_some_and(|before| before.contains('#')))
            })?;
            Some(Place {
                file: file.path.clone(),
                line: u32::try_from(index + 1).ok()?,
                function: None,
            })
        })
    }

    /// Findings of a cause that live bytes or the failing request touch, warmest first; none without
    /// a snapshot that could warm them.
    pub(crate) fn warm_findings(
        &self,
        cause: oomscope_model::Cause,
    ) -> impl Iterator<Item = &Joined<'a>> {
        let recorded = self.snapshot.is_some();
        self.findings_of(cause).filter(move |joined| recorded && joined.is_warm())
    }

    /// The finding whose line a fix would change: the warmest, or, without a snapshot, the worst.
    pub(crate) fn finding_to_fix(&self, cause: oomscope_model::Cause) -> Option<&Joined<'a>> {
        self.findings_of(cause).find(|joined| joined.is_warm() || self.snapshot.is_none())
    }

    /// Findings whose cause is `cause`, warmest first.
    pub(crate) fn findings_of(
        &self,
        cause: oomscope_model::Cause,
    ) -> impl Iterator<Item = &Joined<'a>> {
        self.findings.iter().filter(move |joined| joined.finding.cause == cause)
    }

    pub(crate) fn signals(&self) -> impl Iterator<Item = (&'a str, &'a Signal)> {
        self.evidence
            .logs
            .iter()
            .flat_map(|log| log.signals.iter().map(|signal| (log.input.as_str(), signal)))
    }
}

/// A graph keeps about two fifths of what a forward pass makes; below this only outputs are kept.
const SINGLE_OUTPUTS_PERCENT: u8 = 18;
/// From here on what is kept of a forward pass is a graph.
const GRAPH_PERCENT: u8 = 28;

fn says(place: &Place, words: &[&str]) -> bool {
    place.function.as_deref().is_some_and(|function| mentions(function, words))
        || mentions(place.file_name(), words)
}

fn mentions(text: &str, words: &[&str]) -> bool {
    let text = text.to_lowercase();
    words.iter().any(|word| text.contains(word))
}

/// Whether a snapshot shows a failure.
pub(crate) trait Failed {
    fn failed(&self) -> bool;
}

impl Failed for SnapshotEvidence {
    fn failed(&self) -> bool {
        matches!(self.moment, oomscope_model::Moment::Oom { .. })
    }
}

/// The device that the error names, else the one that failed, else the one that holds most.
fn main_snapshot<'a>(
    evidence: &'a Evidence,
    failure: Option<&Failure>,
) -> Option<&'a SnapshotEvidence> {
    let named = failure.and_then(|failure| failure.memory.as_ref()?.device_index);
    let failed = || evidence.snapshots.iter().filter(|snapshot| snapshot.failed());
    failed()
        .find(|snapshot| Some(snapshot.device.0) == named)
        .or_else(|| failed().next())
        .or_else(|| evidence.snapshots.iter().max_by_key(|snapshot| snapshot.peak_allocated))
}

fn merged_memory(
    failure: Option<&Failure>,
    snapshot: Option<&SnapshotEvidence>,
) -> Option<MemoryError> {
    let stated = failure.and_then(|failure| failure.memory.clone());
    let Some(snapshot) = snapshot.filter(|snapshot| snapshot.failed()) else { return stated };
    let oomscope_model::Moment::Oom { requested, device_free, .. } = snapshot.moment else {
        return stated;
    };
    let mut memory =
        stated.unwrap_or_else(|| MemoryError::new(Some(oomscope_model::Framework::Torch)));
    let state = &snapshot.state;
    memory.requested.get_or_insert(requested);
    memory.device_index.get_or_insert(snapshot.device.0);
    memory.free.get_or_insert(device_free);
    memory.allocated.get_or_insert(state.allocated);
    memory.reserved.get_or_insert(state.reserved);
    if memory.reserved_unallocated.is_none() {
        memory.reserved_unallocated = state.reserved.checked_sub(state.allocated);
    }
    if memory.private_pool.is_none() && state.private_pools > Bytes::ZERO {
        memory.private_pool = Some(state.private_pools);
    }
    Some(memory)
}

/// What the driver knew and neither the text nor the snapshot says.
fn complete(memory: &mut MemoryError, device: &LiveDevice) {
    memory.capacity.get_or_insert(device.capacity);
    memory.free.get_or_insert(device.free);
    if memory.other_processes.is_empty() {
        memory.other_processes.clone_from(&device.processes);
    }
}

fn asked(failure: Option<&Failure>, snapshot: Option<&SnapshotEvidence>) -> Vec<Place> {
    let recorded = snapshot
        .filter(|snapshot| snapshot.failed())
        .and_then(|snapshot| snapshot.request.as_ref());
    let user = |frame: &&oomscope_model::Frame| frame.origin() == oomscope_model::FrameOrigin::User;
    let from_snapshot: Vec<Place> = recorded
        .map(|request| {
            request.stack.iter().filter(user).map(oomscope_model::Frame::place).collect()
        })
        .unwrap_or_default();
    if !from_snapshot.is_empty() {
        return from_snapshot;
    }
    failure
        .map(|failure| {
            failure.traceback.iter().rev().filter(user).map(oomscope_model::Frame::place).collect()
        })
        .unwrap_or_default()
}

/// The library call of a traceback's innermost user frame.
fn failing_library_call(failure: &Failure) -> Option<String> {
    let innermost_first: Vec<&Frame> = failure.traceback.iter().rev().collect();
    oomscope_snapshot::library_call(&innermost_first)
}
