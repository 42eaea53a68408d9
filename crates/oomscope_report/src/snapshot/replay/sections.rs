//! A replay in words, tables and charts.

use oomscope_model::Bytes;

use super::super::chart;
use super::super::section::{Cell, Section, Table, change, column, grouped};
use super::super::text::percent;
use super::curve::CountsV1;
use super::read::counted;
use super::{OomV1, ReplayV1, RunV1, less};
use crate::layout::Tone;

impl ReplayV1 {
    pub(in super::super) fn sections(&self) -> Vec<Section> {
        let mut sections = vec![Section::Headline(self.headline()), Section::Facts(self.facts())];
        sections.push(Section::Table(self.figures()));
        sections.push(Section::Table(self.unavoidable()));
        sections.extend(self.divergence.as_ref().map(super::DivergenceV1::section));
        sections.extend(self.charts().into_iter().map(Section::Picture));
        sections.extend(self.notes().into_iter().map(Section::Note));
        sections
    }

    /// The answer in one sentence.
    pub(super) fn headline(&self) -> String {
        if let Some(changed) = &self.changed {
            return self.changed_headline(changed);
        }
        let peak = Bytes(self.recorded.peak_reserved);
        let events = grouped(self.read.events);
        match &self.divergence {
            None => format!(
                "the model agrees with PyTorch at all {events} events; {peak} reserved at the peak"
            ),
            Some(divergence) => format!(
                "the model agrees with PyTorch up to event {} of {events}, then parts from it",
                grouped(divergence.event.into())
            ),
        }
    }

    fn changed_headline(&self, changed: &RunV1) -> String {
        let peak = Bytes(changed.peak_reserved);
        if let Some(oom) = &changed.oom {
            let still = if self.recorded.oom.is_some() { "still ends" } else { "ends" };
            return format!(
                "the run {still} out of memory, at event {}: {} asked for, {} held",
                grouped(oom.event.into()),
                Bytes(oom.size),
                Bytes(oom.reserved)
            );
        }
        let fits = if changed.capacity.is_some() { "the run fits" } else { "the run ends" };
        let before = Bytes(self.recorded.peak_reserved);
        format!("{fits}: {peak} reserved at the peak instead of {before}{}", self.savings(changed))
    }

    fn savings(&self, changed: &RunV1) -> String {
        let (before, after) = (Bytes(self.recorded.peak_reserved), Bytes(changed.peak_reserved));
        match (before.checked_sub(after), after.checked_sub(before)) {
            (Some(saved), _) if saved > Bytes::ZERO => {
                format!(", {saved} less ({})", percent(saved.share_of(before)))
            }
            (None, Some(cost)) => format!(", {cost} more ({})", percent(cost.share_of(before))),
            _ => String::new(),
        }
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = self.read.facts();
        facts.extend(self.recorded.oom.as_ref().map(|oom| ("failure", failure(oom))));
        if self.recorded.survived_ooms > 0 {
            let failed = counted(self.recorded.survived_ooms, "failed request");
            facts.push(("caught", format!("{failed}, after which the program went on")));
        }
        if let Some(changed) = &self.changed {
            facts.push(("changed", setting(changed)));
            facts.extend(changed.oom.as_ref().map(|oom| ("fails", failure(oom))));
        }
        facts
    }

    /// The figures of both runs side by side.
    fn figures(&self) -> Table {
        let bytes = |of: fn(&RunV1) -> u64| {
            let mut cells = vec![Cell::Bytes(Bytes(of(&self.recorded)))];
            if let Some(changed) = &self.changed {
                cells.push(Cell::Bytes(Bytes(of(changed))));
                cells.push(Cell::Change(less(of(changed), of(&self.recorded))));
            }
            cells
        };
        let count = |of: fn(&RunV1) -> u64| {
            let mut cells = vec![Cell::Count(of(&self.recorded))];
            if let Some(changed) = &self.changed {
                cells.push(Cell::Count(of(changed)));
                cells.push(Cell::More(less(of(changed), of(&self.recorded))));
            }
            cells
        };
        let rows = [
            ("peak allocated", bytes(|run| run.peak_allocated)),
            ("peak active", bytes(|run| run.peak_active)),
            ("peak reserved", bytes(|run| run.peak_reserved)),
            ("reserved at the end", bytes(|run| run.reserved)),
            ("segments at the end", count(|run| run.segments)),
            ("device allocations", count(|run| run.device_allocs)),
            ("device frees", count(|run| run.device_frees)),
            ("retries", count(|run| run.retries)),
            ("failed requests", count(|run| run.ooms)),
        ];
        let mut columns = vec![column("figure"), column("recorded")];
        if self.changed.is_some() {
            columns.extend([column("changed"), column("change")]);
        }
        Table {
            title: "The run".to_owned(),
            columns,
            rows: rows
                .into_iter()
                .map(|(name, cells)| {
                    std::iter::once(Cell::Text(name.to_owned())).chain(cells).collect()
                })
                .collect(),
            left_out: None,
        }
    }

