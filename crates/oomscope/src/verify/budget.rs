//! The budget file: what a program needs, committed beside it, so that more is a failure.

use std::path::Path;

use anyhow::{Context, Result, bail};
use oomscope_model::Bytes;
use serde::{Deserialize, Serialize};

use crate::output::{self, Replace};

const SCHEMA_VERSION: u32 = 1;

/// `oomscope-budget.toml`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BudgetFile {
    schema_version: u32,
    /// Highest allocated on any device when the file was written, bytes.
    peak_bytes: u64,
    /// By how much it may be exceeded.
    tolerance_percent: u32,
    /// The command that was watched.
    #[serde(default)]
    command: Vec<String>,
}

impl BudgetFile {
    pub(super) fn new(peak: Bytes, tolerance_percent: u32, command: &[String]) -> BudgetFile {
        BudgetFile {
            schema_version: SCHEMA_VERSION,
            peak_bytes: peak.0,
            tolerance_percent,
            command: command.to_vec(),
        }
    }

    /// Reads the file; `None` where there is none.
    pub(super) fn read(path: &Path) -> Result<Option<BudgetFile>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let file: BudgetFile = toml::from_str(&text)
            .with_context(|| format!("{} is not a budget file", path.display()))?;
        if file.schema_version > SCHEMA_VERSION {
            let version = file.schema_version;
            bail!("{}: schema version {version} is newer than this oomscope", path.display());
        }
        Ok(Some(file))
    }

    /// The most that the peak may be.
    pub(super) fn limit(&self) -> Bytes {
        let more = u128::from(self.peak_bytes) * u128::from(self.tolerance_percent) / 100;
        Bytes(self.peak_bytes.saturating_add(u64::try_from(more).unwrap_or(u64::MAX)))
    }

    pub(super) fn write(&self, path: &Path, replace: Replace) -> Result<()> {
        output::deliver(Some(path), replace, |out| {
            writeln!(out, "# What the command needs; made by `oomscope verify --init`.")?;
            writeln!(
                out,
                "# `oomscope verify` fails when the peak exceeds it by more than the tolerance."
            )?;
            writeln!(out, "schema_version = {}", self.schema_version)?;
            writeln!(out, "peak_bytes = {}  # {}", self.peak_bytes, Bytes(self.peak_bytes))?;
            writeln!(out, "tolerance_percent = {}", self.tolerance_percent)?;
            let words: Vec<String> = self.command.iter().map(|word| quoted(word)).collect();
            writeln!(out, "command = [{}]", words.join(", "))
        })
    }
}

/// A TOML basic string; JSON's escapes are among TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::{BudgetFile, Replace};
    use oomscope_model::Bytes;

    #[test]
    fn a_written_file_reads_back_and_allows_its_tolerance() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("budget.toml");
        let command = ["python".to_owned(), "a \"b\"\n.py".to_owned()];
        BudgetFile::new(Bytes(1000), 5, &command).write(&path, Replace::Refuse).expect("written");
        let read = BudgetFile::read(&path).expect("read").expect("there");
        assert_eq!((read.limit(), read.command.as_slice()), (Bytes(1050), &command[..]));
        assert!(BudgetFile::read(&folder.path().join("none.toml")).expect("fine").is_none());
    }
}
