//! How long blocks live, how much comes and goes, and whether freed blocks serve again.

use std::collections::hash_map::Entry;

use oomscope_model::{BlockState, Bytes, Place, StackId};
use rustc_hash::FxHashMap;

use super::grouping::{GroupBy, Keys, Spelling};
use super::moment::Point;
use super::selection::Selection;
use crate::analysis::Recording;
use crate::analysis::past::Past;
use crate::{Life, LiveBlock, Trace};

/// A block is short-lived when it was given up before this many others, of those that
/// are selected, were handed out.
pub const SHORT_LIVED: u32 = 10;

/// What lifetimes are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Microseconds.
    Micros,
    /// Events of the trace, where times were not recorded.
    Events,
}

/// Bytes handed out in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Churn {
    /// A step of the program; only whole steps count.
    Step,
    /// A second.
    Second,
    /// Neither steps nor times are known.
    Unknown,
}

/// The lives of one group's blocks. All but `peak_live` is about blocks whose birth was recorded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupLives {
    /// The key in words.
    pub label: String,
    /// The user's line, where the key is one.
    pub place: Option<Place>,
    /// Blocks handed out.
    pub allocations: u64,
    /// Bytes handed out.
    pub allocated: Bytes,
    /// Lifetimes of the blocks that ended, in units of the clock: median, 95th percentile, longest.
    pub ended: Option<(u64, u64, u64)>,
    /// Blocks still held at the moment.
    pub live: u64,
    /// Bytes still held at the moment.
    pub live_bytes: Bytes,
    /// Bytes handed out per [`Churn`].
    pub churn: Option<Bytes>,
    /// The most bytes held at once, blocks that are older than the recording included.
    pub peak_live: Bytes,
    /// Allocations whose address and rounded size are those of the recorded block that was last
    /// handed out at that address.
    pub reused: u64,
    /// Of those, the ones whose predecessor was of the same group.
    pub reused_own: u64,
    /// Allocations that got the block which, of all blocks of their size and stream, was the last
    /// to become free, where none had been handed out since.
    pub served_by_last_freed: u64,
    /// Bytes of blocks that were given up before [`SHORT_LIVED`] others were handed out.
    pub short_lived: Bytes,
}

/// Blocks that lived for `from` and longer, but shorter than `below`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifetimeBucket {
    /// At least this long.
    pub from: u64,
    /// Shorter than this; `None` for the last one.
    pub below: Option<u64>,
    /// Blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: Bytes,
}

/// The lives of the selected blocks up to a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Lifetimes {
    /// The moment; what came later is not looked at.
    pub point: Point,
    /// What lifetimes are counted in.
    pub clock: Clock,
    /// What churn is per.
    pub churn_per: Churn,
    /// Whole steps seen.
    pub steps: u32,
    /// What blocks are summed by.
    pub by: GroupBy,
    /// All selected blocks as one group.
    pub all: GroupLives,
    /// By group, most bytes handed out first.
    pub groups: Vec<GroupLives>,
    /// The blocks that ended, by lifetime in powers of ten.
    pub histogram: Vec<LifetimeBucket>,
    /// Blocks, and bytes, that are older than the recording: nobody knows how long they lived.
    pub older: (u64, Bytes),
}

/// The lives of the selected blocks up to `point`, grouped.
pub fn lifetimes(
    recording: &Recording<'_>,
    point: Point,
    selection: &Selection,
    by: GroupBy,
) -> Lifetimes {
    let until = recording.history().time(point.at);
    let lives: Vec<&Life> =
        recording.lives(selection).into_iter().filter(|life| life.born <= until).collect();
    let state = recording.state(point.at);
    let past = recording.past(point.at, &state);
    let spelling = Spelling::default();
    let keys = Keys { recording, past: &past, state: &state, by, now: until, spelling: &spelling };
    let groups = Groups::of(&keys, &lives);
    let trace = recording.trace();
    let clock = match trace.and_then(|trace| trace.iter().next()) {
        Some((_, first)) if first.time_us.is_some() => Clock::Micros,
        _ => Clock::Events,
    };
    let period = Period::of(&past, trace, until);
    let mut tallies: Vec<Counting> = groups.names.iter().map(|_| Counting::default()).collect();
    let mut all = Counting::default();
    let mut older = (0, Bytes::ZERO);
    for (life, &group) in lives.iter().zip(&groups.of_life) {
        if life.allocated_at.is_none() {
            older = (older.0 + 1, older.1 + life.size);
            continue;
        }
        let ended = lifetime(life, trace, clock, until);
        for counting in [Some(&mut all), tallies.get_mut(group as usize)].into_iter().flatten() {
            counting.add(life, ended, &period);
        }
    }
    walk(&lives, &groups.of_life, until, &mut tallies, &mut all);
    let histogram = histogram(&all.ended);
    let named = tallies.into_iter().zip(groups.names);
    let mut groups: Vec<GroupLives> = named
        .map(|(counting, (label, place))| counting.finish(label, place, &period))
        .filter(|group| group.allocations > 0 || group.peak_live > Bytes::ZERO)
        .collect();
    groups.sort_by(|a, b| b.allocated.cmp(&a.allocated).then_with(|| a.label.cmp(&b.label)));
    let all = all.finish("all".to_owned(), None, &period);
    Lifetimes {
        point,
        clock,
        churn_per: period.per,
        steps: period.steps,
        by,
        all,
        groups,
        histogram,
        older,
    }
}

