//! The estimate for an issue or a pull request.

use std::io::{self, Write};

use oomscope_model::Bytes;

use super::{EstimateReport, between, headline};

/// Writes the report as Markdown.
pub fn render_markdown(report: &EstimateReport, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "**{}**\n", headline(report))?;
    writeln!(out, "| phase | allocated |\n|---|---:|")?;
    for phase in &report.budget.phases {
        writeln!(out, "| {} | {} |", phase.name, Bytes(phase.allocated))?;
    }
    writeln!(out, "\n| what it is for | bytes |\n|---|---:|")?;
    for term in &report.budget.terms {
        writeln!(out, "| {} | {} |", term.name, Bytes(term.bytes))?;
    }
    writeln!(out, "\n| | |\n|---|---|")?;
    writeln!(out, "| allocated | {} |", between(report.budget.allocated))?;
    writeln!(out, "| reserved | {} |", between(report.budget.reserved))?;
    writeln!(out, "| process | {} |", between(report.process()))
}
