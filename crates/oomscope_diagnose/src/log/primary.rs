//! Which of a log's failures the diagnosis is about.

use oomscope_model::Failure;

use super::figures::count;

/// A failure with this many figures needs no better account of it.
const TELLING: usize = 2;

/// The failure to explain: the first that ended the program and speaks of memory; failing that a
/// caught one; failing that the first. An account without figures yields to one with figures;
/// where the text gives neither rank nor order, the lower device wins.
pub fn primary_failure<'a>(failures: impl IntoIterator<Item = &'a Failure>) -> Option<&'a Failure> {
    let failures: Vec<&Failure> = failures.into_iter().collect();
    let rank_of =
        |failure: &Failure| match (&failure.memory, failure.follows_another, failure.caught) {
            (Some(_), false, false) => 0,
            (Some(_), false, true) => 1,
            (None, false, false) => 2,
            _ => 3,
        };
    let best = failures.iter().copied().map(rank_of).min()?;
    let mut chosen: Option<&Failure> = None;
    for failure in failures.iter().copied().filter(|failure| rank_of(failure) == best) {
        let figures = |failure: &Failure| failure.memory.as_ref().map_or(0, count);
        let device =
            |failure: &Failure| failure.memory.as_ref().and_then(|memory| memory.device_index);
        let is_better = chosen.is_none_or(|before| {
            figures(before) < TELLING && figures(failure) > figures(before)
                || figures(failure) == figures(before)
                    && before.rank.is_none()
                    && failure.rank.is_none()
                    && device(failure)
                        .is_some_and(|index| device(before).is_some_and(|old| index < old))
        });
        if is_better {
            chosen = Some(failure);
        }
    }
    chosen
}
