//! The verification for people, in a terminal.

use std::io::{self, Write};

use oomscope_diagnose::verify::{Change, Verdict};
use oomscope_model::Bytes;

use super::{
    BaselineCheck, VerifiedDevice, VerifyReport, ending, headline, rate, signed, verdict_name,
};
use crate::clean::clean;
use crate::layout::Tone;
use crate::{Charset, TextStyle};

/// Writes the report as text.
pub fn render_text(
    report: &VerifyReport,
    style: &TextStyle,
    out: &mut dyn Write,
) -> io::Result<()> {
    let verdict = report.verdict();
    let tone = match verdict {
        Verdict::Stable => Tone::Good,
        Verdict::TooShort => Tone::Doubt,
        Verdict::Growing | Verdict::Failed => Tone::Bad,
    };
    let name = style.span(tone, &format!("{}:", verdict_name(verdict).replace('_', " ")));
    crate::layout::write_line(
        out,
        *style,
        &[name, style.span(Tone::Plain, &format!(" {}", headline(report)))],
    )?;
    for device in &report.devices {
        writeln!(out)?;
        write_device(device, report.devices.len() > 1, out)?;
    }
    if let Some(budget) = &report.budget {
        let verdict = if budget.fits() { "within" } else { "NOT within" };
        let peak = budget.peak.map_or_else(|| "no known peak".to_owned(), |peak| peak.to_string());
        writeln!(out, "\n  budget     {peak} is {verdict} {} ({})", budget.limit, budget.from)?;
    }
    if let Some(baseline) = &report.baseline {
        write_baseline(baseline, out)?;
    }
    writeln!(out)?;
    let above = headline(report);
    if let Some(ending) = ending(report).filter(|ending| *ending != above) {
        writeln!(out, "  {ending}")?;
    }
    if verdict != Verdict::Stable && !report.devices.is_empty() {
        writeln!(out, "  `oomscope diagnose {}` says why", clean(&report.run, Charset::Unicode))?;
    }
    for problem in &report.problems {
        writeln!(out, "  warning: {}", clean(&problem.to_string(), Charset::Unicode))?;
    }
    writeln!(out, "  run        {}", clean(&report.run, Charset::Unicode))
}

fn write_device(
    device: &VerifiedDevice,
    is_one_of_many: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let judgement = &device.judgement;
    if is_one_of_many {
        let verdict = verdict_name(judgement.verdict).replace('_', " ");
        writeln!(out, "  {} device {}: {verdict}", device.process, device.device)?;
    }
    let warmup = match judgement.warmup.steps {
        0 => String::new(),
        steps => format!(", {steps} of them to warm up"),
    };
    writeln!(out, "  steps      {}{warmup}", device.steps)?;
    if let Some(peak) = judgement.peak {
        let of = device.capacity.map(|capacity| format!(" of {capacity}")).unwrap_or_default();
        writeln!(out, "  peak       {peak}{of}")?;
    }
    if let Some(floor) = judgement.floor {
        writeln!(out, "  floor      {floor} at the end of a step")?;
    }
    if let Some(slope) = judgement.slope {
        let (low, high) = (signed(slope.low), signed(slope.high));
        writeln!(out, "  growth     {} a step ({low} to {high})", rate(slope))?;
    }
    if let Some(from) = judgement.change_point {
        writeln!(out, "  since      step {from}")?;
    }
    if let Some(at) = judgement.fails_at {
        let latest = at.latest.map_or_else(|| "never".to_owned(), |latest| latest.to_string());
        writeln!(out, "  fails at   step {} ({} to {latest})", at.step, at.earliest)?;
    }
    if let Some(slope) = judgement.reserved_growing {
        writeln!(out, "  reserved   {} a step over flat allocated memory", rate(slope))?;
    }
    for reason in &judgement.evidence {
        writeln!(out, "  because    {reason}")?;
    }
    Ok(())
}

fn write_baseline(baseline: &BaselineCheck, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n  before and after, against {}", clean(&baseline.name, Charset::Unicode))?;
    let bytes = |value: f64| Bytes(value.max(0.0).round() as u64).to_string();
    let rows: [(&str, Option<Change>); 3] = [
        ("peak", baseline.comparison.peak),
        ("floor", baseline.comparison.floor),
        ("growth", baseline.comparison.bytes_per_step),
    ];
    for (name, change) in rows {
        let Some(change) = change else { continue };
        let (before, after) = if name == "growth" {
            (signed(change.before), signed(change.after))
        } else {
            (bytes(change.before), bytes(change.after))
        };
        writeln!(out, "  {name:<10} {before} → {after} ({})", signed(change.difference))?;
    }
    if let Some(change) = baseline.comparison.step_seconds {
        let ratio = change.ratio.map(|ratio| format!(" ({ratio:.2} x)")).unwrap_or_default();
        writeln!(out, "  step       {:.3} s → {:.3} s{ratio}", change.before, change.after)?;
    }
    for change in &baseline.lines {
        let line = clean(&change.line, Charset::Unicode);
        let difference = signed(change.after.0 as f64 - change.before.0 as f64);
        writeln!(out, "  {difference:>14}  {line} ({} → {})", change.before, change.after)?;
    }
    Ok(())
}
