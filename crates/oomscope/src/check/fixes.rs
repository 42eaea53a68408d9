//! Fixes applied in rounds until none is left. A file whose new text would not parse, or that
//! somebody changed in the meantime, stays as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use oomscope_model::{Edit, Fix, FixSafety, Problem};
use oomscope_report::check::CheckReport;
use oomscope_source::{apply, notebook};

use super::analyse::{analyse, report};
use super::cache::Cache;
use super::decode::{Encoding, encode};
use super::source::{Source, hash, problem};

/// A fix may make room for another; more rounds than this are a defect of ours.
const MOST_ROUNDS: usize = 10;

/// What the rounds came to.
pub(crate) struct Fixed {
    /// What is left.
    pub(crate) report: CheckReport,
    /// The files as they were, where they changed.
    pub(crate) before: Vec<(usize, Source)>,
}

/// Applies the fixes up to a safety to the sources in memory.
pub(crate) fn fix_all(sources: &mut [Source], most: FixSafety, cache: Option<&Cache>) -> Fixed {
    let mut before: BTreeMap<usize, Source> = BTreeMap::new();
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut left: BTreeSet<usize> = BTreeSet::new();
    let mut problems: Vec<Problem> = Vec::new();
    let mut round = 0;
    loop {
        // What was changed has another hash only once it is written.
        let cache = cache.filter(|_| round == 0);
        let analysis = analyse(sources, cache);
        let mut found = report(sources, analysis);
        let mut is_changed = false;
        for (index, source) in sources.iter_mut().enumerate() {
            let Some(file) = found.files.iter().find(|file| file.path == source.name) else {
                continue;
            };
            let fixable: Vec<(&'static str, &Fix)> = file
                .findings
                .iter()
                .filter_map(|finding| Some((finding.rule, finding.fix.as_ref()?)))
                .filter(|(_, fix)| fix.safety <= most && !fix.edits.is_empty())
                .collect();
            if fixable.is_empty() || left.contains(&index) || round >= MOST_ROUNDS {
                continue;
            }
            match fixed(source, &fixable) {
                Ok((next, rules)) => {
                    before.entry(index).or_insert_with(|| source.clone());
                    *source = next;
                    is_changed = true;
                    for rule in rules {
                        *counts.entry(rule).or_insert(0) += 1;
                    }
                }
                Err(what) => {
                    left.insert(index);
                    problems.push(problem(&source.name, None, what));
                }
            }
        }
        if is_changed {
            round += 1;
            continue;
        }
        found.problems.extend(problems);
        found.fixed = counts.into_iter().collect();
        return Fixed { report: found, before: before.into_iter().collect() };
    }
}

/// A source with as many of the fixes as go together, and the rules of those; or why not.
fn fixed(
    source: &Source,
    fixable: &[(&'static str, &Fix)],
) -> Result<(Source, Vec<&'static str>), String> {
    if source.encoding == Encoding::Unknown {
        return Err("not fixed: its encoding is not known".to_owned());
    }
    if apply::syntax_errors(&source.name, &source.code) > 0 {
        return Err("not fixed: it has syntax errors".to_owned());
    }
    let fixes: Vec<&Fix> = fixable.iter().map(|(_, fix)| *fix).collect();
    let chosen = apply::compatible(&source.code, &fixes);
    let pick = |index: &usize| fixable.get(*index);
    let edits: Vec<Edit> =
        chosen.iter().filter_map(pick).flat_map(|(_, fix)| fix.edits.clone()).collect();
    let rules: Vec<&'static str> = chosen.iter().filter_map(pick).map(|(rule, _)| *rule).collect();
    if rules.is_empty() {
        return Err("not fixed: no fix fits its text".to_owned());
    }
    with_edits(source, &edits).map(|next| (next, rules))
}

/// A source with edits of its code; or why they cannot be made.
pub(crate) fn with_edits(source: &Source, edits: &[Edit]) -> Result<Source, String> {
    let mut next = source.clone();
    next.code = apply::apply(&source.code, edits).ok_or("not fixed: the fixes overlap")?;
    if apply::syntax_errors(&source.name, &next.code)
        > apply::syntax_errors(&source.name, &source.code)
    {
        return Err("not fixed: the fixed text would not parse".to_owned());
    }
    if encode(&next.code, source.encoding).is_none() {
        return Err("not fixed: its encoding lacks a character of the fix".to_owned());
    }
    if let Some(json) = &source.json {
        let cells = notebook::split(json).ok_or("not fixed: its cells were not found")?;
        let written = cells.rewrite(&source.code, edits);
        next.json = Some(written.ok_or("not fixed: a fix spans cells")?);
    }
    Ok(next)
}

/// Writes a changed source to its file, unless that has changed since it was read.
pub(crate) fn write(source: &Source) -> Result<()> {
    let Some(path) = &source.path else { return Ok(()) };
    // What a link points to is replaced, not the link.
    let path = path.canonicalize().with_context(|| format!("cannot find {}", source.name))?;
    let now = fs::read(&path).with_context(|| format!("cannot read {}", source.name))?;
    if hash(&now) != source.hash {
        bail!("{}: changed since it was read; left as it was", source.name);
    }
    let text = source.json.as_ref().unwrap_or(&source.code);
    let bytes = encode(text, source.encoding)
        .with_context(|| format!("{}: cannot be written in its encoding", source.name))?;
    replace(&path, &bytes).with_context(|| format!("cannot write {}", source.name))
}

/// Replaces a file in one step, with its permissions.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut draft = path.file_name().unwrap_or_default().to_owned();
    draft.push(format!(".{}.tmp", std::process::id()));
    let draft = path.with_file_name(draft);
    let written = (|| -> Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&draft)?;
        file.set_permissions(fs::metadata(path)?.permissions())?;
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(fs::rename(&draft, path)?)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}
