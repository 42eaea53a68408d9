//! The documentation's console sessions are run: what `docs/*.md` and the README show is what the
//! binary prints. `OOMSCOPE_UPDATE_DOCS=1 cargo test -p oomscope --test docs` writes what it prints.
#![allow(clippy::disallowed_methods, clippy::panic)] // tests are at the rim

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

const OPEN: &str = "```console";
const CLOSE: &str = "```";

#[test]
fn console_sessions_show_what_the_binary_prints() {
    let update = std::env::var_os("OOMSCOPE_UPDATE_DOCS").is_some();
    let mut pages: Vec<PathBuf> = fs::read_dir(common::root().join("docs"))
        .expect("docs exist")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .collect();
    pages.sort();
    for page in pages {
        let text = fs::read_to_string(&page).expect("pages are text");
        let fresh = rerun(&text);
        if update {
            fs::write(&page, &fresh).expect("pages can be written");
        } else if text != fresh {
            let lines = text.lines().zip(fresh.lines()).enumerate();
            let first = lines.into_iter().find(|(_, (old, new))| old != new);
            panic!(
                "{} is stale, first at {first:?}\nrun with OOMSCOPE_UPDATE_DOCS=1 to write it",
                page.display()
            );
        }
    }
}

/// What the pages draw.
const PICTURES: [(&str, &str); 3] = [
    ("timeline.svg", "snapshot timeline examples/retained_graph/snapshot.pickle --by category"),
    ("segments.svg", "snapshot segments examples/fragmentation/snapshot.pickle --limit 16"),
    ("replay.svg", "replay examples/fragmentation/snapshot.pickle --conf expandable_segments:True"),
];

#[test]
fn pictures_are_what_the_binary_draws() {
    for (file, command) in PICTURES {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        arguments.extend(["--format", "svg"]);
        let fresh = String::from_utf8(common::oomscope(&arguments).stdout).expect("text");
        let path = common::root().join("docs").join(file);
        if std::env::var_os("OOMSCOPE_UPDATE_DOCS").is_some() {
            fs::write(&path, &fresh).expect("pictures can be written");
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == fresh, "{file} is stale: run with OOMSCOPE_UPDATE_DOCS=1");
    }
}

/// The page with every session's output made anew. A session is a block of `$ oomscope ...` lines,
/// each followed by what it prints; standard error is not shown.
fn rerun(text: &str) -> String {
    let mut fresh = String::with_capacity(text.len());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let _ = writeln!(fresh, "{line}");
        if line != OPEN {
            continue;
        }
        for inside in lines.by_ref().take_while(|line| *line != CLOSE) {
            let Some(command) = inside.strip_prefix("$ oomscope ") else { continue };
            let _ = writeln!(fresh, "{inside}");
            let arguments: Vec<&str> = command.split(' ').collect();
            let output = common::oomscope(&arguments);
            assert_ne!(
                output.status.code(),
                Some(2),
                "{command}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            fresh.push_str(&String::from_utf8_lossy(&output.stdout));
        }
        let _ = writeln!(fresh, "{CLOSE}");
    }
    fresh
}
