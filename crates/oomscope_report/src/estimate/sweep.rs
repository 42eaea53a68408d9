//! Estimates over one or two sizes: a table for people, CSV and JSON for programs.

use std::io::{self, Write};

use oomscope_budget::{Fit, Interval};
use oomscope_model::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fit_name;
use crate::json::write_json;

/// Estimates over one or two sizes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SweepReport {
    /// The names of the sizes: `batch`, `seq`.
    pub sizes: Vec<&'static str>,
    /// Every combination, the last size fastest.
    pub points: Vec<SweepPoint>,
}

/// One combination of sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepPoint {
    /// The sizes, in the order of their names.
    pub values: Vec<u64>,
    /// The likely peak that is allocated.
    pub allocated: Bytes,
    /// What the process holds.
    pub process: Interval,
    /// Whether it fits, where there is a device or a limit.
    pub fit: Option<Fit>,
}

/// The JSON of a sweep. Sizes are bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct SweepV1 {
    schema_version: u32,
    points: Vec<PointV1>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct PointV1 {
    values: std::collections::BTreeMap<String, u64>,
    allocated_bytes: u64,
    process_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<String>,
}

/// Writes a sweep as a table: rows are the first size, columns the second; each cell is what the
/// process holds, with `~` where it is tight and `✗` where it does not fit.
pub fn render_sweep_text(report: &SweepReport, out: &mut dyn Write) -> io::Result<()> {
    let cell = |point: &SweepPoint| {
        let mark = match point.fit {
            Some(Fit::Tight) => " ~",
            Some(Fit::DoesNot) => " ✗",
            Some(Fit::Fits) | None => "  ",
        };
        format!("{}{mark}", Bytes(point.process.likely))
    };
    if let [name] = report.sizes.as_slice() {
        writeln!(out, "{name:>8}  {:>14}", "process")?;
        for point in &report.points {
            let value = point.values.first().copied().unwrap_or(0);
            writeln!(out, "{value:>8}  {}", format!("{:>14}", cell(point)).trim_end())?;
        }
        return Ok(());
    }
    let mut columns: Vec<u64> =
        report.points.iter().filter_map(|point| point.values.get(1).copied()).collect();
    columns.sort_unstable();
    columns.dedup();
    let [row_name, column_name] = [0, 1].map(|number| report.sizes.get(number).unwrap_or(&""));
    write!(out, "{:>16}", format!("{row_name} \\ {column_name}"))?;
    for column in &columns {
        write!(out, "{column:>14}")?;
    }
    writeln!(out)?;
    for row in report.points.chunk_by(|a, b| a.values.first() == b.values.first()) {
        let value = row.first().and_then(|point| point.values.first()).copied().unwrap_or(0);
        let cells: Vec<String> = row.iter().map(|point| format!("{:>14}", cell(point))).collect();
        writeln!(out, "{value:>16}{}", cells.concat().trim_end())?;
    }
    Ok(())
}

/// Writes a sweep as CSV: the sizes, allocated and process in bytes, the verdict.
pub fn render_sweep_csv(report: &SweepReport, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{},allocated_bytes,process_bytes,verdict", report.sizes.join(","))?;
    for point in &report.points {
        let values: Vec<String> = point.values.iter().map(ToString::to_string).collect();
        let verdict = point.fit.map_or("", fit_name);
        writeln!(
            out,
            "{},{},{},{verdict}",
            values.join(","),
            point.allocated.0,
            point.process.likely
        )?;
    }
    Ok(())
}

/// Writes a sweep as JSON.
pub fn render_sweep_json(report: &SweepReport, out: &mut dyn Write) -> io::Result<()> {
    let points = report.points.iter().map(|point| PointV1 {
        values: report
            .sizes
            .iter()
            .map(ToString::to_string)
            .zip(point.values.iter().copied())
            .collect(),
        allocated_bytes: point.allocated.0,
        process_bytes: point.process.likely,
        verdict: point.fit.map(|fit| fit_name(fit).to_owned()),
    });
    write_json(&SweepV1 { schema_version: 1, points: points.collect() }, out)
}
