//! A search in words and tables.

use oomscope_model::Bytes;

use super::super::replay::FaultV1;
use super::super::section::{Cell, Column, Section, Shown, Table, column, grouped};
use super::super::text::percent;
use super::{TrialV1, TuneV1};
use crate::layout::Tone;

/// Characters of settings that a table of 80 columns has room for.
const ROOM: usize = 30;
/// The share of the device from which on live bytes fill it.
const FULL: f64 = 0.97;

impl TuneV1 {
    pub(in super::super) fn sections(&self) -> Vec<Section> {
        let mut sections = vec![Section::Headline(self.sentence.clone())];
        // Lines to paste are pictures: those are never wrapped.
        sections.extend(
            self.recommendation
                .as_ref()
                .map(|best| Section::Picture(vec![vec![(Tone::Code, format!("  {}", best.line))]])),
        );
        sections.push(Section::Facts(self.facts()));
        sections.push(Section::Table(self.table()));
        sections.extend(self.written_out().map(Section::Picture));
        sections.extend(self.notes().into_iter().map(Section::Note));
        sections
    }

    /// The settings that the table has no room for.
    fn written_out(&self) -> Option<Vec<Vec<(Tone, String)>>> {
        let long = self.shown().filter(|trial| trial.conf.chars().count() > ROOM);
        let mut lines: Vec<Vec<(Tone, String)>> = long
            .map(|trial| {
                let peak = trial.peak_reserved.map_or("–".to_owned(), |it| Bytes(it).to_string());
                vec![(Tone::Plain, format!("  {peak:>11}  ")), (Tone::Code, trial.conf.clone())]
            })
            .collect();
        if lines.is_empty() {
            return None;
        }
        lines.insert(0, vec![(Tone::Heading, "Written out".to_owned())]);
        Some(lines)
    }

    fn shown(&self) -> impl Iterator<Item = &TrialV1> {
        let is_shown = |trial: &&TrialV1| {
            !self.is_front_only || trial.is_on_front || trial.is_recorded || trial.is_best
        };
        self.trials.iter().filter(is_shown)
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = self.read.facts();
        if let Some(capacity) = self.capacity.filter(|_| self.capacity != self.read.device) {
            facts.push(("tried on", format!("{} for the allocator", Bytes(capacity))));
        }
        let (live, packed) = (Bytes(self.need.live), Bytes(self.need.packed));
        facts.push(("unavoidable", format!("{live} live at once; {packed} if packed well")));
        if let Some(best) = &self.recommendation {
            let calls = grouped(best.device_allocs);
            facts.push(("costs", format!("{calls} device allocations")));
            if let Some(capacity) = best.smallest_capacity {
                facts.push(("runs in", format!("{} for the allocator", Bytes(capacity))));
            }
        }
        facts
    }

    fn table(&self) -> Table {
        let in_files = |name| Column { name, shown: Shown::InFiles };
        let to_people = |name| Column { name, shown: Shown::Everywhere };
        let mut columns = vec![
            to_people("settings"),
            column("reserved"),
            column("change"),
            in_files("saved share"),
            column("calls"),
            in_files("device frees"),
            column("runs in"),
            in_files("recorded"),
            in_files("front"),
            in_files("best"),
            in_files("conf"),
        ];
        let knows_fit = self.trials.iter().any(|trial| trial.fits.is_some());
        columns.insert(
            7,
            Column {
                name: "fits",
                shown: if knows_fit { Shown::Everywhere } else { Shown::InFiles },
            },
        );
        let yes = |is: bool| Cell::Text(if is { "yes" } else { "no" }.to_owned());
        let rows = self.shown().map(|trial| {
            vec![
                Cell::Text(name(trial)),
                trial.peak_reserved.map_or(Cell::Unknown, |it| Cell::Bytes(Bytes(it))),
                trial.saved.map_or(Cell::Unknown, |saved| Cell::Change(saved.saturating_neg())),
                trial.saved_share.map_or(Cell::Unknown, Cell::Share),
                Cell::Count(trial.device_allocs),
                Cell::Count(trial.device_frees),
                trial.smallest_capacity.map_or(Cell::Unknown, |it| Cell::Bytes(Bytes(it))),
                trial.fits.map_or(Cell::Unknown, yes),
                yes(trial.is_recorded),
                yes(trial.is_on_front),
                yes(trial.is_best),
                Cell::Text(trial.conf.clone()),
            ]
        });
        let title = if self.is_front_only {
            "Recorded, then what no other setting beats, on a device without limit"
        } else {
            "All that was tried, on a device without limit"
        };
        Table { title: title.to_owned(), columns, rows: rows.collect(), left_out: None }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.recommendation.as_ref().is_some_and(|best| best.avoids_failure == Some(true)) {
            notes.push(
                "what the program would have done after the request that failed was not recorded"
                    .to_owned(),
            );
        }
        notes.extend(self.close_call());
        if let Some(event) = self.divergence_event {
            notes.push(format!(
                "the model parts from the recording at event {}: figures are estimates",
                grouped(event.into())
            ));
        }
        notes.extend(self.read.uncertain.iter().cloned());
        notes.extend(self.read.faults.iter().map(FaultV1::words));
        notes
    }
}

impl TuneV1 {
    /// Whether what lives alone fills the device.
    fn close_call(&self) -> Option<String> {
        let (capacity, live) = (Bytes(self.capacity?), Bytes(self.need.live));
        let share = live.share_of(capacity);
        let is_close = self.recommendation.is_some() && (FULL..=1.0).contains(&share);
        is_close.then(|| {
            format!(
                "what is live at once fills {} of the device: settings help for this request, \
                 hardly for the next",
                percent(share)
            )
        })
    }
}

/// Settings by name.
fn name(trial: &TrialV1) -> String {
    match (trial.conf.as_str(), trial.is_recorded) {
        ("", true) => "recorded: the defaults".to_owned(),
        (conf, true) => format!("recorded: {conf}"),
        ("", false) => "the defaults".to_owned(),
        (conf, false) => conf.to_owned(),
    }
}
