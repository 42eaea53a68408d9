//! Which settings hold the least memory for a program, and on how small a device it runs.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::packing::{Need, need};
use crate::program::Program;
use crate::release::Release;
use crate::replay::{Capacity, Outcome, replay};
use crate::rounding::SMALL_BUFFER;
use crate::settings::Settings;

/// Settings that were tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// The settings.
    pub settings: Settings,
    /// The program under them on a device without limit.
    pub free: Outcome,
    /// The program under them on the device in question; `None` when none is given.
    pub on_device: Option<Outcome>,
    /// The smallest capacity at which every request is served, bytes, to the page of 2 MiB; only
    /// for trials on the front and for the recorded settings.
    pub smallest_capacity: Option<u64>,
    /// Whether no other trial holds less with as few device calls, or as little with fewer.
    pub is_on_front: bool,
}

impl Trial {
    /// Whether every request was served on the device in question; `None` when none is given.
    pub fn fits(&self) -> Option<bool> {
        self.on_device.as_ref().map(|outcome| outcome.failure.is_none())
    }
}

/// What comes of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// All trials; the first has the recorded settings.
    pub trials: Vec<Trial>,
    /// What is unavoidable.
    pub need: Need,
    /// The trial to use; `None` when no settings do better than the recorded ones.
    pub best: Option<usize>,
    /// Whether what is live at once is more than the device has: no settings help then.
    pub is_hopeless: bool,
}

/// Tries `candidates` beside the `recorded` settings.
pub fn tune(
    program: &Program,
    recorded: &Settings,
    release: Release,
    device: Option<Capacity>,
    candidates: &[Settings],
) -> Tuning {
    let without = program.without_survived_failures();
    let program = without.as_ref().unwrap_or(program);
    let mut trials = trials(program, recorded, release, device, candidates);
    let need = need(program);
    let best = best(&trials);
    let is_shown = |at: &usize| *at == 0 || Some(*at) == best || trials[*at].is_on_front;
    let sized: Vec<usize> = (0..trials.len()).filter(is_shown).collect();
    let capacities =
        in_parallel(&sized, |at| smallest_capacity(program, &trials[*at], release, need.live));
    for (at, capacity) in sized.into_iter().zip(capacities) {
        trials[at].smallest_capacity = capacity;
    }
    let is_hopeless = device.is_some_and(|device| need.live > device.available);
    Tuning { trials, need, best, is_hopeless }
}

/// The program under the `recorded` settings, then under each of `candidates`; smallest capacities
/// are not looked for.
pub fn trials(
    program: &Program,
    recorded: &Settings,
    release: Release,
    device: Option<Capacity>,
    candidates: &[Settings],
) -> Vec<Trial> {
    let mut all = vec![recorded.clone()];
    all.extend(candidates.iter().filter(|candidate| *candidate != recorded).cloned());
    let total = device.map_or(u64::MAX / 4, |device| device.total);
    let limitless = Capacity { available: u64::MAX, total };
    let mut trials = in_parallel(&all, |settings| {
        let free = replay(program, settings, release, limitless, &mut ());
        let on_device = device.map(|device| {
            let is_roomy = free.counters.peak_reserved <= device.available;
            if is_roomy && settings.memory_fraction.is_none() {
                free.clone()
            } else {
                replay(program, settings, release, device, &mut ())
            }
        });
        let settings = settings.clone();
        Trial { settings, free, on_device, smallest_capacity: None, is_on_front: false }
    });
    mark_front(&mut trials);
    trials
}

/// Trials that no other one beats. A run that a cap of the settings ends holds little because it is
/// short: it is on no front.
fn mark_front(trials: &mut [Trial]) {
    let cost_of_whole = |trial: &Trial| trial.free.failure.is_none().then(|| cost(trial));
    let costs: Vec<Option<(u64, u64)>> = trials.iter().map(cost_of_whole).collect();
    for at in 0..trials.len() {
        let Some((reserved, calls)) = costs[at] else { continue };
        let beats = |(other, cost): (usize, &Option<(u64, u64)>)| {
            let no_worse = |cost: &(u64, u64)| cost.0 <= reserved && cost.1 <= calls;
            let is_other = |cost: &(u64, u64)| *cost != (reserved, calls) || other < at;
            cost.as_ref().is_some_and(|cost| no_worse(cost) && is_other(cost))
        };
        trials[at].is_on_front = !costs.iter().enumerate().any(beats);
    }
}

fn cost(trial: &Trial) -> (u64, u64) {
    (trial.free.counters.peak_reserved, trial.free.counters.device_allocs)
}

