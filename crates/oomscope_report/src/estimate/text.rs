//! The estimate for people, in a terminal.

use std::io::{self, Write};

use oomscope_budget::{Fit, Phase, Task, TermKind};
use oomscope_model::Bytes;

use super::{EstimateReport, between, cost_name, headline, size_name, thumb_is_off};
use crate::clean::clean;
use crate::layout::{Tone, bar, write_line};
use crate::{Charset, TextStyle};

/// Columns of the widest bar.
const BAR: usize = 14;

/// Writes the report as text.
pub fn render_text(
    report: &EstimateReport,
    style: &TextStyle,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (name, tone) = match report.fit() {
        Some(Fit::Fits) => ("fits:", Tone::Good),
        Some(Fit::Tight) => ("tight:", Tone::Doubt),
        Some(Fit::DoesNot) => ("does not fit:", Tone::Bad),
        None => ("estimate:", Tone::Strong),
    };
    let sentence = clean(&format!(" {}", headline(report)), Charset::Unicode);
    write_line(out, *style, &[style.span(tone, name), style.span(Tone::Plain, &sentence)])?;
    let workload = &report.workload;
    writeln!(
        out,
        "  {} parameters, {} of them trained · batch {} · sequence {}",
        grouped(report.budget.parameters),
        grouped(report.budget.trained),
        workload.batch,
        workload.sequence
    )?;
    write_phases(report, style, out)?;
    write_terms(report, style, out)?;
    writeln!(out)?;
    writeln!(out, "  allocated  {}", between(report.budget.allocated))?;
    writeln!(out, "  reserved   {}", between(report.budget.reserved))?;
    writeln!(out, "  process    {}", between(report.process()))?;
    if let Some(capacity) = report.capacity() {
        let likely = report.process().likely;
        let room = capacity.0.saturating_sub(likely);
        let over = likely.saturating_sub(capacity.0);
        if over > 0 {
            writeln!(out, "  head-room  none: {} too much for {capacity}", Bytes(over))?;
        } else {
            writeln!(out, "  head-room  {} of {capacity}", Bytes(room))?;
        }
    }
    if let Some((size, largest)) = report.largest {
        let name = size_name(size);
        match largest {
            Some(value) => writeln!(out, "  largest    {name} {value} fits")?,
            None => writeln!(out, "  largest    no {name} fits")?,
        }
    }
    if !report.advice.is_empty() {
        writeln!(out, "\n  To make it fit, in this order")?;
        for change in &report.advice {
            let name = match change.fit {
                Fit::Fits => "fits",
                Fit::Tight => "tight",
                Fit::DoesNot => "too much",
            };
            writeln!(
                out,
                "  {:<46} saves {:>10} → {:>10} {name}, costs {}",
                change.what,
                Bytes(change.saves).to_string(),
                Bytes(change.process.likely).to_string(),
                cost_name(change.cost)
            )?;
        }
    }
    if let Some(times) = thumb_is_off(report) {
        writeln!(
            out,
            "\n  The rule of thumb 4·b·s·h·L·3 bytes says {} of activations; they are {times:.1} times that.",
            report.rule_of_thumb
        )?;
    }
    Ok(())
}

fn write_phases(report: &EstimateReport, style: &TextStyle, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out)?;
    let highest = report.budget.phases.iter().map(|phase| phase.allocated).max().unwrap_or(0);
    for Phase { name, allocated } in &report.budget.phases {
        let share = *allocated as f64 / highest.max(1) as f64;
        let mark = if *allocated == highest { "  the peak" } else { "" };
        write_line(
            out,
            *style,
            &[
                style.span(
                    Tone::Plain,
                    &format!("  {name:<15} {:>10}  ", Bytes(*allocated).to_string()),
                ),
                bar(*style, share, BAR),
                style.span(Tone::Strong, mark),
            ],
        )?;
    }
    Ok(())
}

fn write_terms(report: &EstimateReport, style: &TextStyle, out: &mut dyn Write) -> io::Result<()> {
    let records = matches!(report.workload.task, Task::Train | Task::Forward);
    writeln!(out, "\n  What it is for")?;
    let most = report.budget.terms.iter().map(|term| term.bytes).max().unwrap_or(1).max(1);
    for kind in [TermKind::Constant, TermKind::Activations, TermKind::Temporary] {
        let mut terms: Vec<_> =
            report.budget.terms.iter().filter(|term| term.kind == kind).collect();
        terms.sort_by_key(|term| std::cmp::Reverse(term.bytes));
        for term in terms {
            let held = match kind {
                TermKind::Constant => "",
                TermKind::Activations if records => "  until backward",
                TermKind::Activations | TermKind::Temporary => "  for a moment",
            };
            write_line(
                out,
                *style,
                &[
                    style.span(
                        Tone::Plain,
                        &format!("  {:<22} {:>10}  ", term.name, Bytes(term.bytes).to_string()),
                    ),
                    bar(*style, term.bytes as f64 / most as f64, BAR),
                    style.span(Tone::Faint, held),
                ],
            )?;
            if report.explain && !term.formula.is_empty() {
                writeln!(out, "      = {}", term.formula)?;
            }
        }
    }
    Ok(())
}

/// `1 234 567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
