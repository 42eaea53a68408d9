//! `replay`: a recorded run by the allocator model, beside the recording and under a change.

mod curve;
mod divergence;
mod read;
mod run;
mod sections;
mod svg;

use oomscope_allocator::Need;
use oomscope_diagnose::replay::{Recorded, Run};
use oomscope_model::DeviceId;
use oomscope_snapshot::Snapshot;
use schemars::JsonSchema;
use serde::Serialize;

use super::View;
use curve::CurveV1;
use divergence::DivergenceV1;
pub(super) use read::{FaultV1, ReadV1};
pub(super) use run::{NeedV1, OomV1, RunV1, Source, available, is_rough};
pub(super) use svg::draw;

/// What a replay found.
#[derive(Clone, Copy)]
pub struct Replayed<'a> {
    /// The file.
    pub snapshot: &'a Snapshot,
    /// The device.
    pub device: DeviceId,
    /// Its trace beside the model.
    pub recorded: &'a Recorded,
    /// The recorded requests run again, as they were.
    pub as_recorded: &'a Run,
    /// The same under a change, where one is asked for.
    pub changed: Option<&'a Run>,
    /// What is unavoidable.
    pub need: Need,
}

/// A recorded run by the allocator model: beside the recording, and under a change.
#[derive(Serialize, JsonSchema)]
pub struct ReplayV1 {
    /// How the recording was read.
    pub(crate) read: ReadV1,
    /// Whether the model does what was recorded at every event.
    pub(crate) agrees: bool,
    /// The first event at which it does not; null when it agrees.
    pub(crate) divergence: Option<DivergenceV1>,
    /// The run as it was recorded.
    pub(crate) recorded: RunV1,
    /// The same requests under the change; null when none is asked for.
    pub(crate) changed: Option<RunV1>,
    /// Highest reserved bytes that the change saves; negative when it costs some, null without
    /// one.
    pub(crate) saved: Option<i64>,
    /// What is unavoidable.
    pub(crate) need: NeedV1,
    /// Highest reserved bytes less what was live at once: what caching and fragmentation cost the
    /// recorded run. 0 when the failed request would have brought more to life than was ever
    /// reserved.
    pub(crate) gap: u64,
    /// Highest reserved bytes of the recorded requests run again as they were, less those of the
    /// recording: how far off figures of a change may be. 0 when both are the same.
    pub(crate) control: i64,
    /// Reserved and active bytes over the events.
    pub(crate) curve: CurveV1,
}

/// The view of a replay.
pub fn replay(replayed: &Replayed) -> View {
    let Replayed { snapshot, device, recorded, .. } = *replayed;
    let source = Source { snapshot, device };
    let divergence = recorded.followed.divergence.as_ref();
    let read = ReadV1::of(snapshot, device, recorded);
    let before = RunV1::recorded(source, recorded, replayed.as_recorded);
    let changed = replayed.changed.map(|run| RunV1 {
        is_estimate: divergence.is_some() || is_rough(&run.settings),
        ..RunV1::of(source, run)
    });
    let need = NeedV1::of(replayed.need);
    View::Replay(Box::new(ReplayV1 {
        agrees: divergence.is_none(),
        divergence: divergence.map(|divergence| DivergenceV1::of(source, divergence)),
        saved: changed.as_ref().map(|changed| less(before.peak_reserved, changed.peak_reserved)),
        gap: before.peak_reserved.saturating_sub(need.live),
        control: less(replayed.as_recorded.outcome.counters.peak_reserved, before.peak_reserved),
        curve: CurveV1::of(replayed, read.events),
        read,
        recorded: before,
        changed,
        need,
    }))
}

impl ReplayV1 {
    /// Whether the run that matters went wrong: the changed one ends in a failure, or without one,
    /// the model does not agree with the recording.
    pub(crate) fn finds_something(&self) -> bool {
        self.changed.as_ref().map_or(!self.agrees, |changed| changed.oom.is_some())
    }
}

/// `from - to`.
pub(super) fn less(from: u64, to: u64) -> i64 {
    let size = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    size(from) - size(to)
}
