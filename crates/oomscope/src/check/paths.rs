//! Which files are checked: those that are named, and the Python of directories.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use ignore::WalkBuilder;
use oomscope_model::Problem;
use oomscope_source::holds_unit_tests;

use super::settings::{Resolver, Settings, absolute};

/// A file to check.
pub(crate) struct Wanted {
    /// As findings name it.
    pub(crate) name: String,
    /// Where it is; `None` for standard input.
    pub(crate) path: Option<PathBuf>,
    pub(crate) settings: Arc<Settings>,
}

/// The files that the arguments name, and what could not be found.
pub(crate) struct Found {
    pub(crate) files: Vec<Wanted>,
    pub(crate) problems: Vec<Problem>,
}

/// Finds the files, in the order of the arguments and then by path; each once.
pub(crate) fn find(
    paths: &[PathBuf],
    stdin_filename: Option<&Path>,
    resolver: Resolver,
) -> Result<(Found, Resolver)> {
    let resolver = Arc::new(Mutex::new(resolver));
    let mut found = Found { files: Vec::new(), problems: Vec::new() };
    let mut seen: HashSet<PathBuf> = HashSet::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let name = stdin_filename.unwrap_or_else(|| Path::new("<stdin>"));
            let folder = stdin_filename.and_then(Path::parent).unwrap_or_else(|| Path::new("."));
            let settings = lock(&resolver).of_directory(folder)?;
            found.files.push(Wanted { name: name.display().to_string(), path: None, settings });
        } else if path.is_dir() {
            directory(path, &resolver, &mut seen, &mut found)?;
        } else if path.exists() {
            if seen.insert(absolute(path)) {
                let absolute = absolute(path);
                let folder = absolute.parent().unwrap_or(&absolute);
                let settings = lock(&resolver).of_directory(folder)?;
                found.files.push(Wanted {
                    name: name_of(path),
                    path: Some(path.clone()),
                    settings,
                });
            }
        } else {
            found.problems.push(Problem {
                input: path.display().to_string(),
                at: None,
                what: "no such file or directory".to_owned(),
                hint: None,
            });
        }
    }
    let resolver = Arc::try_unwrap(resolver)
        .map_err(|_| anyhow::anyhow!("a walk of a directory did not end"))?
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    Ok((found, resolver))
}

fn directory(
    root: &Path,
    resolver: &Arc<Mutex<Resolver>>,
    seen: &mut HashSet<PathBuf>,
    found: &mut Found,
) -> Result<()> {
    let settings = lock(resolver).of_directory(root)?;
    let failure: Arc<Mutex<Option<anyhow::Error>>> = Arc::default();
    let walk = {
        let (resolver, failure) = (resolver.clone(), failure.clone());
        WalkBuilder::new(root)
            .standard_filters(settings.respect_gitignore)
            .hidden(false)
            .follow_links(false)
            .sort_by_file_path(Path::cmp)
            .filter_entry(move |entry| {
                if entry.depth() == 0 {
                    return true;
                }
                let folder = entry.path().parent().unwrap_or(entry.path());
                match lock(&resolver).of_directory(folder) {
                    Ok(settings) => !settings.excludes(entry.path()),
                    Err(error) => {
                        lock(&failure).get_or_insert(error);
                        false
                    }
                }
            })
            .build()
    };
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                found.problems.push(Problem {
                    input: root.display().to_string(),
                    at: None,
                    what: error.to_string(),
                    hint: None,
                });
                continue;
            }
        };
        let path = entry.path();
        // A link to a file is read; a link to a directory may lead in circles.
        let is_file = entry.file_type().is_some_and(|kind| kind.is_file())
            || entry.path_is_symlink() && path.is_file();
        if !is_file || !is_python(path) || is_unit_test(root, path) || !seen.insert(absolute(path))
        {
            continue;
        }
        let folder = path.parent().unwrap_or(path);
        let settings = lock(resolver).of_directory(folder)?;
        found.files.push(Wanted { name: name_of(path), path: Some(path.to_owned()), settings });
    }
    match lock(&failure).take() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Whether a file's name is that of Python source or a notebook.
pub(crate) fn is_python(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ["py", "pyw", "ipynb"].iter().any(|own| ending == *own))
}

/// Whether a file in a directory holds unit tests; where the directory itself lies does not count.
fn is_unit_test(root: &Path, path: &Path) -> bool {
    let below = path.strip_prefix(root).unwrap_or(path);
    below.to_str().is_some_and(holds_unit_tests)
}

/// The path as it was given, without a leading `./`.
fn name_of(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
