//! Renders what a configuration needs: text, Markdown, JSON.

mod json;
mod markdown;
mod sweep;
mod text;
mod wire;

use oomscope_budget::{
    Budget, Change, Cost, Device, Fit, Interval, Size, Task, Workload, fit, process,
};
use oomscope_model::Bytes;

pub use json::{json_schema, render_json};
pub use markdown::render_markdown;
pub use sweep::{SweepPoint, SweepReport, render_sweep_csv, render_sweep_json, render_sweep_text};
pub use text::render_text;
pub use wire::{ChangeV1, EstimateV1, IntervalV1, PhaseV1, TermV1};

/// What a configuration needs, and what it is held against.
#[derive(Clone, Debug, PartialEq)]
pub struct EstimateReport {
    /// The model as the user named it.
    pub model: String,
    /// Its family: `llama`.
    pub family: String,
    /// What is done with it.
    pub workload: Workload,
    /// What it needs.
    pub budget: Budget,
    /// The device, where one is named.
    pub device: Option<&'static Device>,
    /// The most that the process may hold, where the user says.
    pub limit: Option<Bytes>,
    /// The rule of thumb: `4 · batch · sequence · hidden · layers · 3 bytes`.
    pub rule_of_thumb: Bytes,
    /// The largest value that fits, where it was asked for; `None` where not even 1 does.
    pub largest: Option<(Size, Option<u64>)>,
    /// What would make it fit, where it was asked for.
    pub advice: Vec<Change>,
    /// Whether each term's formula is shown.
    pub explain: bool,
}

/// What a CUDA context takes on most devices, least and most, in bytes.
const USUAL_CONTEXT: [u64; 2] = [256 << 20, 650 << 20];

impl EstimateReport {
    /// What the process holds: the context of the device, or of most, included.
    pub fn process(&self) -> Interval {
        if let Some(device) = self.device {
            return process(&self.budget, device);
        }
        let Interval { low, likely, high } = self.budget.reserved;
        let [least, most] = USUAL_CONTEXT;
        Interval {
            low: low.saturating_add(least),
            likely: likely.saturating_add(u64::midpoint(least, most)),
            high: high.saturating_add(most),
        }
    }

    /// The most that the process may hold.
    pub fn capacity(&self) -> Option<Bytes> {
        let device = self.device.map(|device| Bytes(device.capacity()));
        match (device, self.limit) {
            (Some(device), Some(limit)) => Some(device.min(limit)),
            (device, limit) => device.or(limit),
        }
    }

    /// Whether it fits; `None` where nothing is said of a device or a limit.
    pub fn fit(&self) -> Option<Fit> {
        self.capacity().map(|capacity| fit(self.process(), capacity.0))
    }
}

/// A verdict's name: `fits`, `tight`, `does_not_fit`.
fn fit_name(fit: Fit) -> &'static str {
    match fit {
        Fit::Fits => "fits",
        Fit::Tight => "tight",
        Fit::DoesNot => "does_not_fit",
    }
}

/// What a change costs, in words.
fn cost_name(cost: Cost) -> &'static str {
    match cost {
        Cost::Nothing => "nothing",
        Cost::Speed => "speed",
        Cost::Quality => "quality",
    }
}

/// A size's name: `batch`, `sequence`, `rank`.
fn size_name(size: Size) -> &'static str {
    match size {
        Size::Batch => "batch",
        Size::Sequence => "sequence",
        Size::Rank => "rank",
    }
}

/// The answer in a sentence.
fn headline(report: &EstimateReport) -> String {
    let needed = format!("{} needs {} as a process", report.model, between(report.process()));
    match (report.device, report.capacity()) {
        (Some(device), Some(capacity)) => format!("{needed}; {} has {capacity}", device.name),
        (None, Some(capacity)) => format!("{needed}; it may have {capacity}"),
        _ => needed,
    }
}

/// `6.8 GiB (6.5 to 7.4)`.
fn between(interval: Interval) -> String {
    format!("{} ({} to {})", Bytes(interval.likely), Bytes(interval.low), Bytes(interval.high))
}

/// How many times the activations are as large as the rule of thumb says.
fn thumb_is_off(report: &EstimateReport) -> Option<f64> {
    let activations = report.budget.terms.iter();
    let activations: u64 = activations
        .filter(|term| term.kind == oomscope_budget::TermKind::Activations)
        .map(|term| term.bytes)
        .sum();
    let thumb = report.rule_of_thumb.0;
    let records = matches!(report.workload.task, Task::Train | Task::Forward);
    (records && thumb > 0 && activations > 0).then(|| activations as f64 / thumb as f64)
}
