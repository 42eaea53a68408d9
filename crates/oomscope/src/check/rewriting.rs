//! One file rewritten outside of a check: `oomscope fix` uses the same care.

use std::path::Path;

use anyhow::{Result, bail};
use oomscope_source::notebook;

pub(crate) use super::diff::diff;
pub(crate) use super::fixes::{with_edits, write};
use super::paths::Wanted;
use super::settings::defaults;
pub(crate) use super::source::Source;
use super::source::{self, hash};

/// Reads a file as a check does.
pub(crate) fn read_one(path: &Path) -> Result<Source> {
    let name = path.display().to_string();
    let wanted = Wanted { name, path: Some(path.to_owned()), settings: defaults()? };
    let read = source::read(vec![wanted]);
    match (read.sources.into_iter().next(), read.problems.first()) {
        (Some(mut source), _) => {
            if let Some(json) = &source.json {
                source.code = notebook::code(json).unwrap_or_default();
            }
            Ok(source)
        }
        (None, Some(problem)) => bail!("{}", problem.what),
        (None, None) => bail!("it could not be read"),
    }
}

/// Writes `before` over `after`, unless the file is no longer `after`.
pub(crate) fn restore(before: &Source, after: &Source) -> Result<()> {
    let text = after.json.as_ref().unwrap_or(&after.code);
    let bytes = super::decode::encode(text, after.encoding);
    let Some(bytes) = bytes else { bail!("{}: cannot be restored", before.name) };
    write(&Source { hash: hash(&bytes), ..before.clone() })
}
