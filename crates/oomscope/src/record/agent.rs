//! The Python agent, carried in the binary and unpacked where Python finds it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use twox_hash::XxHash3_128;

macro_rules! agent_files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../../python/oomscope_agent/", $name)))),*]
    };
}

/// Every file of `python/oomscope_agent` but its tests.
const FILES: &[(&str, &str)] = agent_files![
    "sitecustomize.py",
    "_oomscope/__init__.py",
    "_oomscope/counters.py",
    "_oomscope/failures.py",
    "_oomscope/guard.py",
    "_oomscope/history.py",
    "_oomscope/hooks.py",
    "_oomscope/import_hook.py",
    "_oomscope/marker.py",
    "_oomscope/options.py",
    "_oomscope/peers.py",
    "_oomscope/recorder.py",
    "_oomscope/records.py",
    "_oomscope/snapshots.py",
    "_oomscope/sources.py",
    "_oomscope/steps.py",
    "_oomscope/watcher.py",
];

/// Unpacks the agent below `root`, unless this very version is there, and returns its folder.
/// Processes that outlive the run may still import from it, so it stays.
pub(super) fn unpack(root: &Path) -> Result<PathBuf> {
    let all: String = FILES.iter().flat_map(|(name, text)| [*name, *text]).collect();
    let folder = root.join(format!("agent-{:08x}", XxHash3_128::oneshot(all.as_bytes()) as u32));
    if folder.is_dir() {
        return Ok(folder);
    }
    let draft = root.join(format!("agent-{}.part", std::process::id()));
    for (name, text) in FILES {
        let path = draft.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)
                .with_context(|| format!("cannot make {}", parent.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    match fs::rename(&draft, &folder) {
        Ok(()) => {}
        // Another run was faster.
        Err(_) if folder.is_dir() => drop(fs::remove_dir_all(&draft)),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot make {}", folder.display()));
        }
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::FILES;
    use std::path::Path;

    #[test]
    fn every_file_of_the_agent_is_carried() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/oomscope_agent");
        let mut there = vec!["sitecustomize.py".to_owned()];
        for entry in std::fs::read_dir(root.join("_oomscope")).expect("the package is there") {
            let name = entry.expect("an entry").file_name().into_string().expect("a plain name");
            if Path::new(&name).extension().is_some_and(|extension| extension == "py") {
                there.push(format!("_oomscope/{name}"));
            }
        }
        there.sort();
        let mut carried: Vec<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        carried.sort();
        assert_eq!(there, carried);
    }
}
