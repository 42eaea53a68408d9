//! How fast memory grows, and how much of that one line has.

use oomscope_model::{Bytes, Growth, Place, Role};

use super::survivors::LeakGroup;
use super::trend::{Course, Trend};

/// How fast memory grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bytes a step over all steps: the slope of the floors, where there are enough of them.
    pub per_step: Option<Bytes>,
    /// Left behind by a step that leaves something, the median.
    pub per_growing_step: Option<Bytes>,
    /// Steps that leave something behind.
    pub growing: u32,
    /// Whole steps.
    pub steps: u32,
}

impl Rate {
    pub(super) fn of(growth: &Growth, trend: Option<Trend>, whole: usize) -> Rate {
        let per_growing_step = growth.per_period.filter(|_| whole > 0);
        let per_step = match trend {
            Some(trend) => rising(trend),
            None => per_growing_step,
        };
        let steps = whole as u32;
        Rate { per_step, per_growing_step, growing: growth.growing_periods.min(steps), steps }
    }

    /// Whether many steps leave nothing behind.
    pub fn is_sporadic(&self) -> bool {
        self.growing > 0 && u64::from(self.growing) * 10 < u64::from(self.steps) * 8
    }
}

/// The line with the largest part of the growth.
#[derive(Clone, Debug, PartialEq)]
pub struct Heaviest {
    /// The line; `None` without a frame of the user's.
    pub place: Option<Place>,
    /// What most of it is.
    pub role: Role,
    /// What it adds in a step.
    pub per_step: Option<Bytes>,
    /// Its part of the growth, 0 to 1, where both are known.
    pub share: Option<f64>,
}

impl Heaviest {
    /// The group that rises most, where groups are lines; else what the growth was found by.
    pub(super) fn of(growth: &Growth, groups: &[LeakGroup], whole: Option<Trend>) -> Heaviest {
        let growing = groups.iter().filter(|group| group.course == Course::Growing);
        let steepest = growing
            .filter_map(|group| Some((group, group.place.as_ref()?, rising(group.trend?)?)))
            .max_by_key(|(_, _, per_step)| *per_step);
        if let Some((group, place, per_step)) = steepest {
            return Heaviest {
                place: Some(place.clone()),
                role: group.category,
                per_step: Some(per_step),
                share: whole.and_then(rising).map(|whole| per_step.share_of(whole)),
            };
        }
        let line = growth.lines.first();
        Heaviest {
            place: line.and_then(|line| line.place.clone()),
            role: line.map_or(Role::Unknown, |line| line.role),
            per_step: None,
            share: None,
        }
    }
}

fn rising(trend: Trend) -> Option<Bytes> {
    (trend.slope >= 1.0).then_some(Bytes(trend.slope.round() as u64))
}
