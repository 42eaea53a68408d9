//! The verification for programs.

use std::io::{self, Write};

use oomscope_diagnose::verify::{Change, Slope};

use super::wire::{
    BaselineV1, BudgetV1, ChangeV1, LineChangeV1, SlopeV1, VerifiedDeviceV1, VerifyV1,
};
use super::{BaselineCheck, VerifiedDevice, VerifyReport, headline, verdict_name};
use crate::json::{schema_of, write_json};

/// Writes the report as JSON that [`json_schema`] describes.
pub fn render_json(report: &VerifyReport, out: &mut dyn Write) -> io::Result<()> {
    write_json(&wire(report), out)
}

/// The JSON Schema (draft 2020-12) of what [`render_json`] writes.
pub fn json_schema() -> String {
    schema_of::<VerifyV1>()
}

fn wire(report: &VerifyReport) -> VerifyV1 {
    VerifyV1 {
        schema_version: 1,
        verdict: verdict_name(report.verdict()).to_owned(),
        passed: report.passed(),
        headline: headline(report),
        command: report.command.clone(),
        run: report.run.clone(),
        exit_code: report.exit_code,
        signal: report.signal,
        peak_bytes: report.peak().map(|peak| peak.0),
        devices: report.devices.iter().map(device).collect(),
        budget: report.budget.as_ref().map(|budget| BudgetV1 {
            from: budget.from.clone(),
            limit_bytes: budget.limit.0,
            fits: budget.fits(),
        }),
        baseline: report.baseline.as_ref().map(baseline),
        problems: report.problems.iter().map(ToString::to_string).collect(),
    }
}

fn device(verified: &VerifiedDevice) -> VerifiedDeviceV1 {
    let judgement = &verified.judgement;
    VerifiedDeviceV1 {
        process: verified.process.clone(),
        rank: verified.rank,
        device: verified.device,
        verdict: verdict_name(judgement.verdict).to_owned(),
        steps: verified.steps,
        warmup_steps: judgement.warmup.steps,
        peak_bytes: judgement.peak.map(|bytes| bytes.0),
        floor_bytes: judgement.floor.map(|bytes| bytes.0),
        capacity_bytes: verified.capacity.map(|bytes| bytes.0),
        slope: judgement.slope.map(slope),
        reserved_slope: judgement.reserved_growing.map(slope),
        change_point: judgement.change_point,
        period_steps: judgement.period,
        fails_at_step: judgement.fails_at.map(|at| at.step),
        more_steps: judgement.more_steps,
        step_seconds: verified.step_seconds,
        evidence: judgement.evidence.iter().map(ToString::to_string).collect(),
    }
}

fn slope(slope: Slope) -> SlopeV1 {
    SlopeV1 { bytes_per_step: slope.bytes_per_step, low: slope.low, high: slope.high }
}

fn baseline(check: &BaselineCheck) -> BaselineV1 {
    let lines = check.lines.iter().map(|change| LineChangeV1 {
        line: change.line.clone(),
        before_bytes: change.before.0,
        after_bytes: change.after.0,
    });
    BaselineV1 {
        name: check.name.clone(),
        peak: check.comparison.peak.map(change),
        floor: check.comparison.floor.map(change),
        bytes_per_step: check.comparison.bytes_per_step.map(change),
        step_seconds: check.comparison.step_seconds.map(change),
        lines: lines.collect(),
    }
}

fn change(change: Change) -> ChangeV1 {
    ChangeV1 { before: change.before, after: change.after, difference: change.difference }
}
