//! Which settings a recorded run should use.

use oomscope_allocator::{Capacity, Tuning, candidates, tune};

use crate::replay::{Recorded, recorded_capacity};

/// Tries the known settings on a recorded run: on `device`, or on the one that the recording
/// shows.
pub fn tune_recorded(recorded: &Recorded, device: Option<Capacity>) -> Tuning {
    let device = device.or_else(|| recorded_capacity(recorded));
    let candidates = candidates(recorded.release);
    let program = &recorded.followed.program;
    tune(program, &recorded.settings, recorded.release, device, &candidates)
}
