//! The verification for a pull request.

use std::io::{self, Write};

use oomscope_model::Bytes;

use super::{VerifyReport, headline, rate, signed, verdict_name};
use crate::Charset;
use crate::clean::clean;

/// Writes the report as Markdown.
pub fn render_markdown(report: &VerifyReport, out: &mut dyn Write) -> io::Result<()> {
    let mark = if report.passed() { "✅" } else { "❌" };
    let verdict = verdict_name(report.verdict()).replace('_', " ");
    writeln!(out, "### {mark} GPU memory: {verdict}\n")?;
    writeln!(out, "{}\n", cell(&headline(report)))?;
    writeln!(out, "| process | device | steps | peak | at the end of a step | growth |")?;
    writeln!(out, "| --- | ---: | ---: | ---: | ---: | ---: |")?;
    for device in &report.devices {
        let judgement = &device.judgement;
        let bytes = |bytes: Option<Bytes>| bytes.map(|b| b.to_string()).unwrap_or_default();
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            cell(&device.process),
            device.device,
            device.steps,
            bytes(judgement.peak),
            bytes(judgement.floor),
            judgement.slope.map(rate).unwrap_or_default(),
        )?;
    }
    if let Some(budget) = &report.budget {
        let verdict = if budget.fits() { "within" } else { "**not** within" };
        writeln!(out, "\nThe peak is {verdict} {} ({}).", budget.limit, cell(&budget.from))?;
    }
    if let Some(baseline) = &report.baseline {
        writeln!(out, "\n| against {} | before | after | difference |", cell(&baseline.name))?;
        writeln!(out, "| --- | ---: | ---: | ---: |")?;
        let size = |value: f64| Bytes(value.max(0.0).round() as u64);
        let comparison = &baseline.comparison;
        for (name, change) in [("peak", comparison.peak), ("floor", comparison.floor)] {
            if let Some(change) = change {
                let (before, after) = (size(change.before), size(change.after));
                writeln!(out, "| {name} | {before} | {after} | {} |", signed(change.difference))?;
            }
        }
        for change in &baseline.lines {
            let difference = signed(change.after.0 as f64 - change.before.0 as f64);
            let line = cell(&change.line);
            writeln!(out, "| `{line}` | {} | {} | {difference} |", change.before, change.after)?;
        }
    }
    Ok(())
}

/// Text that stays in its cell.
fn cell(text: &str) -> String {
    clean(text, Charset::Unicode).replace('|', "\\|").replace('`', "'")
}
