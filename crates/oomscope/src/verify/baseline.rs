//! What a verification is compared with: a recorded run, or the JSON of an earlier one.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use oomscope_diagnose::verify::Summary;
use oomscope_model::Bytes;
use oomscope_report::verify::VerifyV1;

use super::{judged, summary};
use crate::record::{Ended, find, read_info};

/// More is no JSON of ours.
const LARGEST_FILE: u64 = 64 << 20;

/// The figures before.
pub(super) struct Baseline {
    pub(super) name: String,
    pub(super) summary: Summary,
    /// Its run directory, where it is one.
    pub(super) run: Option<PathBuf>,
}

/// Reads the baseline that a name stands for.
pub(super) fn read(root: &Path, name: &str) -> Result<Baseline> {
    let path = Path::new(name);
    if path.is_file() {
        return Ok(Baseline { name: name.to_owned(), summary: of_file(path)?, run: None });
    }
    let run = find(root, name).with_context(|| format!("cannot use the baseline `{name}`"))?;
    let info = read_info(&run)?;
    let ended = Ended { run: run.clone(), code: info.exit_code, signal: info.signal };
    let report = judged(&info.command, &ended, None);
    if report.peak().is_none() {
        bail!("the baseline {name} has no steps");
    }
    Ok(Baseline { name: info.id, summary: summary(&report), run: Some(run) })
}

fn of_file(path: &Path) -> Result<Summary> {
    let shown = path.display();
    if path.metadata().is_ok_and(|metadata| metadata.len() > LARGEST_FILE) {
        bail!("{shown} is too large for the JSON of a verification");
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let before: VerifyV1 = serde_json::from_str(&text)
        .with_context(|| format!("{shown} is not what `oomscope verify --format json` writes"))?;
    if before.schema_version > 1 {
        bail!("{shown}: schema version {} is newer than this oomscope", before.schema_version);
    }
    let largest = before.devices.iter().max_by_key(|device| device.peak_bytes);
    let largest = largest.with_context(|| format!("{shown} has no device in it"))?;
    Ok(Summary {
        peak: largest.peak_bytes.map(Bytes),
        floor: largest.floor_bytes.map(Bytes),
        bytes_per_step: largest.slope.map(|slope| slope.bytes_per_step),
        step_seconds: largest.step_seconds,
    })
}
