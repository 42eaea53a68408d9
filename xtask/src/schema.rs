//! The JSON Schemas of what the renderers write, generated from the types that write it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::Mode;

type Schema = (&'static str, fn() -> String);

const SCHEMAS: [Schema; 9] = [
    ("schema/diagnosis.schema.json", oomscope_report::json_schema),
    ("schema/check.schema.json", oomscope_report::check::json_schema),
    ("schema/snapshot.schema.json", oomscope_report::snapshot::json_schema),
    ("schema/replay.schema.json", oomscope_report::snapshot::run_json_schema),
    ("schema/verify.schema.json", oomscope_report::verify::json_schema),
    ("schema/estimate.schema.json", oomscope_report::estimate::json_schema),
    ("schema/record.schema.json", oomscope_report::record_json_schema),
    ("schema/run.schema.json", oomscope_report::run_directory_json_schema),
    ("schema/devices.schema.json", oomscope_report::devices_json_schema),
];

/// Writes the schemas, or fails when a committed one is stale.
pub(crate) fn run(root: &Path, mode: Mode) -> Result<()> {
    for (file, schema) in SCHEMAS {
        let path = root.join(file);
        match mode {
            Mode::Write => {
                if let Some(folder) = path.parent() {
                    fs::create_dir_all(folder).with_context(|| format!("cannot make {file}"))?;
                }
                fs::write(&path, schema()).with_context(|| format!("cannot write {file}"))?;
                println!("wrote {file}");
            }
            Mode::Check => {
                let committed =
                    fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?;
                if committed != schema() {
                    bail!("{file} is stale\nhint: run `cargo xtask schema` and commit it");
                }
                println!("{file} is up to date");
            }
        }
    }
    Ok(())
}
