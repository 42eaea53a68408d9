//! Our answers beside those of other tools, on the same files: PyTorch's `_memory_viz.py` and
//! Mosaic. Equal where both mean the same; where they do not, the test says what differs.
//!
//! `cargo xtask peers FOLDER` brings both; `OOMSCOPE_PEERS` names that folder. Without it,
//! `_memory_viz.py` is taken from the PyTorch of `OOMSCOPE_PYTHON` or `python3`, if there is one.
//! What is not there is skipped with a printed reason.
//!
//! Those tools unpickle. Only this test lets them, and only on the files of this repository and of
//! the shared data; oomscope itself never does.
#![allow(clippy::disallowed_methods, clippy::panic, clippy::print_stdout, missing_docs)]

mod memory_viz;
mod mosaic;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use oomscope_snapshot::{Snapshot, read};
use serde_json::Value;

/// Where PyTorch keeps the script; found without importing PyTorch.
const FIND_MEMORY_VIZ: &str = "import importlib.util as u, os; \
    print(os.path.join(u.find_spec('torch').submodule_search_locations[0], 'cuda/_memory_viz.py'))";

fn python() -> String {
    std::env::var("OOMSCOPE_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// A file or folder that `cargo xtask peers` brought.
fn brought(name: &str) -> Option<PathBuf> {
    let path = Path::new(&std::env::var_os("OOMSCOPE_PEERS")?).join(name);
    path.exists().then_some(path)
}

fn installed_memory_viz() -> Option<PathBuf> {
    let output = Command::new(python()).args(["-c", FIND_MEMORY_VIZ]).output().ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    path.is_file().then_some(path)
}

/// Every pickled snapshot of this crate and of the shared data, by path.
fn files() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = here.join("../../../shared");
    let shared = std::env::var_os("OOMSCOPE_SHARED").map_or(beside, PathBuf::from);
    let mut folders = vec![here.join("tests/data"), shared.join("data")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            println!("skipped: {} is not there", folder.display());
            continue;
        };
        for entry in entries {
            let path = entry.expect("the entry is readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "pickle") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Has `tool`, which lies at `path`, answer for every file, and gives each answer to `compare`
/// with what we read. Returns how many were compared.
fn ask(tool: &str, path: &Path, mut compare: impl FnMut(&str, &Snapshot, &Value)) -> usize {
    let files = files();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/ask.py");
    let mut process = Command::new(python())
        .arg(script)
        .args([tool.as_ref(), path.as_os_str()])
        .args(&files)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    let answers = BufReader::new(process.stdout.take().expect("its output is piped"));
    let mut compared = 0;
    let mut lines = answers.lines();
    for file in &files {
        let name = file.display().to_string();
        let line = lines.next().unwrap_or_else(|| panic!("{tool} gave up at {name}"));
        let said: Value = serde_json::from_str(&line.expect("UTF-8")).expect("JSON");
        if let Some(failure) = said["failure"].as_str() {
            println!("skipped: {tool} fails on {name}: {failure}");
            continue;
        }
        let bytes = std::fs::read(file).expect("the file is readable");
        let snapshot = read(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        compare(&name, &snapshot, &said);
        compared += 1;
    }
    assert!(process.wait().expect("python ends").success(), "{tool}");
    compared
}

/// Bytes by some key; signed, for a stale request can be larger than the free block it stands in.
type Sums = BTreeMap<String, i64>;

/// Fails with a few of the keys that differ: stacks are long, and there are many.
fn assert_same(what: &str, ours: &Sums, theirs: &Sums) {
    let keys = ours.keys().chain(theirs.keys());
    let differing: Vec<&String> = keys.filter(|key| ours.get(*key) != theirs.get(*key)).collect();
    let shown = differing
        .iter()
        .take(5)
        .map(|key| format!("\n{:?} and {:?}: {key:.400}", ours.get(*key), theirs.get(*key)));
    let shown: String = shown.collect();
    assert!(differing.is_empty(), "{what}: {} differ, ours and theirs:{shown}", differing.len());
}

#[test]
fn segments_actions_and_live_stacks_are_those_of_memory_viz() {
    let Some(path) = brought("_memory_viz.py").or_else(installed_memory_viz) else {
        println!("skipped: no _memory_viz.py: neither OOMSCOPE_PEERS nor a PyTorch has one");
        return;
    };
    let compared = ask("memory_viz", &path, memory_viz::compare);
    println!("compared with {}: {compared} files", path.display());
}

#[test]
fn the_peak_and_its_stacks_are_mosaic_s() {
    let Some(path) = brought("mosaic") else {
        println!("skipped: no Mosaic: OOMSCOPE_PEERS does not name a folder with it");
        return;
    };
    let compared = ask("mosaic", &path, mosaic::compare);
    println!("compared with Mosaic: {compared} files");
}
