//! The process's cap, where garbage collection shows it: `set_per_process_memory_fraction` is not
//! recorded, but the trace shows at what size collection began.

use oomscope_model::EventKind;

use crate::follow::{Followed, Setup, follow};
use crate::trace::Trace;

/// Guesses within the bounds that the trace leaves.
const GUESSES: u64 = 16;

/// As [`follow`]; where the settings collect garbage and the cap is not known, with the cap under
/// which the model agrees longest. The cap comes with the result, bytes.
pub fn follow_with_cap<T: Trace + ?Sized>(trace: &T, setup: &Setup<'_>) -> (Followed, Option<u64>) {
    let first = follow(trace, setup);
    let Some(share) = setup.settings.garbage_collection_threshold else {
        return (first, setup.allowed);
    };
    if first.divergence.is_none() || setup.allowed.is_some() {
        return (first, setup.allowed);
    }
    let (lowest, highest) = thresholds(trace, setup);
    let width = highest.saturating_sub(lowest);
    let mut best = (first, None);
    for guess in 0..=GUESSES {
        let threshold = lowest + width / GUESSES * guess;
        let allowed = Some((threshold as f64 / share).ceil() as u64);
        let followed = follow(trace, &Setup { allowed, ..setup.clone() });
        let until = |followed: &Followed| followed.divergence.map(|divergence| divergence.event);
        match (until(&followed), until(&best.0)) {
            (None, _) => return (followed, allowed),
            (Some(event), Some(before)) if event > before => best = (followed, allowed),
            _ => {}
        }
    }
    best
}

/// Between which sizes collection began: the largest at which a segment came without it, and the
/// smallest at which it took place.
fn thresholds<T: Trace + ?Sized>(trace: &T, setup: &Setup<'_>) -> (u64, u64) {
    let held = setup.start.iter().map(|segment| segment.size);
    let mut reserved = held.fold(0, u64::saturating_add);
    let (mut without, mut with) = (0, None::<u64>);
    let mut frees = false;
    for event in (0..trace.len()).map_while(|index| trace.event(index)) {
        match event.kind {
            EventKind::SegmentFree | EventKind::SegmentUnmap => {
                if !frees {
                    with = Some(with.map_or(reserved, |least| least.min(reserved)));
                }
                frees = true;
                reserved = reserved.saturating_sub(event.size.0);
            }
            EventKind::SegmentAlloc | EventKind::SegmentMap => {
                if !frees && with.is_none_or(|least| reserved < least) {
                    without = without.max(reserved);
                }
                reserved = reserved.saturating_add(event.size.0);
            }
            _ => frees = false,
        }
    }
    (without, with.unwrap_or(reserved).max(without))
}
