//! What a search comes to: the settings to use, or why none help.

use oomscope_model::Bytes;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::text::percent;
use super::{TrialV1, Tuned};

/// The variable that every release reads. Up to PyTorch 2.9 the CUDA allocator reads no other (2.9
/// says that it is deprecated and still needs it); from 2.10 on it goes before
/// `PYTORCH_ALLOC_CONF` (`CUDAAllocatorConfig.h`).
const VARIABLE: &str = "PYTORCH_CUDA_ALLOC_CONF";

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum VerdictV1 {
    /// Use the recommended settings.
    Use,
    /// Nothing that was tried saves more than 1 % on what was recorded.
    Keep,
    /// What is live at once is more than the device has.
    Hopeless,
    /// What is live at once would fit, and no settings that were tried do.
    NothingFits,
}

/// Settings to use.
#[derive(Serialize, JsonSchema)]
pub(crate) struct RecommendationV1 {
    /// The environment variable's value; empty for the defaults.
    pub(crate) conf: String,
    /// What to put before the command: `PYTORCH_CUDA_ALLOC_CONF=...`.
    pub(crate) line: String,
    /// Highest reserved bytes that it saves; negative where it costs some and fits all the same.
    pub(crate) saved: Option<i64>,
    /// The same as a share of 1.
    pub(crate) saved_share: Option<f64>,
    /// Calls that obtain memory from the device.
    pub(crate) device_allocs: u64,
    /// Whether a request that failed when it was recorded would have been served; null when none
    /// failed, or when it is not certain.
    pub(crate) avoids_failure: Option<bool>,
    /// The smallest capacity for the allocator at which every request is served.
    pub(crate) smallest_capacity: Option<u64>,
    /// What the device has beyond that; null when it is not known.
    pub(crate) spare: Option<u64>,
}

/// The settings that come closest to fitting.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ClosestV1 {
    /// The environment variable's value; empty for the defaults.
    pub(crate) conf: String,
    /// What to put before the command.
    pub(crate) line: String,
    /// Bytes that the device lacks for it.
    pub(crate) missing: u64,
}

pub(super) struct Decided {
    pub(super) verdict: VerdictV1,
    pub(super) sentence: String,
    pub(super) recommendation: Option<RecommendationV1>,
    pub(super) closest: Option<ClosestV1>,
}

/// What the trials come to.
pub(super) fn decide(tuned: &Tuned, trials: &[TrialV1]) -> Decided {
    let device = tuned.capacity.map(|capacity| Bytes(capacity.available));
    let live = Bytes(tuned.tuning.need.live);
    let only =
        |verdict, sentence| Decided { verdict, sentence, recommendation: None, closest: None };
    if let Some(device) = device.filter(|device| live > *device) {
        let sentence = format!(
            "no setting can help: {live} are live at once, the device has {device} for the allocator"
        );
        return only(VerdictV1::Hopeless, sentence);
    }
    let best = trials.iter().find(|trial| trial.is_best && is_worth_it(trial, trials));
    if let Some(best) = best {
        return recommended(tuned, trials, best);
    }
    if let (Some(device), true) = (device, trials.iter().all(|trial| trial.fits == Some(false))) {
        let closest = closest(trials, device);
        let near = closest.as_ref().map(|closest| {
            let missing = Bytes(closest.missing);
            match closest.conf.as_str() {
                "" => format!("; the defaults come closest and lack {missing}"),
                conf => format!("; `{conf}` comes closest and lacks {missing}"),
            }
        });
        let sentence = format!(
            "no setting that was tried fits into {device}: {live} are live at once{}",
            near.unwrap_or_default()
        );
        return Decided { closest, ..only(VerdictV1::NothingFits, sentence) };
    }
    let peak = trials.first().and_then(|trial| trial.peak_reserved).map_or(Bytes::ZERO, Bytes);
    let nothing = format!("nothing that was tried saves more than 1 % of the {peak} reserved");
    let fits = trials.first().and_then(|trial| trial.fits);
    let was_refused = tuned.recorded.followed.limits.refused.is_some();
    let sentence = if was_refused && fits != Some(true) {
        format!("{nothing}; whether it would have served what was refused is not certain")
    } else {
        format!("keep what you have: {nothing}")
    };
    only(VerdictV1::Keep, sentence)
}

