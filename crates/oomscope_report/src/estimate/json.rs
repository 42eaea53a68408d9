//! The estimate for programs.

use std::io::{self, Write};

use oomscope_budget::{Interval, TermKind};

use super::wire::{ChangeV1, EstimateV1, IntervalV1, PhaseV1, TermV1};
use super::{EstimateReport, cost_name, fit_name, headline, size_name};
use crate::json::{schema_of, write_json};

/// Writes the report as JSON that [`json_schema`] describes.
pub fn render_json(report: &EstimateReport, out: &mut dyn Write) -> io::Result<()> {
    write_json(&wire(report), out)
}

/// The JSON Schema (draft 2020-12) of what [`render_json`] writes.
pub fn json_schema() -> String {
    schema_of::<EstimateV1>()
}

fn wire(report: &EstimateReport) -> EstimateV1 {
    let budget = &report.budget;
    let peak = budget.phases.iter().rev().max_by_key(|phase| phase.allocated);
    EstimateV1 {
        schema_version: 1,
        verdict: report.fit().map(|fit| fit_name(fit).to_owned()),
        headline: headline(report),
        model: report.model.clone(),
        family: report.family.clone(),
        batch: report.workload.batch,
        sequence: report.workload.sequence,
        parameters: budget.parameters,
        trained_parameters: budget.trained,
        allocated_bytes: interval(budget.allocated),
        reserved_bytes: interval(budget.reserved),
        process_bytes: interval(report.process()),
        first_step_allocated_bytes: budget.first_step,
        phases: budget
            .phases
            .iter()
            .map(|phase| PhaseV1 { name: phase.name.to_owned(), allocated_bytes: phase.allocated })
            .collect(),
        peak_phase: peak.map_or_else(String::new, |phase| phase.name.to_owned()),
        terms: budget
            .terms
            .iter()
            .map(|term| TermV1 {
                name: term.name.to_owned(),
                kind: match term.kind {
                    TermKind::Constant => "constant",
                    TermKind::Activations => "activations",
                    TermKind::Temporary => "temporary",
                }
                .to_owned(),
                bytes: term.bytes,
                formula: term.formula.clone(),
            })
            .collect(),
        device: report.device.map(|device| device.name.clone()),
        capacity_bytes: report.capacity().map(|bytes| bytes.0),
        solved: report.largest.map(|(size, _)| size_name(size).to_owned()),
        largest: report.largest.and_then(|(_, value)| value),
        advice: report
            .advice
            .iter()
            .map(|change| ChangeV1 {
                what: change.what.to_owned(),
                cost: cost_name(change.cost).to_owned(),
                slower: change.slower,
                saves_bytes: change.saves,
                process_bytes: interval(change.process),
                verdict: fit_name(change.fit).to_owned(),
            })
            .collect(),
        rule_of_thumb_bytes: report.rule_of_thumb.0,
    }
}

fn interval(interval: Interval) -> IntervalV1 {
    IntervalV1 { low: interval.low, likely: interval.likely, high: interval.high }
}
