//! Snapshots from files: opened, decompressed, read; damage is an error unless `--partial`.

use std::path::Path;

use oomscope_model::Problem;
use oomscope_snapshot::Snapshot;

use crate::input::{self, Content};
use crate::output;
use crate::progress::Progress;

/// A snapshot and the name that it was given by.
pub(crate) struct Loaded {
    pub(crate) name: String,
    pub(crate) snapshot: Snapshot,
}

/// Says what was wrong with a file that is used all the same.
pub(crate) fn warn_of_damage(loaded: &Loaded) {
    for problem in &loaded.snapshot.problems {
        let problem = problem.clone().of_input(&loaded.name);
        output::say(&format!("warning: {problem}"));
        if let Some(hint) = &problem.hint {
            output::say(&format!("hint: {hint}"));
        }
    }
}

/// What to do with a damaged file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Use what could be read.
    Accept,
    /// Say so and leave it out.
    Refuse,
}

/// Reads a snapshot.
pub(crate) fn load(name: &str, damage: Damage) -> Result<Loaded, Problem> {
    let content = open(name)?;
    let name = if name == "-" { "<stdin>" } else { name };
    let problem = |what: String, at: Option<String>, hint: Option<String>| Problem {
        input: name.to_owned(),
        at,
        what,
        hint,
    };
    let mut progress = Progress::of_reading(name, content.len());
    let behind = &mut |done| {
        content.release(done);
        progress.at(done);
    };
    let snapshot = oomscope_snapshot::read_with(&content, behind)
        .map_err(|error| problem(error.to_string(), None, None))?;
    if let (Some(first), Damage::Refuse) = (snapshot.problems.first(), damage) {
        let hint = "pass `--partial` to use what could be read";
        return Err(problem(
            first.what.clone(),
            Some(first.at.clone()),
            Some(first.hint.as_ref().map_or(hint.to_owned(), |first| format!("{first}; {hint}"))),
        ));
    }
    Ok(Loaded { name: name.to_owned(), snapshot })
}

fn open(name: &str) -> Result<Content, Problem> {
    let opened = if name == "-" { input::standard_input() } else { input::open(Path::new(name)) };
    opened.and_then(input::decompressed).map_err(|error| Problem {
        input: name.to_owned(),
        at: None,
        what: format!("cannot read: {error}"),
        hint: None,
    })
}
