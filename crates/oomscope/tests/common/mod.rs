//! Runs the built binary and finds the shared data, where it is there.
#![allow(dead_code, unreachable_pub)] // each test file uses its part
#![allow(clippy::panic, clippy::print_stdout, clippy::disallowed_methods)] // tests are at the rim

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the workspace exists")
}

/// A folder of the shared data, or `None` with a printed reason.
pub fn shared(part: &str) -> Option<PathBuf> {
    let base =
        std::env::var_os("OOMSCOPE_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let path = base.join(part);
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: {part} of the shared data is not here");
    None
}

/// Runs `oomscope` with these arguments in the repository's root.
pub fn oomscope(arguments: &[&str]) -> Output {
    oomscope_in(&root(), arguments, "")
}

/// Runs `oomscope` in a folder, with a standard input.
pub fn oomscope_in(folder: &Path, arguments: &[&str], input: &str) -> Output {
    use std::io::Write;
    let mut child = Command::new(env!("CARGO_BIN_EXE_oomscope"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("NO_COLOR")
        // A check of the repository leaves nothing in it.
        .env("OOMSCOPE_CACHE_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // A verb that reads no standard input may have closed it.
    let _ = child.stdin.take().expect("stdin is piped").write_all(input.as_bytes());
    child.wait_with_output().expect("the binary ends")
}

/// The JSON diagnosis of these inputs.
pub fn diagnose_json(inputs: &[&Path]) -> Value {
    let mut arguments: Vec<&str> =
        inputs.iter().map(|path| path.to_str().expect("test paths are text")).collect();
    arguments.splice(0..0, ["diagnose", "--format", "json"]);
    let output = oomscope(&arguments);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{inputs:?}: {error}: {}", String::from_utf8_lossy(&output.stderr))
    })
}

/// Names of the causes, best first.
pub fn cause_names(diagnosis: &Value) -> Vec<String> {
    diagnosis["causes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|cause| cause["name"].as_str().map(str::to_owned))
        .collect()
}
