//! The real snapshots that tests look at: those of the repository, and those beside it if present.

use std::path::{Path, PathBuf};

/// All snapshots there are, small ones of the repository first.
pub(crate) fn snapshots() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = here.join("../../../shared");
    let shared = std::env::var_os("OOMSCOPE_SHARED").map_or(beside, PathBuf::from).join("data");
    if !shared.is_dir() {
        println!("skipped: {} is not there", shared.display());
    }
    let cases = inside(&shared.join("cases"));
    let cases = cases.iter().flat_map(|version| inside(version)).flat_map(|case| inside(&case));
    let mut paths = inside(&here.join("tests/data"));
    paths.extend(inside(&shared.join("snapshots")));
    paths.extend(cases);
    paths.retain(|path| path.extension().is_some_and(|it| it == "pickle" || it == "html"));
    paths
}

fn inside(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}
