//! The JSON Schema of the diagnosis, generated from the types that write it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::Mode;

const FILE: &str = "schema/diagnosis.schema.json";

/// Writes the schema, or fails when the committed one is stale.
pub(crate) fn run(root: &Path, mode: Mode) -> Result<()> {
    let path = root.join(FILE);
    let schema = oomscope_report::json_schema();
    match mode {
        Mode::Write => {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).with_context(|| format!("cannot make {FILE}"))?;
            }
            fs::write(&path, schema).with_context(|| format!("cannot write {FILE}"))?;
            println!("wrote {FILE}");
        }
        Mode::Check => {
            let committed =
                fs::read_to_string(&path).with_context(|| format!("cannot read {FILE}"))?;
            if committed != schema {
                bail!("{FILE} is stale\nhint: run `cargo xtask schema` and commit it");
            }
            println!("{FILE} is up to date");
        }
    }
    Ok(())
}
