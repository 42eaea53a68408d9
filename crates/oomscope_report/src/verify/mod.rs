//! Renders what `oomscope verify` proved: text, Markdown for a pull request, `JUnit` for a CI
//! server, JSON for programs.

mod json;
mod junit;
mod markdown;
mod text;
mod wire;

use oomscope_diagnose::verify::{Comparison, Judgement, Verdict};
use oomscope_model::{Bytes, Problem};

pub use json::{json_schema, render_json};
pub use junit::render_junit;
pub use markdown::render_markdown;
pub use text::render_text;
pub use wire::{VerifiedDeviceV1, VerifyV1};

/// What watching a command came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VerifyReport {
    /// The command.
    pub command: Vec<String>,
    /// The run directory.
    pub run: String,
    /// The command's exit code; `None` when a signal ended it.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Every device of every process.
    pub devices: Vec<VerifiedDevice>,
    /// The limit that the peak was held against.
    pub budget: Option<BudgetCheck>,
    /// The run that it was compared with.
    pub baseline: Option<BaselineCheck>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// One device of one process.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedDevice {
    /// The process's folder: `p1234`, `rank0-p1235`.
    pub process: String,
    /// Its rank.
    pub rank: Option<u32>,
    /// The device's index among the visible ones.
    pub device: u32,
    /// The number of the last step.
    pub steps: u64,
    /// The device's capacity.
    pub capacity: Option<Bytes>,
    /// Median time of a step, seconds.
    pub step_seconds: Option<f64>,
    /// The judgement.
    pub judgement: Judgement,
}

/// A limit for the peak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetCheck {
    /// Where it comes from: `--budget`, a file's name.
    pub from: String,
    /// The most that the peak may be.
    pub limit: Bytes,
    /// The highest peak of all devices.
    pub peak: Option<Bytes>,
}

impl BudgetCheck {
    /// Whether the peak is known and within the limit.
    pub fn fits(&self) -> bool {
        self.peak.is_some_and(|peak| peak <= self.limit)
    }
}

/// Before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct BaselineCheck {
    /// The baseline as given.
    pub name: String,
    /// The devices with the highest peaks, figure by figure.
    pub comparison: Comparison,
    /// The lines whose live bytes at the peak differ most, largest difference first.
    pub lines: Vec<LineChange>,
}

/// What one line holds at the peak, before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineChange {
    /// The line.
    pub line: String,
    /// Live bytes in the baseline.
    pub before: Bytes,
    /// Live bytes now.
    pub after: Bytes,
}

impl VerifyReport {
    /// The worst verdict of all devices; a command that failed otherwise has failed too.
    pub fn verdict(&self) -> Verdict {
        let rank = |verdict: &Verdict| match verdict {
            Verdict::Stable => 0,
            Verdict::TooShort => 1,
            Verdict::Growing => 2,
            Verdict::Failed => 3,
        };
        if self.exit_code != Some(0) {
            return Verdict::Failed;
        }
        let verdicts = self.devices.iter().map(|device| device.judgement.verdict);
        verdicts.max_by_key(rank).unwrap_or(Verdict::TooShort)
    }

    /// Whether everything that was asked for is proven.
    pub fn passed(&self) -> bool {
        self.verdict() == Verdict::Stable && self.budget.as_ref().is_none_or(BudgetCheck::fits)
    }

    /// The highest peak of all devices.
    pub fn peak(&self) -> Option<Bytes> {
        self.devices.iter().filter_map(|device| device.judgement.peak).max()
    }
}

/// The verdict as the JSON spells it.
pub(crate) fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Stable => "stable",
        Verdict::Growing => "growing",
        Verdict::Failed => "failed",
        Verdict::TooShort => "too_short",
    }
}

/// How the command ended, where it did not end well.
pub(crate) fn ending(report: &VerifyReport) -> Option<String> {
    match (report.exit_code, report.signal) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("the command ended with exit code {code}")),
        (None, Some(signal)) => Some(format!("signal {signal} ended the command")),
        (None, None) => Some("it is not known how the command ended".to_owned()),
    }
}

/// What the whole comes to, in a sentence.
pub(crate) fn headline(report: &VerifyReport) -> String {
    let worst = report.devices.iter().max_by(|a, b| {
        let slope = |device: &VerifiedDevice| {
            device.judgement.slope.map_or(0.0, |slope| slope.bytes_per_step)
        };
        slope(a).total_cmp(&slope(b))
    });
    let grows = worst.and_then(|device| device.judgement.slope).map(rate).unwrap_or_default();
    let peak = report.peak().map(|peak| format!(", peak {peak}")).unwrap_or_default();
    match report.verdict() {
        Verdict::Stable => format!("memory is stable{peak}"),
        Verdict::Growing => {
            let fails = worst.and_then(|device| device.judgement.fails_at);
            let fails = fails.map(|at| format!(": it will fail near step {}", at.step));
            format!("memory grows by {grows} a step{}", fails.unwrap_or_default())
        }
        Verdict::Failed => {
            let ran_out = report.devices.iter().any(|d| d.judgement.verdict == Verdict::Failed);
            let ending = ending(report).unwrap_or_default();
            if ran_out { format!("out of memory{peak}") } else { ending }
        }
        Verdict::TooShort => {
            let more = report.devices.iter().filter_map(|d| d.judgement.more_steps).max();
            match more {
                Some(more) => format!("the steps seen do not tell, about {more} more would{peak}"),
                None if report.devices.is_empty() => {
                    "no step was seen: no process used a device".to_owned()
                }
                None => format!("the steps seen do not tell{peak}"),
            }
        }
    }
}

/// Bytes a step, in units.
pub(crate) fn rate(slope: oomscope_diagnose::verify::Slope) -> String {
    signed(slope.bytes_per_step)
}

/// A signed number of bytes, in units.
pub(crate) fn signed(bytes: f64) -> String {
    let size = Bytes(bytes.abs().round() as u64);
    if bytes < 0.0 { format!("-{size}") } else { format!("+{size}") }
}

#[cfg(test)]
mod tests;