/// The trial that holds least among those that fit. Of trials within a hundredth of it, the one
/// with the fewest device calls. The recorded settings stay unless something is better.
fn best(trials: &[Trial]) -> Option<usize> {
    let recorded = trials.first()?;
    let fits = |trial: &Trial| trial.fits().unwrap_or(true);
    let fit = |trial: &Trial| fits(trial) && trial.free.failure.is_none();
    let on_front = trials.iter().any(|trial| trial.is_on_front && fit(trial));
    // Where nothing on the front fits, something beaten may.
    let is_able = |trial: &Trial| fit(trial) && (trial.is_on_front || !on_front);
    let able = || trials.iter().enumerate().filter(|(_, trial)| is_able(trial));
    let least = able().map(|(_, trial)| cost(trial).0).min()?;
    let near = able().filter(|(_, trial)| cost(trial).0 <= least + least / 100);
    let (at, trial) = near.min_by_key(|(at, trial)| (cost(trial).1, *at))?;
    let saves = cost(recorded).0.saturating_sub(cost(trial).0);
    let is_worth_it = saves > cost(recorded).0 / 100 || !fits(recorded);
    (at != 0 && is_worth_it).then_some(at)
}

/// Halves the distance between a capacity that is too small and one that does.
fn smallest_capacity(program: &Program, trial: &Trial, release: Release, live: u64) -> Option<u64> {
    if trial.free.failure.is_some() {
        return None;
    }
    let pages = |bytes: u64| bytes.div_ceil(SMALL_BUFFER);
    let (mut fails, mut fits) =
        (pages(live).saturating_sub(1), pages(trial.free.counters.peak_reserved));
    // To the page, or to a thousandth.
    while fits - fails.min(fits) > 1.max(fits / 1000) {
        let middle = fails + (fits - fails) / 2;
        let available = middle * SMALL_BUFFER;
        let capacity = Capacity { available, total: available };
        let settings = Settings { memory_fraction: None, ..trial.settings.clone() };
        let outcome = replay(program, &settings, release, capacity, &mut ());
        if outcome.failure.is_some() || outcome.survived > trial.free.survived {
            fails = middle;
        } else {
            fits = middle;
        }
    }
    Some(fits.saturating_mul(SMALL_BUFFER))
}

/// Maps with every core.
fn in_parallel<I: Sync, O: Send>(items: &[I], map: impl Fn(&I) -> O + Sync) -> Vec<O> {
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(items.len());
    if workers <= 1 {
        return items.iter().map(map).collect();
    }
    let next = AtomicUsize::new(0);
    let mut done: Vec<(usize, O)> = thread::scope(|scope| {
        let work = || {
            let mut mine = Vec::new();
            while let Some((at, item)) = {
                let at = next.fetch_add(1, Ordering::Relaxed);
                items.get(at).map(|item| (at, item))
            } {
                mine.push((at, map(item)));
            }
            mine
        };
        let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
        let mut all = work();
        all.extend(others.into_iter().flat_map(|other| other.join().unwrap_or_default()));
        all
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Settings worth trying under a release.
pub fn candidates(release: Release) -> Vec<Settings> {
    let mut all = Vec::new();
    for text in KNOWN {
        all.extend(Settings::parse(text, release));
    }
    all
}

/// The settings that documentation and issues recommend, and their combinations.
const KNOWN: [&str; 34] = [
    "",
    "expandable_segments:True",
    "expandable_segments:True,roundup_power2_divisions:4",
    "expandable_segments:True,roundup_power2_divisions:8",
    "expandable_segments:True,roundup_power2_divisions:16",
    "expandable_segments:True,max_split_size_mb:128",
    "expandable_segments:True,max_split_size_mb:512",
    "expandable_segments:True,large_segment_size_mb:64",
    "max_split_size_mb:32",
    "max_split_size_mb:64",
    "max_split_size_mb:128",
    "max_split_size_mb:256",
    "max_split_size_mb:512",
    "max_split_size_mb:1024",
    "roundup_power2_divisions:2",
    "roundup_power2_divisions:4",
    "roundup_power2_divisions:8",
    "roundup_power2_divisions:16",
    "roundup_power2_divisions:32",
    "roundup_power2_divisions:[256:1,512:2,1024:4,>:8]",
    "roundup_power2_divisions:[64:8,256:4,512:2,>:1]",
    "roundup_power2_divisions:4,max_split_size_mb:128",
    "roundup_power2_divisions:4,max_split_size_mb:512",
    "roundup_power2_divisions:8,max_split_size_mb:128",
    "roundup_power2_divisions:8,max_split_size_mb:512",
    "max_split_size_mb:128,max_non_split_rounding_mb:64",
    "max_split_size_mb:128,max_non_split_rounding_mb:256",
    "max_split_size_mb:512,max_non_split_rounding_mb:128",
    "large_segment_size_mb:40",
    "large_segment_size_mb:64",
    "large_segment_size_mb:128",
    "garbage_collection_threshold:0.6,per_process_memory_fraction:1.0",
    "garbage_collection_threshold:0.8,per_process_memory_fraction:1.0",
    "garbage_collection_threshold:0.8,max_split_size_mb:128,per_process_memory_fraction:1.0",
];
