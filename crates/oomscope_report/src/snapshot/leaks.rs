//! `leaks`: what steps leave behind, how fast it grows, and how sure that is.

mod headline;

use oomscope_model::Bytes;
use oomscope_snapshot::views::{
    Course, Forecast, GroupBy, LeakGroup, Leaks, StepsBy, Trend, Verdict,
};
use schemars::JsonSchema;
use serde::Serialize;

use self::headline::{CANNOT_TELL, headline};
use super::View;
use super::fragmentation::counted;
use super::live::{LeftOutV1, name};
use super::section::{Cell, Column, Section, Shown, Table, column};
use super::wire::{PointV1, TallyV1};
use crate::wire::PlaceV1;

/// What outlives its step.
#[derive(Serialize, JsonSchema)]
pub struct LeaksV1 {
    /// Up to this moment.
    pub(crate) at: PointV1,
    /// `growing`, `steady` or `cannot-tell`.
    pub(crate) verdict: &'static str,
    /// The verdict in a sentence.
    pub(crate) headline: String,
    /// What a step adds, in bytes: the slope of `trend` where there is one; null when nothing grows
    /// or the steps are not whole.
    pub(crate) bytes_per_step: Option<u64>,
    /// Left behind by a step that leaves something, the median, in bytes.
    pub(crate) bytes_per_growing_step: Option<u64>,
    /// Whole steps that leave something behind.
    pub(crate) growing_steps: Option<u32>,
    /// When growing, all that is held of what was left behind, in bytes: what the groups survived.
    pub(crate) left_behind: Option<u64>,
    /// What is held of earlier steps, or is older than the recording, in bytes; null where no whole
    /// step is known.
    pub(crate) survived: Option<u64>,
    /// Of that, what is older than the recording.
    pub(crate) older_than_recording: u64,
    /// The line with the largest part of the growth.
    pub(crate) place: Option<PlaceV1>,
    /// What that line adds in a step, in bytes.
    pub(crate) place_bytes_per_step: Option<u64>,
    /// What told the steps: `stacks`, `sizes`, `optimizer`, `user` or `nothing`.
    pub(crate) steps_by: &'static str,
    /// The event at which each step starts.
    pub(crate) step_starts: Vec<u32>,
    /// The first step of the loop that runs at the moment, counted from 1.
    pub(crate) since_step: u32,
    /// The least that was held in each whole step, in bytes.
    pub(crate) floors: Vec<u64>,
    /// The course of the floors since `since_step`.
    pub(crate) course: &'static str,
    /// The line through them.
    pub(crate) trend: Option<TrendV1>,
    /// What the blocks are summed by.
    pub(crate) by: &'static str,
    /// Growing groups first, at most `--limit`.
    pub(crate) groups: Vec<LeakGroupV1>,
    /// What the limit left out.
    pub(crate) left_out: LeftOutV1,
    /// What is held by its age in steps, youngest first.
    pub(crate) ages: Vec<AgeV1>,
    /// When the device is full; null where its capacity is not known.
    pub(crate) forecast: Option<ForecastV1>,
}

/// A line through floors: Theil–Sen's median of slopes, with Sen's rank interval.
#[derive(Clone, Copy, Serialize, JsonSchema)]
pub(crate) struct TrendV1 {
    /// Bytes a step.
    pub(crate) slope: f64,
    /// Lower end of the 95 % interval.
    pub(crate) low: f64,
    /// Upper end of the 95 % interval.
    pub(crate) high: f64,
    /// How much of the variance the line explains, 0 to 1.
    pub(crate) r_squared: f64,
    /// Steps that it was fitted to.
    pub(crate) steps: u32,
}

/// Blocks of one key.
#[derive(Clone, Serialize, JsonSchema)]
pub(crate) struct LeakGroupV1 {
    /// The key in words.
    pub(crate) label: String,
    /// The line of code, where the key is one.
    pub(crate) place: Option<PlaceV1>,
    /// The library call right below the line.
    pub(crate) library_call: Option<String>,
    /// What most of the bytes are.
    pub(crate) category: &'static str,
    /// All that is held at the moment.
    pub(crate) held: TallyV1,
    /// What earlier steps made of it, or is older than the recording; null where no whole step is
    /// known.
    pub(crate) survived: Option<TallyV1>,
    /// Age of the oldest survivor, in steps.
    pub(crate) oldest_steps: Option<u32>,
    /// `growing`, `warm-up`, `steady`, `falling` or `too-short`.
    pub(crate) course: &'static str,
    /// The line through the floors.
    pub(crate) trend: Option<TrendV1>,
    /// The least held in each whole step, in bytes.
    pub(crate) floors: Vec<u64>,
}

