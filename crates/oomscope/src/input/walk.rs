//! A directory: its source, snapshots and logs, respecting `.gitignore`.

use std::path::Path;

use ignore::WalkBuilder;
use oomscope_model::Problem;

use super::recognise::Kind;
use super::{Gathered, bytes, recognise};

/// A directory with more files than this is read in part, and that is said.
const MOST_FILES: usize = 20_000;
/// Files without a telling name are read as logs only up to this size.
const MOST_LOG: u64 = 256 << 20;

/// Adds what the directory holds. Files that are none of ours are passed over in silence; a text
/// counts as a log only when something failed in it.
pub(super) fn directory(root: &Path, gathered: &mut Gathered) {
    let walk = WalkBuilder::new(root)
        .require_git(false)
        .follow_links(false)
        .sort_by_file_path(Path::cmp)
        .build();
    let mut files = 0;
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                gathered.problems.push(Problem {
                    input: root.display().to_string(),
                    at: None,
                    what: error.to_string(),
                    hint: None,
                });
                continue;
            }
        };
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        files += 1;
        if files > MOST_FILES {
            gathered.problems.push(Problem {
                input: root.display().to_string(),
                at: None,
                what: format!("more than {MOST_FILES} files; the rest was not read"),
                hint: Some("name the folder that holds the program".to_owned()),
            });
            break;
        }
        let path = entry.path();
        let name = path.display().to_string();
        match wanted(path) {
            Wanted::Always => gathered.add_file(&name, path),
            Wanted::IfItFailed
                if entry.metadata().is_ok_and(|metadata| metadata.len() <= MOST_LOG) =>
            {
                add_if_it_failed(&name, path, gathered);
            }
            Wanted::IfItFailed | Wanted::Never => {}
        }
    }
}

enum Wanted {
    Always,
    IfItFailed,
    Never,
}

fn wanted(path: &Path) -> Wanted {
    let ending =
        path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
    match ending.as_str() {
        "py" | "ipynb" => Wanted::Always,
        "pickle" | "pkl" | "html" | "json" | "gz" | "zst" | "log" | "txt" | "out" | "err" | "" => {
            Wanted::IfItFailed
        }
        _ => Wanted::Never,
    }
}

/// Snapshots always count; texts only when they show a failure.
fn add_if_it_failed(name: &str, path: &Path, gathered: &mut Gathered) {
    let Ok(content) = bytes::open(path).and_then(bytes::decompressed) else { return };
    let keep = match recognise::kind(name, &content) {
        Ok(Kind::Snapshot | Kind::Source) => true,
        Ok(Kind::Log) => shows_a_failure(&content),
        Err(_) => false,
    };
    if keep {
        gathered.add(name.to_owned(), content);
    }
}

fn shows_a_failure(content: &[u8]) -> bool {
    let log = oomscope_diagnose::log::read("", &bytes::text(content));
    !log.failures.is_empty()
}