/// Whether a trial saves more than a hundredth, or surely fits where the recorded settings fail.
fn is_worth_it(best: &TrialV1, trials: &[TrialV1]) -> bool {
    let recorded_fails = trials.first().is_some_and(|trial| trial.fits == Some(false));
    best.saved_share.is_some_and(|share| share > 0.01)
        || (recorded_fails && best.fits == Some(true))
}

fn recommended(tuned: &Tuned, trials: &[TrialV1], best: &TrialV1) -> Decided {
    let outcome = tuned.tuning.best.and_then(|best| tuned.tuning.trials.get(best));
    let outcome = outcome.map(|trial| trial.on_device.as_ref().unwrap_or(&trial.free));
    let (avoided, survived) = outcome.map_or((0, 0), |outcome| (outcome.avoided, outcome.survived));
    let has_failed = avoided > 0 || survived > 0;
    let avoids_failure = best.fits.filter(|_| has_failed).map(|fits| fits && avoided > 0);
    let recorded_fails = trials.first().is_some_and(|trial| trial.fits == Some(false));
    let device = tuned.capacity.map(|capacity| Bytes(capacity.available));
    let spare = device.filter(|_| best.fits == Some(true)).zip(best.smallest_capacity);
    let spare = spare.and_then(|(device, least)| device.checked_sub(Bytes(least)));
    let also = match (avoids_failure, recorded_fails, spare) {
        (Some(true), _, Some(spare)) => {
            format!(", and the request that failed is served, with {spare} to spare")
        }
        (Some(true), ..) => ", and the request that failed is served".to_owned(),
        (_, true, Some(spare)) => format!(", and the run fits, with {spare} to spare"),
        _ => String::new(),
    };
    Decided {
        verdict: VerdictV1::Use,
        sentence: format!("{}{also}", gain(best)),
        recommendation: Some(RecommendationV1 {
            conf: best.conf.clone(),
            line: line(&best.conf),
            saved: best.saved,
            saved_share: best.saved_share,
            device_allocs: best.device_allocs,
            avoids_failure,
            smallest_capacity: best.smallest_capacity,
            spare: spare.map(|spare| spare.0),
        }),
        closest: None,
    }
}

/// `other settings need 5.79 GiB, 2.41 GiB (29.4 %) less than those recorded`.
fn gain(best: &TrialV1) -> String {
    let what = if best.conf.is_empty() { "the defaults" } else { "other settings" };
    let peak = best.peak_reserved.map_or(Bytes::ZERO, Bytes);
    let change = match (best.saved, best.saved_share) {
        (Some(saved @ 1..), Some(share)) => {
            format!("{} ({}) less than", Bytes(saved.unsigned_abs()), percent(share))
        }
        (Some(cost), _) if cost < 0 => format!("{} more than", Bytes(cost.unsigned_abs())),
        _ => "as much as".to_owned(),
    };
    format!("{what} need {peak}, {change} those recorded")
}

/// The trial that needs the least, of those that need more than the device has.
fn closest(trials: &[TrialV1], device: Bytes) -> Option<ClosestV1> {
    let sized = trials.iter().filter_map(|trial| Some((trial.smallest_capacity?, trial)));
    let (capacity, trial) = sized.min_by_key(|(capacity, _)| *capacity)?;
    let missing = capacity.checked_sub(device.0).filter(|missing| *missing > 0)?;
    Some(ClosestV1 { conf: trial.conf.clone(), line: line(&trial.conf), missing })
}

/// What to put before the command.
fn line(conf: &str) -> String {
    format!("{VARIABLE}={conf}")
}