/// How long a block was held; `None` while it still is.
fn lifetime(life: &Life, trace: Option<&Trace>, clock: Clock, until: u32) -> Option<u64> {
    let (born, end) = (life.allocated_at?, life.released_at()?);
    if life.released > until {
        return None;
    }
    match clock {
        Clock::Events => Some(end.0.saturating_sub(born.0).into()),
        Clock::Micros => {
            let trace = trace?;
            let time = |event| trace.event(event)?.time_us;
            Some(time(end)?.saturating_sub(time(born)?))
        }
    }
}

/// Which group each life is of.
struct Groups {
    names: Vec<(String, Option<Place>)>,
    of_life: Vec<u32>,
}

impl Groups {
    fn of(keys: &Keys<'_>, lives: &[&Life]) -> Groups {
        let mut names: Vec<(String, Option<Place>)> = Vec::new();
        let mut ids: FxHashMap<String, u32> = FxHashMap::default();
        let mut by_stack: FxHashMap<StackId, u32> = FxHashMap::default();
        let mut id = |life: &Life| {
            let label = keys.label(&as_block(life));
            *ids.entry(label).or_insert_with_key(|label| {
                let place = keys.past.summary(life.stack).place.clone();
                names.push((label.clone(), place.filter(|_| keys.by == GroupBy::Line)));
                (names.len() - 1) as u32
            })
        };
        let of_life = lives.iter().map(|life| {
            if !keys.depends_on_stack_alone() {
                return id(life);
            }
            match by_stack.entry(life.stack) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => *new.insert(id(life)),
            }
        });
        let of_life = of_life.collect();
        Groups { names, of_life }
    }
}

fn as_block(life: &Life) -> LiveBlock {
    LiveBlock {
        addr: life.addr,
        size: life.size,
        requested: life.requested,
        stack: life.stack,
        state: BlockState::Allocated,
        stream: life.stream,
        allocated_at: life.allocated_at,
    }
}

/// The stretch of the trace that churn is measured over.
struct Period {
    per: Churn,
    steps: u32,
    /// Events of whole steps, or all.
    events: std::ops::Range<u32>,
    micros: u64,
}

impl Period {
    fn of(past: &Past<'_>, trace: Option<&Trace>, until: u32) -> Period {
        let starts = &past.periods().starts;
        if let [first, .., last] = starts.as_slice() {
            let steps = (starts.len() - 1) as u32;
            return Period { per: Churn::Step, steps, events: *first..*last, micros: 0 };
        }
        let (mut first, mut last) = (None, 0);
        for (_, event) in trace.into_iter().flat_map(Trace::iter).take(until as usize) {
            let Some(time) = event.time_us else { continue };
            first.get_or_insert(time);
            last = time;
        }
        let micros = first.map_or(0, |first| last.saturating_sub(first));
        let per = if micros > 0 { Churn::Second } else { Churn::Unknown };
        Period { per, steps: 0, events: 0..until, micros }
    }

    fn rate(&self, bytes: Bytes) -> Option<Bytes> {
        match self.per {
            Churn::Step => Some(Bytes(bytes.0.checked_div(self.steps.into())?)),
            Churn::Second => {
                let scaled = u128::from(bytes.0) * 1_000_000;
                let rate = scaled.checked_div(self.micros.into())?;
                Some(Bytes(u64::try_from(rate).unwrap_or(u64::MAX)))
            }
            Churn::Unknown => None,
        }
    }
}

