//! The blocks that are held at the moment: by group with the floors of each, and by age in steps.

use oomscope_model::{Bytes, Place, Role, StackId};
use rustc_hash::FxHashMap;

use super::floors::floors;
use super::trend::{Course, Trend, course, trend};
use super::{GroupBy, Tally};
use crate::analysis::Recording;
use crate::analysis::past::Past;
use crate::views::grouping::{Keys, Spelling};
use crate::{Life, LiveBlock, State};

/// Floors of this many steps, over all groups, are worked out; the largest groups have them.
const MOST_CELLS: usize = 1 << 22;
/// Differences below this are an allocator's granule or two.
const GROUP_SLACK: u64 = 1024;

/// Blocks of one key that are held at the moment.
#[derive(Clone, Debug, PartialEq)]
pub struct LeakGroup {
    /// The key in words.
    pub label: String,
    /// The user's line, where the key is one.
    pub place: Option<Place>,
    /// The library call right below it, as most of the bytes have it.
    pub library_call: Option<String>,
    /// What most of the bytes are.
    pub category: Role,
    /// All blocks held at the moment.
    pub held: Tally,
    /// Those that an earlier step made, not the set-up before the first, and those older than the
    /// recording; `None` where no whole step is known.
    pub survived: Option<Tally>,
    /// Of what survived, the bytes that are older than the recording.
    pub older: Bytes,
    /// Steps since the oldest of those was made.
    pub oldest_steps: Option<u32>,
    /// The least held in each whole step; empty where groups are too many to work out.
    pub floors: Vec<Bytes>,
    /// The line through the floors of the loop that runs.
    pub trend: Option<Trend>,
    /// Their course.
    pub course: Course,
}

/// Blocks held at the moment, of one age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgeClass {
    /// The age in words.
    pub label: String,
    /// Their sum.
    pub tally: Tally,
}

#[derive(Default)]
struct Building {
    held: Tally,
    survived: Tally,
    older: Bytes,
    oldest: Option<u32>,
    stacks: FxHashMap<StackId, Bytes>,
    roles: FxHashMap<Role, Bytes>,
}

/// The groups, growing ones first by what they add in a step, then most survived.
pub(super) fn groups(
    recording: &Recording<'_>,
    past: &Past<'_>,
    state: &State,
    lives: &[&Life],
    since: usize,
    by: GroupBy,
) -> Vec<LeakGroup> {
    let spelling = Spelling::default();
    let keys = Keys { recording, past, state, by, now: past.until, spelling: &spelling };
    let last = past.periods().starts.len() as u32;
    let mut groups: FxHashMap<String, Building> = FxHashMap::default();
    let mut labels: FxHashMap<StackId, String> = FxHashMap::default();
    for block in &past.live {
        let label = labels.entry(block.stack).or_insert_with(|| keys.label(block));
        if !groups.contains_key(label.as_str()) {
            groups.insert(label.clone(), Building::default());
        }
        let Some(group) = groups.get_mut(label.as_str()) else { continue };
        group.held.add(block);
        *group.stacks.entry(block.stack).or_default() += block.size;
        *group.roles.entry(past.role_of(block)).or_default() += block.size;
        match block.allocated_at.map(|at| past.period_of(at)) {
            None => {
                group.survived.add(block);
                group.older += block.size;
            }
            Some(made) if made > 0 && made < last => {
                group.survived.add(block);
                group.oldest = group.oldest.max(Some(last - made));
            }
            Some(_) => {}
        }
    }
    let mut groups: Vec<LeakGroup> =
        groups.into_iter().map(|(label, group)| group.finish(label, past, by)).collect();
    if last < 2 {
        for group in &mut groups {
            group.survived = None;
        }
    }
    groups.sort_by(|a, b| b.held.bytes.cmp(&a.held.bytes).then_with(|| a.label.cmp(&b.label)));
    add_floors(past, lives, since, &labels, &mut groups);
    groups.sort_by(|a, b| order(b).cmp(&order(a)).then_with(|| a.label.cmp(&b.label)));
    groups
}

impl LeakGroup {
    /// What survived; zero where that is not known.
    pub(super) fn survived_bytes(&self) -> Bytes {
        self.survived.map_or(Bytes::ZERO, |tally| tally.bytes)
    }
}

