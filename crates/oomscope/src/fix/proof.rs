//! Before and after a fix: the same command watched twice.

use anyhow::Result;
use oomscope_diagnose::verify::{Comparison, Verdict, compare};
use oomscope_model::Bytes;
use oomscope_report::verify::VerifyReport;

use crate::record::{Ended, RecordArguments};
use crate::verify::{judged, summary, watch};

/// A change of the peak below this share is none.
const WORTH_KEEPING: f64 = 0.01;

/// One run of the command.
pub(super) struct Watched {
    pub(super) ended: Ended,
    report: VerifyReport,
}

pub(super) fn watched(
    record: &RecordArguments,
    steps: Option<u64>,
    command: &[String],
) -> Result<Watched> {
    let ended = watch(record, steps, command)?;
    let report = judged(command, &ended, None);
    Ok(Watched { ended, report })
}

/// What the two runs show.
pub(super) struct Proof {
    before: Verdict,
    after: Verdict,
    comparison: Comparison,
    /// Whether the command ended well with the fix.
    succeeds: bool,
    exit: String,
}

impl Proof {
    pub(super) fn of(before: &Watched, after: &Watched) -> Proof {
        let exit = match (after.ended.code, after.ended.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "an unknown end".to_owned(),
        };
        Proof {
            before: before.report.verdict(),
            after: after.report.verdict(),
            comparison: compare(&summary(&before.report), &summary(&after.report)),
            succeeds: after.ended.succeeded(),
            exit,
        }
    }

    /// Whether the change is worth keeping: the command succeeds, and it no longer fails, no
    /// longer grows, or peaks lower.
    pub(super) fn improved(&self) -> bool {
        let peaks_lower =
            self.comparison.peak.is_some_and(|peak| peak.difference < -WORTH_KEEPING * peak.before);
        let grows_less = self
            .comparison
            .bytes_per_step
            .is_some_and(|slope| slope.before > 0.0 && slope.after < 0.5 * slope.before);
        self.succeeds
            && self.after != Verdict::Failed
            && (self.before == Verdict::Failed || peaks_lower || grows_less)
    }

    /// What was measured, in a sentence.
    pub(super) fn words(&self) -> String {
        let mut parts = vec![format!("{} before, {} after", name(self.before), name(self.after))];
        let size = |value: f64| Bytes(value.max(0.0).round() as u64);
        if let Some(peak) = self.comparison.peak {
            parts.push(format!("peak {} → {}", size(peak.before), size(peak.after)));
        }
        if let Some(slope) = self.comparison.bytes_per_step {
            let (before, after) = (size(slope.before), size(slope.after));
            parts.push(format!("growth {before} → {after} a step"));
        }
        if !self.succeeds {
            parts.push(format!("with the fix the command ended with {}", self.exit));
        }
        format!("measured: {}", parts.join("; "))
    }
}

fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Stable => "stable",
        Verdict::Growing => "growing",
        Verdict::Failed => "failed",
        Verdict::TooShort => "too short to tell",
    }
}