    fn unavoidable(&self) -> Table {
        let row =
            |bytes: u64, words: &str| vec![Cell::Bytes(Bytes(bytes)), Cell::Text(words.to_owned())];
        Table {
            title: "How much is unavoidable".to_owned(),
            columns: vec![column("bytes"), column("what")],
            rows: vec![
                row(self.need.live, "live at once: no allocator can do with less"),
                row(self.need.packed, "packed well, same lifetimes: an estimate"),
                row(self.gap, "reserved beyond what was live, as recorded"),
            ],
            left_out: None,
        }
    }

    fn charts(&self) -> Vec<Vec<chart::Line>> {
        if self.curve.event.is_empty() {
            return Vec::new();
        }
        let top = self.curve.most();
        let chart = |name: &str, counts: &CountsV1, run: &RunV1| {
            let failures: Vec<&OomV1> = run.oom.iter().collect();
            let timeline = self.timeline(vec![("active", &counts.active)], &failures);
            let key = vec![
                (Tone::Heading, name.to_owned()),
                (Tone::Bar, "   █ ".to_owned()),
                (Tone::Plain, "active".to_owned()),
                (Tone::Faint, "   ░ ".to_owned()),
                (Tone::Plain, "reserved beyond it".to_owned()),
            ];
            chart::two_layers(&timeline, key, [&counts.active, &counts.reserved], top)
        };
        let mut charts = vec![chart("As recorded", &self.curve.recorded, &self.recorded)];
        if let (Some(counts), Some(run)) = (&self.curve.changed, &self.changed) {
            charts.push(chart("Changed", counts, run));
        }
        charts
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(divergence) = &self.divergence {
            notes.push(divergence.words.clone());
            notes.push(format!(
                "from event {} on, figures of the model are estimates",
                grouped(divergence.event.into())
            ));
        }
        if let Some(changed) = &self.changed {
            if changed.conf.contains("cudaMallocAsync") {
                notes.push(
                    "`cudaMallocAsync` is the driver's own pool, of which no source is public: \
                     its figures are an estimate"
                        .to_owned(),
                );
            }
            if self.control != 0 {
                notes.push(format!(
                    "the recorded requests run again as they were hold {} at the peak: addresses \
                     are not the recorded ones, and figures of the change may be as far off",
                    change(self.control)
                ));
            }
            if let Some(capacity) = changed.capacity.filter(|it| *it < self.read.held_before) {
                notes.push(format!(
                    "the recording begins with {} held, more than {}: how the program would have \
                     come there was not recorded",
                    Bytes(self.read.held_before),
                    Bytes(capacity)
                ));
            }
            let is_vague = !self.read.is_device_exact && changed.capacity == self.read.device;
            if is_vague && changed.peak_reserved > self.read.granted && changed.capacity.is_some() {
                notes.push(format!(
                    "the device is known to give {}, not more: whether the run fits is not certain",
                    Bytes(self.read.granted)
                ));
            }
            if changed.avoided_ooms > 0 {
                notes.push(
                    "the request that failed is served; what the program would have done after \
                     it was not recorded"
                        .to_owned(),
                );
            }
        }
        notes.extend(self.read.uncertain.iter().cloned());
        notes.extend(self.read.faults.iter().map(super::read::FaultV1::words));
        notes
    }
}

/// A failure in words.
fn failure(oom: &OomV1) -> String {
    let place = oom.place.as_ref().map(|place| format!(" in {}", place.place()));
    format!(
        "a request of {} at event {}{}, with {} reserved and {} active",
        Bytes(oom.size),
        grouped(oom.event.into()),
        place.unwrap_or_default(),
        Bytes(oom.reserved),
        Bytes(oom.active)
    )
}

/// What a run runs under.
fn setting(run: &RunV1) -> String {
    let conf = match run.conf.as_str() {
        "" => "the default settings".to_owned(),
        conf => format!("`{conf}`"),
    };
    let device = match run.capacity {
        Some(capacity) => format!("{} for the allocator", Bytes(capacity)),
        None => "a device without limit".to_owned(),
    };
    format!("{conf}, {device}, the rules of PyTorch {}", run.version)
}
