//! The program's steps where no stacks were recorded: a loop asks for the same sizes again and
//! again, in the same order.
//!
//! A run of request sizes that recurs at an even distance up to the end marks a step. Layers recur
//! too, inside a step: the widest distance wins.

use rustc_hash::{FxHashMap, FxHasher};
use std::hash::Hasher;

use super::past::Past;

/// Requests that make a run: fewer recur by chance.
const RUN: usize = 12;
/// Fewer recurrences than this are no series.
const FEWEST: usize = 5;
/// A distance may differ from the usual one by this part: a step that logs asks for more.
const UNEVEN: f64 = 0.25;
/// This part of the distances is even.
const EVEN: f64 = 0.8;
/// The series covers at least this part of the requests: setting up comes before it.
const COVERED: f64 = 0.33;
/// A step has many runs of its own; at least this part of its requests begins one.
const SUPPORT: f64 = 0.05;

/// Where the steps start, as event indices; empty where nothing recurs.
pub(crate) fn find(past: &Past<'_>) -> Vec<u32> {
    let requests: Vec<(u32, u64)> =
        past.allocations().map(|(index, event)| (index.0, event.size.0)).collect();
    let sizes: Vec<u64> = requests.iter().map(|(_, size)| *size).collect();
    let starts = recurring(&sizes);
    starts.into_iter().filter_map(|at| Some(requests.get(at as usize)?.0)).collect()
}

/// Positions at which the same run of sizes recurs, widest distance first.
fn recurring(sizes: &[u64]) -> Vec<u32> {
    let mut runs: FxHashMap<u64, Vec<u32>> = FxHashMap::default();
    for (run, at) in sizes.windows(RUN).zip(0_u32..) {
        let mut hasher = FxHasher::default();
        for size in run {
            hasher.write_u64(*size);
        }
        runs.entry(hasher.finish()).or_default().push(at);
    }
    let mut by_count: FxHashMap<usize, (u32, u32, &[u32])> = FxHashMap::default();
    for places in runs.values() {
        let Some(distance) = even_distance(places, sizes.len()) else { continue };
        let (support, widest, first) =
            by_count.entry(places.len()).or_insert((0, distance, places.as_slice()));
        *support += 1;
        *widest = (*widest).max(distance);
        if places.first() < first.first() {
            *first = places.as_slice();
        }
    }
    by_count
        .into_values()
        .filter(|(support, distance, _)| f64::from(*support) >= f64::from(*distance) * SUPPORT)
        .max_by_key(|(support, distance, first)| (*distance, *support, first.len()))
        .map(|(_, _, places)| places.to_vec())
        .unwrap_or_default()
}

/// The usual distance between places, where they are evenly spread up to the end of `whole`.
fn even_distance(places: &[u32], whole: usize) -> Option<u32> {
    if places.len() < FEWEST {
        return None;
    }
    let gaps = || places.windows(2).filter_map(|pair| pair.last()?.checked_sub(*pair.first()?));
    let mut sorted: Vec<u32> = gaps().collect();
    sorted.sort_unstable();
    let usual = *sorted.get(sorted.len() / 2)?;
    let (first, last) = (*places.first()?, *places.last()?);
    let is_even = |gap: u32| f64::from(gap.abs_diff(usual)) <= f64::from(usual) * UNEVEN;
    let even = gaps().filter(|gap| is_even(*gap)).count();
    let rest = (whole as u64).saturating_sub(u64::from(last));
    let is_spread = f64::from(last - first) >= whole as f64 * COVERED
        && rest <= u64::from(usual) * 2 + RUN as u64
        && even as f64 >= sorted.len() as f64 * EVEN
        && usual as usize >= RUN / 2;
    is_spread.then_some(usual)
}

#[cfg(test)]
mod tests {
    use super::recurring;

    /// Layers inside steps after a set-up: the steps are found, not the layers.
    fn sizes(steps: usize, extra_every: usize) -> Vec<u64> {
        let mut sizes: Vec<u64> = (0..60).map(|at| 1000 + at * 7).collect();
        for step in 0..steps {
            sizes.extend((0..10).map(|at| 9000 + at));
            for _ in 0..6 {
                sizes.extend((0..14).map(|at| 100 + at));
            }
            sizes.extend((0..20).map(|at| 5000 + at));
            if extra_every > 0 && step % extra_every == 0 {
                sizes.extend([1, 2, 3]);
            }
        }
        sizes
    }

    #[test]
    fn steps_are_found_by_the_sizes_that_recur() {
        assert_eq!(recurring(&sizes(9, 0)).len(), 9);
        assert_eq!(recurring(&sizes(12, 4)).len(), 12);
    }

    #[test]
    fn nothing_recurs_in_ever_new_or_in_equal_sizes() {
        let new: Vec<u64> = (0..5000_u64).map(|at| at * at).collect();
        assert!(recurring(&new).is_empty());
        assert!(recurring(&[]).is_empty());
        assert!(recurring(&[512; 1000]).is_empty(), "equal requests have no steps");
    }

    /// Sizes alone cannot tell: whoever asks wants more recurrences than a small model has layers.
    #[test]
    fn the_layers_of_a_single_step_are_taken_for_steps() {
        assert_eq!(recurring(&sizes(1, 0)).len(), 6);
    }
}
