//! `summary`: what is in a file, who held memory at the peak, what is missing.

use oomscope_model::{Bytes, Limit};
use oomscope_snapshot::Snapshot;
use oomscope_snapshot::views::Summary;
use schemars::JsonSchema;
use serde::Serialize;

use super::View;
use super::live::{LeftOutV1, groups_table, limited};
use super::section::{Section, duration, grouped};
use super::wire::{CountersV1, GroupV1, PointV1, TallyV1};

/// What is in a file.
#[derive(Serialize, JsonSchema)]
pub struct SummaryV1 {
    /// The PyTorch releases that write such a file.
    pub(crate) torch_version: Option<&'static str>,
    /// `PYTORCH_CUDA_ALLOC_CONF` as recorded.
    pub(crate) alloc_conf: Option<String>,
    /// Whether expandable segments were on.
    pub(crate) expandable_segments: Option<bool>,
    /// `max_split_size`, in bytes; null when unlimited or not stated.
    pub(crate) max_split_size: Option<u64>,
    /// Events by kind.
    pub(crate) events: Vec<EventsV1>,
    /// Segments at the dump.
    pub(crate) segments: u64,
    /// Blocks at the dump, free ones included.
    pub(crate) blocks: u64,
    /// Distinct CUDA streams.
    pub(crate) streams: u64,
    /// Distinct stacks that made blocks.
    pub(crate) stacks: u64,
    /// Microseconds from the first event to the last; null where not recorded.
    pub(crate) duration_us: Option<u64>,
    /// The moment whose holders are listed: the peak, unless another was asked for.
    pub(crate) at: PointV1,
    /// The counters then.
    pub(crate) counters: CountersV1,
    /// The sum of the blocks that the filters keep.
    pub(crate) selected: TallyV1,
    /// The lines that held it, most first.
    pub(crate) holders: Vec<GroupV1>,
    /// What the limit left out.
    pub(crate) left_out: LeftOutV1,
    /// The most that was reserved at any event, in bytes.
    pub(crate) peak_reserved: u64,
    /// The counters at the dump.
    pub(crate) end: CountersV1,
    /// The failures, oldest first.
    pub(crate) failures: Vec<PointV1>,
    /// Events that contradict each other or the segments.
    pub(crate) contradictions: u32,
    /// What is missing, and what that prevents.
    pub(crate) missing: Vec<MissingV1>,
    /// Keys and actions of a newer PyTorch, which were skipped.
    pub(crate) unknown: Vec<UnknownV1>,
}

/// Events of one kind.
#[derive(Serialize, JsonSchema)]
pub(crate) struct EventsV1 {
    /// The kind, as PyTorch names it.
    pub(crate) action: &'static str,
    /// Their number.
    pub(crate) count: u64,
}

/// Something that the recording lacks.
#[derive(Serialize, JsonSchema)]
pub(crate) struct MissingV1 {
    /// What.
    pub(crate) what: &'static str,
    /// What cannot be answered for want of it.
    pub(crate) prevents: &'static str,
}

/// A word of a newer PyTorch.
#[derive(Serialize, JsonSchema)]
pub(crate) struct UnknownV1 {
    /// The word.
    pub(crate) word: String,
    /// How often it was met.
    pub(crate) count: u64,
}

/// The view of a summary, its largest `limit` holders.
pub fn summary(snapshot: &Snapshot, summary: &Summary, limit: usize) -> View {
    let (holders, left_out) = limited(&summary.holders, limit);
    View::Summary(Box::new(SummaryV1 {
        torch_version: snapshot.torch_version,
        alloc_conf: snapshot.settings.conf.clone(),
        expandable_segments: snapshot.settings.expandable_segments,
        max_split_size: snapshot.settings.max_split_size.map(|bytes| bytes.0),
        events: summary
            .events
            .iter()
            .map(|&(kind, count)| EventsV1 { action: kind.action(), count })
            .collect(),
        segments: summary.segments,
        blocks: summary.blocks,
        streams: summary.streams,
        stacks: summary.stacks,
        duration_us: summary.duration_us,
        at: PointV1::of(&summary.peak),
        counters: CountersV1::of(&summary.at_peak),
        selected: TallyV1::of(&summary.selected),
        holders,
        left_out,
        peak_reserved: summary.peak_reserved.0,
        end: CountersV1::of(&summary.end),
        failures: summary.failures.iter().map(PointV1::of).collect(),
        contradictions: summary.contradictions,
        missing: summary
            .limits
            .iter()
            .map(|&limit| MissingV1 { what: limit.meaning(), prevents: prevents(limit) })
            .collect(),
        unknown: snapshot
            .unknown
            .iter()
            .map(|unknown| UnknownV1 { word: unknown.word.clone(), count: unknown.count })
            .collect(),
    }))
}