/// What is held of one age.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AgeV1 {
    /// The age in words.
    pub(crate) age: String,
    /// The sum.
    #[serde(flatten)]
    pub(crate) tally: TallyV1,
}

/// When the device is full.
#[derive(Clone, Copy, Serialize, JsonSchema)]
pub(crate) struct ForecastV1 {
    /// Reserved plus free on the device, as a failure in the trace states it, in bytes.
    pub(crate) capacity: u64,
    /// The most that the last whole step held, in bytes.
    pub(crate) step_peak: u64,
    /// Whole steps that still fit.
    pub(crate) steps: u64,
}

/// The view of what outlives its step, its first `limit` groups.
pub fn leaks(leaks: &Leaks, by: GroupBy, limit: usize) -> View {
    let (shown, rest) = leaks.groups.split_at(limit.min(leaks.groups.len()));
    let (verdict, growing) = match &leaks.verdict {
        Verdict::Growing { rate, total, heaviest } => ("growing", Some((rate, total, heaviest))),
        Verdict::Steady { .. } => ("steady", None),
        Verdict::CannotTell(_) => ("cannot-tell", None),
    };
    let rate = growing.map(|(rate, ..)| rate);
    let heaviest = growing.map(|(.., heaviest)| heaviest);
    View::Leaks(Box::new(LeaksV1 {
        at: PointV1::of(&leaks.point),
        verdict,
        headline: headline(leaks),
        bytes_per_step: rate.and_then(|rate| rate.per_step).map(|bytes| bytes.0),
        bytes_per_growing_step: rate.and_then(|rate| rate.per_growing_step).map(|bytes| bytes.0),
        growing_steps: rate.map(|rate| rate.growing),
        left_behind: growing.map(|(_, total, _)| total.0),
        survived: leaks.survived.map(|bytes| bytes.0),
        older_than_recording: leaks.older.0,
        place: heaviest.and_then(|it| it.place.as_ref()).map(PlaceV1::of),
        place_bytes_per_step: heaviest.and_then(|it| it.per_step).map(|bytes| bytes.0),
        steps_by: match leaks.steps_by {
            StepsBy::Stacks => "stacks",
            StepsBy::Sizes => "sizes",
            StepsBy::Optimizer => "optimizer",
            StepsBy::User => "user",
            StepsBy::Nothing => "nothing",
        },
        step_starts: leaks.starts.iter().map(|event| event.0).collect(),
        since_step: leaks.since,
        floors: leaks.floors.iter().map(|bytes| bytes.0).collect(),
        course: course_name(leaks.course),
        trend: leaks.trend.map(TrendV1::of),
        by: name(by),
        groups: shown.iter().map(LeakGroupV1::of).collect(),
        left_out: LeftOutV1 {
            groups: rest.len() as u64,
            bytes: rest.iter().map(|group| group.held.bytes).sum::<Bytes>().0,
        },
        ages: leaks
            .ages
            .iter()
            .map(|class| AgeV1 { age: class.label.clone(), tally: TallyV1::of(&class.tally) })
            .collect(),
        forecast: leaks.forecast.map(ForecastV1::of),
    }))
}

impl LeaksV1 {
    /// Whether growth was found.
    pub(crate) fn is_growing(&self) -> bool {
        self.verdict == "growing"
    }
}

impl TrendV1 {
    fn of(trend: Trend) -> TrendV1 {
        TrendV1 {
            slope: trend.slope,
            low: trend.low,
            high: trend.high,
            r_squared: trend.r_squared,
            steps: trend.points,
        }
    }
}

impl ForecastV1 {
    fn of(forecast: Forecast) -> ForecastV1 {
        ForecastV1 {
            capacity: forecast.capacity.0,
            step_peak: forecast.step_peak.0,
            steps: forecast.steps,
        }
    }
}

