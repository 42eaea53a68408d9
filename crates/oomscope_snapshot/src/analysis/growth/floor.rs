//! Without stacks only the floor of the curve tells: the least that was allocated in each of
//! sixteen windows keeps rising.

use oomscope_model::{Bytes, Growth};

use super::rising_share;
use crate::analysis::past::Past;

const WINDOWS: u32 = 16;
/// Windows shorter than this are noise.
const FEWEST_EVENTS: u32 = 8;

pub(super) fn find(past: &Past<'_>) -> Option<Growth> {
    let window = past.until / WINDOWS;
    if window < FEWEST_EVENTS || past.has_stacks() {
        return None;
    }
    let floors: Vec<Bytes> = (0..WINDOWS)
        .filter_map(|index| {
            let (from, to) = (window * index, window * (index + 1));
            past.timeline()
                .allocated
                .get(from as usize..to as usize)?
                .iter()
                .min()
                .copied()
                .map(Bytes)
        })
        .collect();
    // The first windows hold the model's construction and the first step's states.
    let (first, last) = (*floors.get(2)?, *floors.last()?);
    let total = last.checked_sub(first)?;
    if rising_share(&floors) < 0.8 || total.share_of(last) < 0.3 {
        return None;
    }
    Some(Growth {
        periods: 0,
        growing_periods: 0,
        per_period: None,
        total,
        lines: Vec::new(),
        stacks_per_period: 0,
        call_kept_percent: None,
        blocks_get_larger: false,
        backward_ran: false,
    })
}
