//! Without INPUT: the newest log with a failure, the newest snapshot, and the source here.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::recognise::Kind;
use super::{Gathered, Input, walk};

/// What lies in `root` that a diagnosis can use, the newest of each kind.
pub(crate) fn discover(root: &Path) -> Gathered {
    let mut all = Gathered::default();
    walk::directory(root, &mut all);
    let mut found = Gathered { inputs: Vec::new(), problems: all.problems };
    let (source, rest): (Vec<Input>, Vec<Input>) =
        all.inputs.into_iter().partition(|input| input.kind == Kind::Source);
    let (snapshots, logs): (Vec<Input>, Vec<Input>) =
        rest.into_iter().partition(|input| input.kind == Kind::Snapshot);
    found.inputs.extend(newest(logs));
    found.inputs.extend(newest(snapshots));
    found.inputs.extend(source);
    found
}

fn newest(inputs: Vec<Input>) -> Option<Input> {
    inputs.into_iter().max_by_key(|input| modified(&PathBuf::from(&input.name)))
}

fn modified(path: &Path) -> SystemTime {
    std::fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