impl LeakGroupV1 {
    fn of(group: &LeakGroup) -> LeakGroupV1 {
        LeakGroupV1 {
            label: group.label.clone(),
            place: group.place.as_ref().map(PlaceV1::of),
            library_call: group.library_call.clone(),
            category: group.category.name(),
            held: TallyV1::of(&group.held),
            survived: group.survived.as_ref().map(TallyV1::of),
            oldest_steps: group.oldest_steps,
            course: course_name(group.course),
            trend: group.trend.map(TrendV1::of),
            floors: group.floors.iter().map(|bytes| bytes.0).collect(),
        }
    }
}

fn course_name(course: Course) -> &'static str {
    match course {
        Course::Growing => "growing",
        Course::WarmUp(_) => "warm-up",
        Course::Steady => "steady",
        Course::Falling => "falling",
        Course::TooShort => "too-short",
    }
}

impl LeaksV1 {
    pub(super) fn sections(&self) -> Vec<Section> {
        let mut sections = vec![
            Section::Headline(self.headline_with_moment()),
            Section::Facts(self.facts()),
            Section::Table(self.groups_table()),
        ];
        if !self.ages.is_empty() {
            sections.push(Section::Table(self.ages_table()));
        }
        if self.steps_by == "sizes" {
            sections.push(Section::Note(
                "steps are told from request sizes that recur, since no loop shows in the stacks; \
                 `--steps-from` says otherwise"
                    .to_owned(),
            ));
        }
        sections
    }

    /// The moment stands where the sentence can take it: a reason would run into it.
    fn headline_with_moment(&self) -> String {
        let moment = self.at.words();
        match self.headline.strip_prefix(CANNOT_TELL) {
            Some(reason) => format!("{CANNOT_TELL} {moment}{reason}"),
            None => format!("{}, seen {moment}", self.headline),
        }
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        let whole = self.floors.len();
        let told = match self.steps_by {
            "stacks" => "a loop in the stacks",
            "sizes" => "request sizes that recur",
            "optimizer" => "the optimizer's steps",
            "user" => "the command line",
            _ => "nothing",
        };
        if self.step_starts.is_empty() {
            facts.push(("steps", "none found".to_owned()));
            return facts;
        }
        let since = match self.since_step {
            1 => String::new(),
            step => format!("; the loop that runs began at step {step}"),
        };
        let text = format!(
            "{}, told from {told}{since}",
            counted(whole as u64, "whole step", "whole steps")
        );
        facts.push(("steps", text));
        if let (Some(first), Some(last)) = (self.floors.first(), self.floors.last()) {
            facts.push((
                "floor",
                format!("{} → {}  {}", Bytes(*first), Bytes(*last), sparkline(&self.floors, 24)),
            ));
        }
        if let Some(trend) = &self.trend {
            facts.push((
                "trend",
                format!(
                    "{} a step, 95 % between {} and {}, R² {:.2} over {} steps (Theil–Sen)",
                    signed(trend.slope),
                    signed(trend.low),
                    signed(trend.high),
                    trend.r_squared,
                    trend.steps
                ),
            ));
        }
        if let Some(forecast) = &self.forecast {
            facts.push((
                "forecast",
                format!(
                    "full in about {}: a step now needs {} of {}",
                    counted(forecast.steps, "step", "steps"),
                    Bytes(forecast.step_peak),
                    Bytes(forecast.capacity)
                ),
            ));
        }
        facts
    }