#[derive(Default)]
struct Counting {
    sums: GroupLives,
    ended: Vec<(u64, Bytes)>,
    in_period: Bytes,
    now: u64,
}

impl Counting {
    fn add(&mut self, life: &Life, ended: Option<u64>, period: &Period) {
        let sums = &mut self.sums;
        sums.allocations += 1;
        sums.allocated += life.size;
        if let Some(lifetime) = ended {
            self.ended.push((lifetime, life.size));
        } else {
            sums.live += 1;
            sums.live_bytes += life.size;
        }
        if life.allocated_at.is_some_and(|event| period.events.contains(&event.0)) {
            self.in_period += life.size;
        }
    }

    fn hold(&mut self, size: Bytes) {
        self.now = self.now.saturating_add(size.0);
        self.sums.peak_live = self.sums.peak_live.max(Bytes(self.now));
    }

    fn give_up(&mut self, size: Bytes) {
        self.now = self.now.saturating_sub(size.0);
    }

    fn finish(mut self, label: String, place: Option<Place>, period: &Period) -> GroupLives {
        self.ended.sort_unstable();
        let len = self.ended.len();
        let at = |rank: usize| self.ended.get(rank).map(|(lifetime, _)| *lifetime);
        // Nearest rank: the smallest lifetime that at least so many per cent do not exceed.
        let rank = |percent: usize| (len * percent).div_ceil(100).saturating_sub(1);
        let ended = at(rank(50)).zip(at(rank(95))).zip(at(len.saturating_sub(1)));
        let ended = ended.map(|((median, p95), longest)| (median, p95, longest));
        GroupLives { label, place, ended, churn: period.rate(self.in_period), ..self.sums }
    }
}

/// What happens to a block, in the order in which one event does it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    GivenUp,
    Free,
    HandedOut,
}

/// Goes through the lives in the order of events.
fn walk(lives: &[&Life], groups: &[u32], until: u32, of: &mut [Counting], all: &mut Counting) {
    let mut steps: Vec<(u32, Step, u32)> = Vec::with_capacity(lives.len() * 3);
    for (life, index) in lives.iter().zip(0_u32..) {
        let ends = [(life.released, Step::GivenUp), (life.completed, Step::Free)];
        steps.push((life.born, Step::HandedOut, index));
        // A block that waits from its birth on is given up where it is born.
        steps.extend(
            ends.into_iter()
                .filter(|(time, _)| *time <= until)
                .map(|(time, step)| (time.max(life.born), step, index)),
        );
    }
    // A block's own birth comes before its end, even at one event.
    steps.sort_unstable_by_key(|&(time, step, index)| {
        let is_own_end = lives.get(index as usize).is_some_and(|life| life.born == time);
        (time, is_own_end && step != Step::HandedOut, step, index)
    });
    let mut handed_out = 0_u32;
    let mut born_as: Vec<u32> = vec![0; lives.len()];
    let mut last_at: FxHashMap<u64, (Bytes, u32)> = FxHashMap::default();
    let mut last_freed: FxHashMap<(Bytes, u64), u64> = FxHashMap::default();
    for (_, step, index) in steps {
        let at = index as usize;
        let (Some(life), Some(&group)) = (lives.get(at), groups.get(at)) else { continue };
        let Some(own) = of.get_mut(group as usize) else { continue };
        match step {
            Step::GivenUp => {
                own.give_up(life.size);
                all.give_up(life.size);
                let since = born_as.get(at).map_or(0, |born| handed_out.saturating_sub(*born));
                if life.allocated_at.is_some() && since < SHORT_LIVED {
                    own.sums.short_lived += life.size;
                    all.sums.short_lived += life.size;
                }
            }
            Step::Free => {
                last_freed.insert((life.size, life.stream), life.addr);
            }
            Step::HandedOut => {
                own.hold(life.size);
                all.hold(life.size);
                let before = last_at.insert(life.addr, (life.size, group));
                let freed = last_freed.remove(&(life.size, life.stream));
                if life.allocated_at.is_none() {
                    continue;
                }
                handed_out = handed_out.saturating_add(1);
                if let Some(born) = born_as.get_mut(at) {
                    *born = handed_out;
                }
                let same_range = before.filter(|(size, _)| *size == life.size);
                let is_own = same_range.is_some_and(|(_, before)| before == group);
                for sums in [&mut own.sums, &mut all.sums] {
                    sums.reused += u64::from(same_range.is_some());
                    sums.reused_own += u64::from(is_own);
                    sums.served_by_last_freed += u64::from(freed == Some(life.addr));
                }
            }
        }
    }
}

