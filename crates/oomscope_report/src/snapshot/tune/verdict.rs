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
    pub(crate) saved: i64,
    /// The same as a share of 1.
    pub(crate) saved_share: f64,
    /// Calls that obtain memory from the device.
    pub(crate) device_allocs: u64,
    /// Whether a request that failed when it was recorded would have been served; null when none
    /// failed.
    pub(crate) avoids_failure: Option<bool>,
    /// The smallest capacity for the allocator at which every request is served.
    pub(crate) smallest_capacity: Option<u64>,
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
    let closest = device.and_then(|device| closest(trials, device));
    let only =
        |verdict, sentence| Decided { verdict, sentence, recommendation: None, closest: None };
    if let Some(device) = device.filter(|device| live > *device) {
        let sentence = format!(
            "no setting can help: {live} are live at once, the device has {device} for the allocator"
        );
        return only(VerdictV1::Hopeless, sentence);
    }
    if let Some(best) = trials.iter().find(|trial| trial.is_best) {
        return recommended(tuned, trials, best);
    }
    if let (Some(device), true) = (device, trials.iter().all(|trial| trial.fits == Some(false))) {
        let near = closest.as_ref().map(|closest| {
            let conf = if closest.conf.is_empty() { "the defaults" } else { closest.conf.as_str() };
            format!("; `{conf}` comes closest and lacks {}", Bytes(closest.missing))
        });
        let sentence = format!(
            "no setting that was tried fits into {device}, though only {live} are live at once{}",
            near.unwrap_or_default()
        );
        return Decided { closest, ..only(VerdictV1::NothingFits, sentence) };
    }
    let peak = trials.first().map_or(Bytes::ZERO, |trial| Bytes(trial.peak_reserved));
    let sentence = format!(
        "keep what you have: nothing that was tried saves more than 1 % of the {peak} reserved"
    );
    only(VerdictV1::Keep, sentence)
}

fn recommended(tuned: &Tuned, trials: &[TrialV1], best: &TrialV1) -> Decided {
    let outcome = tuned.tuning.best.and_then(|best| tuned.tuning.trials.get(best));
    let outcome = outcome.map(|trial| trial.on_device.as_ref().unwrap_or(&trial.free));
    let avoided = outcome.map_or(0, |outcome| outcome.avoided);
    let survived = outcome.map_or(0, |outcome| outcome.survived);
    let has_failed = avoided > 0 || survived > 0;
    let avoids_failure = has_failed.then_some(avoided > 0 && best.fits != Some(false));
    let peak = Bytes(best.peak_reserved);
    let gain = match best.saved {
        saved @ 1.. => {
            let saved = Bytes(saved.unsigned_abs());
            format!("saves {saved} of the reserved memory ({})", percent(best.saved_share))
        }
        _ => format!("reserves {peak} where it has room"),
    };
    let recorded_fails = trials.first().is_some_and(|trial| trial.fits == Some(false));
    let also = match (avoids_failure, recorded_fails) {
        (Some(true), _) => ", and the request that failed is served",
        (_, true) => ", and the run fits",
        _ => "",
    };
    Decided {
        verdict: VerdictV1::Use,
        sentence: format!("`{}` {gain}{also}", line(&best.conf)),
        recommendation: Some(RecommendationV1 {
            conf: best.conf.clone(),
            line: line(&best.conf),
            saved: best.saved,
            saved_share: best.saved_share,
            device_allocs: best.device_allocs,
            avoids_failure,
            smallest_capacity: best.smallest_capacity,
        }),
        closest: None,
    }
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