    fn groups_table(&self) -> Table {
        let people = |name| Column { name, shown: Shown::ToPeople };
        let files = |name| Column { name, shown: Shown::InFiles };
        let rows = self.groups.iter().map(|group| {
            let label = match &group.place {
                Some(place) if self.by == "line" => {
                    Cell::Place(place.place(), group.library_call.clone())
                }
                _ => Cell::Text(group.label.clone()),
            };
            let trend = |figure: fn(&TrendV1) -> f64| {
                group.trend.as_ref().map_or(Cell::Unknown, |trend| Cell::Number(figure(trend)))
            };
            let floor = |at: Option<&u64>| at.map_or(Cell::Unknown, |at| Cell::Bytes(Bytes(*at)));
            let is_moving = matches!(group.course, "growing" | "falling");
            let slope = group.trend.filter(|_| is_moving).map(|trend| trend.slope.round() as i64);
            vec![
                Cell::Text(group.course.to_owned()),
                slope.map_or(Cell::Unknown, Cell::Change),
                group.survived.as_ref().map_or(Cell::Unknown, |it| Cell::Bytes(Bytes(it.bytes))),
                group.oldest_steps.map_or(Cell::Unknown, |steps| Cell::Count(steps.into())),
                Cell::Text(sparkline(&group.floors, 12)),
                label,
                floor(group.floors.first()),
                floor(group.floors.last()),
                trend(|trend| trend.slope),
                trend(|trend| trend.low),
                trend(|trend| trend.high),
                trend(|trend| trend.r_squared),
                Cell::Bytes(Bytes(group.held.bytes)),
                group.survived.as_ref().map_or(Cell::Unknown, |it| Cell::Count(it.blocks)),
                Cell::Text(group.category.to_owned()),
            ]
        });
        Table {
            title: format!("Survivors by {}", self.by),
            rows: rows.collect(),
            columns: vec![
                column("course"),
                column("a step"),
                column("survived"),
                column("oldest"),
                people("floors"),
                column(self.by),
                files("first floor"),
                files("last floor"),
                files("slope"),
                files("slope low"),
                files("slope high"),
                files("r squared"),
                files("held"),
                files("blocks"),
                files("mostly"),
            ],
            left_out: self.left_out.for_table(),
        }
    }

    fn ages_table(&self) -> Table {
        let whole: Bytes = self.ages.iter().map(|age| Bytes(age.tally.bytes)).sum();
        let rows = self.ages.iter().map(|age| {
            let share = Bytes(age.tally.bytes).share_of(whole);
            vec![
                Cell::Bytes(Bytes(age.tally.bytes)),
                Cell::Bar(share),
                Cell::Share(share),
                Cell::Count(age.tally.blocks),
                Cell::Text(age.age.clone()),
            ]
        });
        Table {
            title: "Held at the moment by age".to_owned(),
            rows: rows.collect(),
            columns: vec![
                column("bytes"),
                Column { name: "", shown: Shown::ToPeople },
                column("share"),
                column("blocks"),
                column("age"),
            ],
            left_out: None,
        }
    }
}

/// `+34.00 MiB`, `−1.00 KiB`.
fn signed(bytes: f64) -> String {
    let whole = Bytes(bytes.abs().round() as u64);
    match bytes {
        _ if whole == Bytes::ZERO => "0 bytes".to_owned(),
        bytes if bytes < 0.0 => format!("-{whole}"),
        _ => format!("+{whole}"),
    }
}

/// A series in eighths of a block, thinned to `columns`; its lowest value is the lowest block.
fn sparkline(values: &[u64], columns: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let (Some(lowest), Some(highest)) = (values.iter().min(), values.iter().max()) else {
        return String::new();
    };
    let columns = columns.min(values.len());
    let range = (highest - lowest).max(1) as f64;
    let picked = (0..columns).filter_map(|column| {
        let at = (column * (values.len() - 1)).checked_div(columns - 1).unwrap_or(0);
        let height = (values.get(at)? - lowest) as f64 / range;
        BLOCKS.get((height * 7.0).round() as usize).copied()
    });
    picked.collect()
}

#[cfg(test)]
mod tests {
    use super::{signed, sparkline};

    #[test]
    fn series_are_drawn_from_their_lowest_to_their_highest() {
        assert_eq!(sparkline(&[0, 1, 2, 3, 4, 5, 6, 7], 24), "▁▂▃▄▅▆▇█");
        assert_eq!(sparkline(&(0..1000).collect::<Vec<_>>(), 3), "▁▄█");
        assert_eq!(sparkline(&[7, 7], 24), "▁▁");
        assert_eq!(sparkline(&[7], 24), "▁");
        assert_eq!(sparkline(&[], 24), "");
    }

    #[test]
    fn slopes_have_a_sign() {
        assert_eq!(signed(34.0 * 1024.0 * 1024.0), "+34.00 MiB");
        assert_eq!(signed(-512.0), "-512 bytes");
        assert_eq!(signed(0.2), "0 bytes");
    }
}
