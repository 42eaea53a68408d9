//! A search in words and tables.

use oomscope_model::Bytes;

use super::super::section::{Cell, Column, Section, Shown, Table, column, grouped};
use super::super::text::percent;
use super::{TrialV1, TuneV1};

/// Characters of settings that a table of 80 columns has room for.
const ROOM: usize = 30;

impl TuneV1 {
    pub(in super::super) fn sections(&self) -> Vec<Section> {
        let mut sections = vec![Section::Headline(self.sentence.clone())];
        sections.push(Section::Facts(self.facts()));
        sections.push(Section::Table(self.table()));
        let long: Vec<(String, String)> = self
            .shown()
            .filter(|trial| trial.conf.chars().count() > ROOM)
            .map(|trial| (Bytes(trial.peak_reserved).to_string(), format!("`{}`", trial.conf)))
            .collect();
        if !long.is_empty() {
            sections.push(Section::Reasons("Written out".to_owned(), long));
        }
        sections.extend(self.notes().into_iter().map(Section::Note));
        sections
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
        facts.push((
            "unavoidable",
            format!("{live} live at once; {packed} by best fit in one space"),
        ));
        if let Some(best) = &self.recommendation {
            facts.push(("use", format!("`{}`", best.line)));
            let calls = grouped(best.device_allocs);
            let mut gain = match best.saved {
                saved @ 1.. => {
                    let saved = Bytes(saved.unsigned_abs());
                    format!("{saved} ({}) less reserved", percent(best.saved_share))
                }
                _ => "nothing on a device without limit".to_owned(),
            };
            gain.push_str(&format!(", for {calls} device allocations"));
            facts.push(("it saves", gain));
            if let Some(capacity) = best.smallest_capacity {
                facts.push(("it runs in", format!("{} for the allocator", Bytes(capacity))));
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
                Cell::Bytes(Bytes(trial.peak_reserved)),
                Cell::Change(trial.saved.saturating_neg()),
                Cell::Share(trial.saved_share),
                Cell::Count(trial.device_allocs),
                Cell::Count(trial.device_frees),
                trial.smallest_capacity.map_or(Cell::Unknown, |it| Cell::Bytes(Bytes(it))),
                trial.fits.map_or(Cell::Unknown, yes),
                yes(trial.is_recorded),
                yes(trial.is_on_front),
                yes(trial.is_best),
            ]
        });
        let title = if self.is_front_only {
            "Recorded, then what no other setting beats"
        } else {
            "All that was tried"
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
        if let Some(event) = self.divergence_event {
            notes.push(format!(
                "the model parts from the recording at event {}: figures are estimates",
                grouped(event.into())
            ));
        }
        notes.extend(self.read.uncertain.iter().cloned());
        notes.extend(self.read.faults.iter().map(|fault| fault.words()));
        notes
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