impl SummaryV1 {
    pub(super) fn sections(&self) -> Vec<Section> {
        let mut sections = vec![
            Section::Headline(self.counters.headline(&self.at)),
            Section::Facts(self.facts()),
            Section::Table(groups_table(
                "Who held it".to_owned(),
                "line",
                &self.holders,
                self.selected.bytes,
                self.left_out,
            )),
        ];
        let missing = self.missing.iter();
        sections.extend(
            missing.map(|it| Section::Note(format!("{}; this prevents {}", it.what, it.prevents))),
        );
        if self.contradictions > 0 {
            sections.push(Section::Note(format!(
                "{} events contradict each other or the segments; they were left out",
                grouped(self.contradictions.into())
            )));
        }
        sections.extend(self.unknown.iter().map(|unknown| {
            Section::Note(format!(
                "skipped `{}`, not known here, {} times",
                unknown.word, unknown.count
            ))
        }));
        sections
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let total: u64 = self.events.iter().map(|events| events.count).sum();
        let mut facts = vec![("PyTorch", self.torch_version.unwrap_or("unknown").to_owned())];
        if let Some(conf) = self.alloc_conf.as_ref().filter(|conf| !conf.is_empty()) {
            facts.push(("settings", format!("`{conf}`")));
        } else if self.expandable_segments == Some(true) {
            facts.push(("settings", "`expandable_segments:True`".to_owned()));
        }
        let kinds: Vec<String> = self
            .events
            .iter()
            .map(|events| format!("{} {}", grouped(events.count), events.action))
            .collect();
        let over = self.duration_us.map(|it| format!(" in {}", duration(it))).unwrap_or_default();
        facts.push((
            "trace",
            match kinds.as_slice() {
                [] => "none: only the state at the dump is known".to_owned(),
                kinds => format!("{} events{over}: {}", grouped(total), kinds.join(", ")),
            },
        ));
        facts.push((
            "layout",
            format!(
                "{}, {}, {}, {}",
                counted(self.segments, "segment"),
                counted(self.blocks, "block"),
                counted(self.streams, "stream"),
                counted(self.stacks, "stack")
            ),
        ));
        facts.push(("reserved", format!("at most {}", Bytes(self.peak_reserved))));
        facts.push((
            "at the end",
            format!(
                "{} allocated, {} active, {} reserved, largest free block {}",
                Bytes(self.end.allocated),
                Bytes(self.end.active),
                Bytes(self.end.reserved),
                self.end
                    .largest_free_block
                    .map_or_else(|| "unknown".to_owned(), |it| Bytes(it).to_string()),
            ),
        ));
        for failure in &self.failures {
            let request = failure.failed_request.map(|bytes| Bytes(bytes).to_string());
            let event = failure.event.map(|event| grouped(event.into())).unwrap_or_default();
            let request = request.unwrap_or_default();
            facts.push(("failure", format!("a request of {request} failed at event {event}")));
        }
        facts
    }
}

fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// What cannot be answered where the recording has this limit.
fn prevents(limit: Limit) -> &'static str {
    match limit {
        Limit::RingWrapped => {
            "knowing who made the blocks that are older than the ring (raise `max_entries`)"
        }
        Limit::RecordingBeganLate => {
            "knowing who made the older blocks (start recording before the model is built)"
        }
        Limit::TailLost => "knowing the state at the dump",
        Limit::NoTrace => {
            "every question about the past: peak, growth, lifetimes (call `torch.cuda.memory._record_memory_history()` first)"
        }
        Limit::NoStacks => "naming lines (record with `stacks=\"python\"` or `\"all\"`)",
        Limit::SomeWithoutFrames => {
            "naming the line of those blocks (record with `stacks=\"all\"` to see C++ frames)"
        }
        Limit::Inconsistent => "trusting the past where they disagree",
    }
}
