//! The patches of a diagnosis against the files as they are: planned, applied, taken back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use oomscope_model::{Diagnosis, Edit};

use crate::check::rewriting::{Source, diff, read_one, restore, with_edits, write};
use crate::output::{self, Replace};

/// A patch that fits the file as it is.
pub(super) struct Planned {
    pub(super) title: String,
    pub(super) diff: String,
    source: Arc<Source>,
    edits: Vec<Edit>,
}

/// What can be applied, and why the rest cannot.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) patches: Vec<Planned>,
    pub(super) problems: Vec<String>,
}

/// The patches whose files are there and unchanged since the diagnosis, best first.
pub(super) fn planned(diagnosis: &Diagnosis) -> Plan {
    let mut plan = Plan::default();
    for patch in &diagnosis.fixes {
        let Some(change) = &patch.change else { continue };
        if change.path.contains("/ipykernel_") && !Path::new(&change.path).exists() {
            let what = "a cell of a notebook, which has to be changed there";
            plan.problems.push(format!("{}: {what}", change.path));
            continue;
        }
        let fits = read_one(Path::new(&change.path)).and_then(|source| {
            let after = with_edits(&source, &change.edits).map_err(anyhow::Error::msg)?;
            Ok((diff(&source, &after), source))
        });
        match fits {
            Ok((diff, source)) => plan.patches.push(Planned {
                title: patch.title.clone(),
                diff,
                source: Arc::new(source),
                edits: change.edits.clone(),
            }),
            Err(error) => plan.problems.push(format!("{}: {error:#}", change.path)),
        }
    }
    plan
}

/// The patches that are to be applied, by file.
#[derive(Default)]
pub(super) struct Chosen(Vec<(Arc<Source>, Vec<Edit>)>);

impl Chosen {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a patch, unless it touches what another one changes.
    pub(super) fn add(&mut self, patch: Planned) {
        let same = self.0.iter_mut().find(|(source, _)| source.path == patch.source.path);
        let Some((_, edits)) = same else {
            self.0.push((patch.source, patch.edits));
            return;
        };
        let overlaps = |one: &Edit| {
            patch.edits.iter().any(|other| one.start <= other.end && other.start <= one.end)
        };
        if edits.iter().any(overlaps) {
            output::say(&format!("warning: left out, it overlaps: {}", patch.title));
            return;
        }
        edits.extend(patch.edits);
        edits.sort_by_key(|edit| edit.start);
    }
}

/// Files before and after.
pub(super) struct Applied(Vec<(Source, Source)>);

/// Writes all files; when one cannot be written, those before it are restored.
pub(super) fn apply(chosen: Chosen) -> Result<Applied> {
    let mut changes = Vec::new();
    for (before, edits) in chosen.0 {
        let after = with_edits(&before, &edits).map_err(anyhow::Error::msg)?;
        changes.push((Source::clone(&before), after));
    }
    let mut applied = Applied(Vec::new());
    for (before, after) in changes {
        if let Err(error) = write(&after) {
            applied.take_back()?;
            return Err(error);
        }
        applied.0.push((before, after));
    }
    Ok(applied)
}

impl Applied {
    /// The names of the changed files.
    pub(super) fn names(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(|(before, _)| before.name.as_str()).collect();
        names.join(", ")
    }

    /// Writes the patch that takes the change back into a folder, and returns its path.
    pub(super) fn keep_reversal(&self, folder: &Path) -> Result<PathBuf> {
        let text: String = self.0.iter().map(|(before, after)| diff(after, before)).collect();
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        let mut path = folder.join("reverse.patch");
        let mut number = 1;
        while path.exists() {
            number += 1;
            path = folder.join(format!("reverse-{number}.patch"));
        }
        output::deliver(Some(&path), Replace::Refuse, |out| out.write_all(text.as_bytes()))?;
        Ok(path)
    }

    /// Restores every file, unless somebody changed it since.
    pub(super) fn take_back(&self) -> Result<()> {
        let mut failed = Vec::new();
        for (before, after) in &self.0 {
            if let Err(error) = restore(before, after) {
                failed.push(format!("{error:#}"));
            }
        }
        if !failed.is_empty() {
            bail!("not taken back: {}", failed.join("; "));
        }
        Ok(())
    }
}
