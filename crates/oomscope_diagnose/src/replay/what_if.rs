//! A recorded run under other settings, on another device, or both.

use oomscope_allocator::{Capacity, Curve, Need, Outcome, Point, Release, Settings, need, replay};

use crate::replay::Recorded;

/// Points of a curve: more than a chart has columns.
const POINTS: usize = 600;

/// What is to be different. `None` leaves a thing as it was recorded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// The allocator's settings.
    pub settings: Option<Settings>,
    /// The release whose rules are used.
    pub release: Option<Release>,
    /// What the process can hold.
    pub capacity: Option<Capacity>,
}

/// A run of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Under which settings.
    pub settings: Settings,
    /// By whose rules.
    pub release: Release,
    /// On what device; `None` for one without limit.
    pub capacity: Option<Capacity>,
    /// What came of it.
    pub outcome: Outcome,
    /// Counters over time.
    pub curve: Vec<Point>,
}

/// A recorded run, and the same under a change.
#[derive(Clone, Debug, PartialEq)]
pub struct WhatIf {
    /// As it was recorded, by the model.
    pub recorded: Run,
    /// Under the change.
    pub changed: Run,
    /// What is unavoidable.
    pub need: Need,
}

/// The capacity that a recorded run shows, as [`oomscope_allocator::Limits::capacity`] tells it.
pub fn recorded_capacity(recorded: &Recorded) -> Option<Capacity> {
    let available = recorded.followed.limits.capacity()?;
    Some(Capacity { available, total: available })
}

/// Runs a recorded program again, as it was and under a change.
pub fn what_if(recorded: &Recorded, change: &Change) -> WhatIf {
    let capacity = recorded_capacity(recorded);
    let settings = recorded.settings.clone();
    let before = run(recorded, settings, recorded.release, capacity, recorded.allowed);
    let settings = change.settings.clone().unwrap_or_else(|| recorded.settings.clone());
    let release = change.release.unwrap_or(recorded.release);
    let capacity = change.capacity.or(capacity);
    let allowed = recorded.allowed.filter(|_| change.capacity.is_none());
    let changed = run(recorded, settings, release, capacity, allowed);
    WhatIf { recorded: before, changed, need: need(&recorded.followed.program) }
}

/// Runs a recorded program as it was.
pub fn as_recorded(recorded: &Recorded) -> Run {
    let capacity = recorded_capacity(recorded);
    run(recorded, recorded.settings.clone(), recorded.release, capacity, recorded.allowed)
}

/// One run; `allowed` is the process's own cap where the settings do not state it.
fn run(
    recorded: &Recorded,
    settings: Settings,
    release: Release,
    capacity: Option<Capacity>,
    allowed: Option<u64>,
) -> Run {
    let mut limits = capacity.unwrap_or(Capacity { available: u64::MAX, total: u64::MAX / 4 });
    let mut used = settings.clone();
    if let Some(allowed) = allowed.filter(|_| settings.memory_fraction.is_none()) {
        // The cap is known in bytes only.
        limits.total = allowed;
        used.memory_fraction = Some(1.0);
    }
    let program = &recorded.followed.program;
    let mut curve = Curve::new(program.events(), POINTS);
    let outcome = replay(program, &used, release, limits, &mut curve);
    Run { settings, release, capacity, outcome, curve: curve.points().to_vec() }
}
