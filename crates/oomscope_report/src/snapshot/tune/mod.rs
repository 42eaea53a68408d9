//! `tune`: which settings hold the least memory for a recorded run.

mod sections;
mod verdict;

use oomscope_allocator::{Capacity, Release, Settings, Trial, Tuning};
use oomscope_diagnose::replay::Recorded;
use oomscope_model::{Bytes, DeviceId};
use oomscope_snapshot::Snapshot;
use schemars::JsonSchema;
use serde::Serialize;

use super::View;
use super::replay::{NeedV1, OomV1, ReadV1, Source, available, less};
use verdict::{ClosestV1, RecommendationV1, VerdictV1};

/// What a search found.
#[derive(Clone, Copy)]
pub struct Tuned<'a> {
    /// The file.
    pub snapshot: &'a Snapshot,
    /// The device.
    pub device: DeviceId,
    /// Its trace beside the model.
    pub recorded: &'a Recorded,
    /// What the process can hold: as given, or as the recording shows.
    pub capacity: Option<Capacity>,
    /// The trials.
    pub tuning: &'a Tuning,
    /// Which trials people are shown.
    pub listed: Listed,
}

/// Which trials people are shown; files get all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// The recorded settings, and those that no others beat.
    Front,
    /// All.
    All,
}

/// Which settings hold the least memory for a recorded run.
#[derive(Serialize, JsonSchema)]
pub struct TuneV1 {
    /// How the recording was read.
    pub(crate) read: ReadV1,
    /// The first event at which the model does something else than what was recorded; figures are
    /// estimates then. Null when it agrees.
    pub(crate) divergence_event: Option<u32>,
    /// Bytes that the device has for the allocator, as given or as the recording shows; null when
    /// not known.
    pub(crate) capacity: Option<u64>,
    /// What is unavoidable.
    pub(crate) need: NeedV1,
    /// What to do.
    pub(crate) verdict: VerdictV1,
    /// The same in one sentence.
    pub(crate) sentence: String,
    /// The settings to use; null when none do better than the recorded ones.
    pub(crate) recommendation: Option<RecommendationV1>,
    /// Where no settings fit: those that come closest.
    pub(crate) closest: Option<ClosestV1>,
    /// All trials, the recorded settings first, then by the most that is reserved.
    pub(crate) trials: Vec<TrialV1>,
    #[serde(skip)]
    pub(super) is_front_only: bool,
}

/// Settings that were tried.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TrialV1 {
    /// The settings, as the environment variable's value; empty for the defaults.
    pub(crate) conf: String,
    /// Whether the run was recorded under them.
    pub(crate) is_recorded: bool,
    /// Whether no others hold less with as few device calls, or as little with fewer.
    pub(crate) is_on_front: bool,
    /// Whether they are the ones to use.
    pub(crate) is_best: bool,
    /// Highest bytes held from a device without limit; of the recorded settings with garbage
    /// collection under a cap: as recorded. Null when the run does not end, for a cap.
    pub(crate) peak_reserved: Option<u64>,
    /// How much less that is than under the recorded settings; negative where it is more.
    pub(crate) saved: Option<i64>,
    /// The same as a share of 1.
    pub(crate) saved_share: Option<f64>,
    /// Calls that obtained memory from the device.
    pub(crate) device_allocs: u64,
    /// Calls that gave memory back to it.
    pub(crate) device_frees: u64,
    /// Whether every request is served on the device; null when it is not known, or not exactly
    /// enough, how much it has.
    pub(crate) fits: Option<bool>,
    /// The request that fails on the device.
    pub(crate) oom: Option<OomV1>,
    /// The smallest capacity for the allocator at which every request is served, to the page of
    /// 2 MiB or a thousandth; null where it was not searched for.
    pub(crate) smallest_capacity: Option<u64>,
}

impl TrialV1 {
    fn of(source: Source, trial: &Trial, room: &Room) -> TrialV1 {
        let counters = &trial.free.counters;
        let failure = trial.on_device.as_ref().and_then(|outcome| outcome.failure.as_ref());
        let ends = trial.free.failure.is_none();
        TrialV1 {
            conf: trial.settings.to_string(),
            is_recorded: false,
            is_on_front: false,
            is_best: false,
            peak_reserved: ends.then_some(counters.peak_reserved),
            saved: None,
            saved_share: None,
            device_allocs: counters.device_allocs,
            device_frees: counters.device_frees,
            fits: room.fits(trial),
            oom: failure.map(|failure| source.oom(failure)),
            smallest_capacity: trial.smallest_capacity,
        }
    }

