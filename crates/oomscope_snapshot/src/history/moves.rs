//! Births and completions of blocks in the order in which they happened.

use crate::history::Life;

/// A block comes into being or becomes reusable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Move {
    /// Number of events up to and including the one that did it; 0 for what is older.
    pub(crate) time: u32,
    /// Index of the life.
    pub(crate) life: u32,
    pub(crate) is_birth: bool,
}

/// All moves up to the dump by time; at one time completions come first, so that an address is
/// free before it is handed out again. O(n).
pub(crate) fn moves<'l>(
    lives: impl IntoIterator<Item = &'l Life, IntoIter: Clone>,
    events: u32,
) -> Vec<Move> {
    // A counting sort with two keys a time.
    let key = |it: &Move| it.time as usize * 2 + usize::from(it.is_birth);
    let mut starts = vec![0_u32; events as usize * 2 + 3];
    let each = lives.into_iter().zip(0_u32..);
    for it in each.clone().flat_map(|(life, index)| moves_of(life, index, events)) {
        if let Some(count) = starts.get_mut(key(&it) + 1) {
            *count += 1;
        }
    }
    let mut sum = 0;
    for start in &mut starts {
        sum += *start;
        *start = sum;
    }
    let mut sorted = vec![Move::default(); sum as usize];
    for it in each.flat_map(|(life, index)| moves_of(life, index, events)) {
        let Some(start) = starts.get_mut(key(&it)) else { continue };
        if let Some(place) = sorted.get_mut(*start as usize) {
            *place = it;
        }
        *start += 1;
    }
    sorted
}

fn moves_of(life: &Life, index: u32, events: u32) -> impl Iterator<Item = Move> + use<> {
    let exists = life.born < life.completed;
    [(life.completed, false), (life.born, true)]
        .into_iter()
        .filter(move |(time, _)| exists && *time <= events)
        .map(move |(time, is_birth)| Move { time, life: index, is_birth })
}
