//! What a replay says to the diagnosis: was there room, and which settings would have found it?

use oomscope_allocator::{Capacity, Settings, Trial, need, trials};
use oomscope_model::{Bytes, Moment, ReplayEvidence, ReplayTrial, SnapshotEvidence};
use oomscope_snapshot::Snapshot;

use crate::replay::recorded::follow_trace;
use crate::replay::{DeviceTrace, Recorded, recorded_capacity};

/// What is tried: what people would set, not all that could be.
const TRIED: [&str; 5] = [
    "expandable_segments:True",
    "max_split_size_mb:128",
    "max_split_size_mb:512",
    "roundup_power2_divisions:4",
    "roundup_power2_divisions:8",
];

/// Replays the trace of the device that `evidence` is about, up to its moment. `None` where there
/// is no trace, or no request in it.
pub fn replay_evidence(snapshot: &Snapshot, evidence: &SnapshotEvidence) -> Option<ReplayEvidence> {
    let (Moment::Oom { event, .. } | Moment::Peak { event }) = evidence.moment else {
        return None;
    };
    let trace = DeviceTrace::new(snapshot, evidence.device).until(event);
    let recorded = follow_trace(snapshot, evidence.device, &trace, None);
    if recorded.followed.program.requests() == 0 {
        return None;
    }
    let capacity = recorded_capacity(&recorded);
    let tried = search(&recorded, capacity);
    let (first, others) = tried.split_first()?;
    // Where the recorded settings would have served what failed, the capacity is not what it seems.
    let failed = matches!(evidence.moment, Moment::Oom { .. });
    let capacity = capacity.filter(|_| first.fits() == Some(!failed));
    let trials = others.iter().map(|trial| ReplayTrial {
        conf: trial.settings.to_string(),
        peak_reserved: Bytes(trial.free.counters.peak_reserved),
        serves: trial.fits().filter(|_| capacity.is_some()),
    });
    let need = need(&recorded.followed.program);
    Some(ReplayEvidence {
        events: u64::from(event.0) + 1,
        divergence: recorded.followed.divergence.map(|divergence| divergence.event),
        capacity: capacity.map(|capacity| Bytes(capacity.available)),
        live: Bytes(need.live),
        packed: Bytes(need.packed),
        needed: Bytes(first.free.counters.peak_reserved),
        trials: trials.collect(),
    })
}

fn search(recorded: &Recorded, capacity: Option<Capacity>) -> Vec<Trial> {
    let parsed = |conf: &&str| Settings::parse(conf, recorded.release).ok();
    let candidates: Vec<Settings> = TRIED.iter().filter_map(parsed).collect();
    let program = &recorded.followed.program;
    trials(program, &recorded.settings, recorded.release, capacity, &candidates)
}