    /// What it costs: held bytes, and calls to the device.
    fn cost(&self) -> Option<(u64, u64)> {
        Some((self.peak_reserved?, self.device_allocs))
    }

    fn compare_with(&mut self, before: Option<u64>) {
        let saved = before.zip(self.peak_reserved).map(|(before, after)| less(before, after));
        self.saved = saved;
        self.saved_share = saved.zip(before).map(|(saved, before)| share(saved, before));
    }
}

/// How much the device is known to have.
struct Room {
    /// At least this: the most that it gave. The same as what was given on the command line, or told
    /// by a failed request, where that is exact.
    least: u64,
}

impl Room {
    /// Whether a trial fits; `None` when it is not certain.
    fn fits(&self, trial: &Trial) -> Option<bool> {
        let needed = trial.smallest_capacity.unwrap_or(trial.free.counters.peak_reserved);
        trial.fits().filter(|fits| !fits || needed <= self.least)
    }
}

/// The view of a search.
pub fn tune(tuned: &Tuned) -> View {
    let Tuned { snapshot, device, recorded, tuning, .. } = *tuned;
    let source = Source { snapshot, device };
    let mut read = ReadV1::of(snapshot, device, recorded);
    let is_vague = !read.is_device_exact && available(tuned.capacity) == read.device;
    let room = Room { least: if is_vague { read.granted } else { u64::MAX } };
    let mut trials: Vec<TrialV1> = Vec::with_capacity(tuning.trials.len());
    for (at, trial) in tuning.trials.iter().enumerate() {
        let is_best = tuning.best == Some(at);
        trials.push(TrialV1 { is_recorded: at == 0, is_best, ..TrialV1::of(source, trial, &room) });
    }
    if let Some(first) = trials.first_mut().filter(|_| recorded.allowed.is_some()) {
        // Collection under a cap that settings do not state: the recording itself is the trial.
        let counters = &recorded.followed.counters;
        first.peak_reserved = Some(counters.peak_reserved);
        first.device_allocs = counters.device_allocs;
        first.device_frees = counters.device_frees;
    }
    let before = trials.first().and_then(|first| first.peak_reserved);
    for trial in &mut trials {
        trial.compare_with(before);
    }
    mark_front(&mut trials);
    if let Some((_, others)) = trials.split_first_mut() {
        others.sort_by_key(|trial| trial.cost().unwrap_or((u64::MAX, u64::MAX)));
    }
    let decided = verdict::decide(tuned, &trials);
    if decided.recommendation.is_none() {
        for trial in &mut trials {
            trial.is_best = false;
        }
    }
    let best = decided.recommendation.as_ref();
    read.uncertain.extend(best.and_then(|best| too_new(recorded, snapshot, &best.conf)));
    View::Tune(Box::new(TuneV1 {
        read,
        divergence_event: recorded.followed.divergence.map(|divergence| divergence.event.0),
        capacity: available(tuned.capacity),
        need: NeedV1::of(tuning.need),
        verdict: decided.verdict,
        sentence: decided.sentence,
        recommendation: decided.recommendation,
        closest: decided.closest,
        trials,
        is_front_only: tuned.listed == Listed::Front,
    }))
}

/// Whether the oldest release that may have written the file refuses settings, in words.
fn too_new(recorded: &Recorded, snapshot: &Snapshot, conf: &str) -> Option<String> {
    let oldest: Release = snapshot.torch_version?.split(' ').next()?.parse().ok()?;
    let error = Settings::parse(conf, oldest).err().filter(|_| !recorded.is_release_given)?;
    Some(format!(
        "the file may be of PyTorch {oldest}: there {error}; `--version` names the release"
    ))
}

/// Marks the trials that no other one beats: holds less with as few calls, or as little with fewer.
fn mark_front(trials: &mut [TrialV1]) {
    let costs: Vec<Option<(u64, u64)>> = trials.iter().map(TrialV1::cost).collect();
    for (at, trial) in trials.iter_mut().enumerate() {
        let Some(own) = trial.cost() else { continue };
        let beats = |(other, cost): (usize, &Option<(u64, u64)>)| {
            cost.is_some_and(|cost| {
                cost.0 <= own.0 && cost.1 <= own.1 && (cost != own || other < at)
            })
        };
        trial.is_on_front = !costs.iter().enumerate().any(beats);
    }
}

/// A change as a share of what it changes.
fn share(change: i64, of: u64) -> f64 {
    let share = Bytes(change.unsigned_abs()).share_of(Bytes(of));
    if change < 0 { -share } else { share }
}