/// Powers of ten from the shortest to the longest lifetime.
fn histogram(ended: &[(u64, Bytes)]) -> Vec<LifetimeBucket> {
    let mut buckets: Vec<LifetimeBucket> = Vec::new();
    let class = |lifetime: u64| lifetime.checked_ilog10().map_or(0, |power| power + 1);
    let classes = || ended.iter().map(|(lifetime, _)| class(*lifetime));
    let (Some(low), Some(high)) = (classes().min(), classes().max()) else { return buckets };
    for class in low..=high {
        buckets.push(LifetimeBucket {
            from: if class == 0 { 0 } else { 10_u64.saturating_pow(class - 1) },
            below: 10_u64.checked_pow(class),
            blocks: 0,
            bytes: Bytes::ZERO,
        });
    }
    for (lifetime, size) in ended {
        let bucket = class(*lifetime).checked_sub(low).and_then(|at| buckets.get_mut(at as usize));
        if let Some(bucket) = bucket {
            bucket.blocks += 1;
            bucket.bytes += *size;
        }
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::{GroupBy, histogram, lifetimes};
    use crate::Recording;
    use crate::fixture::{Node, event, frame, segment, snapshot};
    use crate::views::{MomentChoice, Selection};
    use oomscope_model::{Bytes, DeviceId};

    #[test]
    fn a_freed_range_that_serves_again_is_reuse() {
        let at = |line| Node::List(vec![frame("train.py", "main", line)]);
        let free = |addr| {
            let events = ["free_requested", "free_completed"];
            events.map(|action| event(action, addr, 512, at(9)))
        };
        let mut trace = vec![event("segment_alloc", 0x1000, 2 << 20, at(1))];
        trace.push(event("alloc", 0x1000, 512, at(1)));
        trace.push(event("alloc", 0x1200, 512, at(2)));
        trace.extend(free(0x1200));
        trace.extend(free(0x1000));
        // The block that was freed last comes first; the other one goes to another line.
        trace.push(event("alloc", 0x1000, 500, at(1)));
        trace.push(event("alloc", 0x1200, 512, at(1)));
        trace.extend(free(0x1200));
        trace.extend(free(0x1000));
        let file = snapshot(vec![segment(0x1000, 2 << 20, "small", Vec::new())], vec![trace]);
        let snapshot = crate::read(&file).expect("a snapshot");
        let recording = Recording::new(&snapshot, DeviceId(0));
        let point = recording.point(MomentChoice::End).expect("the dump");
        let lives = lifetimes(&recording, point, &Selection::default(), GroupBy::Line);
        let all = &lives.all;
        assert_eq!((all.allocations, all.allocated, all.live), (4, Bytes(2048), 0));
        assert_eq!((all.reused, all.reused_own, all.served_by_last_freed), (2, 1, 1));
        assert_eq!((all.peak_live, all.short_lived), (Bytes(1024), Bytes(2048)));
        let lines: Vec<(&str, u64)> =
            lives.groups.iter().map(|group| (group.label.as_str(), group.allocations)).collect();
        assert_eq!(lines, [("train.py:1", 3), ("train.py:2", 1)]);
    }

    #[test]
    fn the_histogram_has_a_bucket_for_each_power_of_ten() {
        let ended: Vec<(u64, Bytes)> =
            [0, 1, 9, 10, 99, 1000].map(|lifetime| (lifetime, Bytes(512))).to_vec();
        let buckets = histogram(&ended);
        let shape: Vec<(u64, Option<u64>, u64)> =
            buckets.iter().map(|bucket| (bucket.from, bucket.below, bucket.blocks)).collect();
        assert_eq!(
            shape,
            [
                (0, Some(1), 1),
                (1, Some(10), 2),
                (10, Some(100), 2),
                (100, Some(1000), 0),
                (1000, Some(10_000), 1)
            ]
        );
        assert!(histogram(&[]).is_empty());
    }
}