/// Where the device as a whole is level, groups that rise while others sink by as much only take
/// their place: those do not grow.
pub(super) fn settle(groups: &mut [LeakGroup], whole: Option<Trend>) {
    let is_growing = |group: &LeakGroup| group.course == Course::Growing;
    let rise: f64 = groups
        .iter()
        .filter(|group| is_growing(group))
        .filter_map(|group| Some(group.trend?.slope))
        .sum();
    if whole.is_none_or(|whole| whole.slope * 2.0 >= rise) {
        return;
    }
    for group in groups.iter_mut().filter(|group| is_growing(group)) {
        group.course = Course::Steady;
    }
    groups.sort_by(|a, b| order(b).cmp(&order(a)).then_with(|| a.label.cmp(&b.label)));
}

/// Growing groups by their slope, then the others by what survived, then by what they hold.
fn order(group: &LeakGroup) -> (bool, u64, Bytes, Bytes) {
    let is_growing = group.course == Course::Growing;
    let slope = group.trend.filter(|_| is_growing).map_or(0, |trend| trend.slope as u64);
    (is_growing, slope, group.survived_bytes(), group.held.bytes)
}

fn add_floors(
    past: &Past<'_>,
    lives: &[&Life],
    since: usize,
    labels: &FxHashMap<StackId, String>,
    groups: &mut [LeakGroup],
) {
    let starts = &past.periods().starts;
    let worked_out = groups.len().min(MOST_CELLS / starts.len().max(1));
    let numbers: FxHashMap<&str, u32> =
        groups.iter().take(worked_out).map(|group| group.label.as_str()).zip(0..).collect();
    let by_stack: FxHashMap<StackId, u32> = labels
        .iter()
        .filter_map(|(stack, label)| Some((*stack, *numbers.get(label.as_str())?)))
        .collect();
    let found = floors(lives.iter().copied(), starts, worked_out, |life: &Life| {
        by_stack.get(&life.stack).copied()
    });
    for (group, floors) in groups.iter_mut().zip(found) {
        let running = floors.get(since..).unwrap_or_default();
        group.course = course(running, GROUP_SLACK);
        group.trend = trend(running);
        group.floors = floors.into_iter().map(Bytes).collect();
    }
}

impl Building {
    fn finish(self, label: String, past: &Past<'_>, by: GroupBy) -> LeakGroup {
        let stack = heaviest(&self.stacks).unwrap_or(StackId::NONE);
        let summary = past.summary(stack);
        let names_a_line = matches!(by, GroupBy::Line | GroupBy::Stack);
        LeakGroup {
            label,
            place: summary.place.clone().filter(|_| names_a_line),
            library_call: summary.library_call.clone().filter(|_| names_a_line),
            category: heaviest(&self.roles).unwrap_or(Role::Unknown),
            held: self.held,
            survived: Some(self.survived),
            older: self.older,
            oldest_steps: self.oldest,
            floors: Vec::new(),
            trend: None,
            course: Course::TooShort,
        }
    }
}

fn heaviest<K: Copy + Ord>(sums: &FxHashMap<K, Bytes>) -> Option<K> {
    sums.iter().max_by_key(|(key, bytes)| (**bytes, std::cmp::Reverse(**key))).map(|(key, _)| *key)
}

/// What is held by age, in doubling numbers of steps, youngest first.
pub(super) fn ages(past: &Past<'_>) -> Vec<AgeClass> {
    let last = past.periods().starts.len() as u32;
    if last == 0 {
        return Vec::new();
    }
    let mut classes: std::collections::BTreeMap<(u8, u32), Tally> =
        std::collections::BTreeMap::new();
    for block in &past.live {
        classes.entry(age_class(past, block, last)).or_default().add(block);
    }
    let named =
        classes.into_iter().map(|(class, tally)| AgeClass { label: age_name(class), tally });
    named.collect()
}

fn age_class(past: &Past<'_>, block: &LiveBlock, last: u32) -> (u8, u32) {
    let Some(at) = block.allocated_at else { return (2, 0) };
    match past.period_of(at) {
        0 => (1, 0),
        made => (0, last.saturating_sub(made).checked_ilog2().map_or(0, |power| power + 1)),
    }
}

fn age_name(class: (u8, u32)) -> String {
    match class {
        (0, 0) => "this step".to_owned(),
        (0, 1) => "1 step".to_owned(),
        (0, power) => format!("{} to {} steps", 1_u64 << (power - 1), (1_u64 << power) - 1),
        (1, _) => "before the first step".to_owned(),
        _ => "older than the recording".to_owned(),
    }
}
