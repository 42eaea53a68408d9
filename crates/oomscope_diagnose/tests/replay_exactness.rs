//! The model beside real traces: PyTorch 2.4, 2.6, 2.9 and 2.15 decided as it does, at every event.

#![allow(clippy::disallowed_methods, clippy::print_stderr)] // tests read files and say what they skip

use std::path::{Path, PathBuf};

use oomscope_allocator::{Followed, LayoutSegment};
use oomscope_diagnose::replay::follow_recorded;
use oomscope_model::{BlockState, DeviceId, SegmentPool};
use oomscope_snapshot::Snapshot;

#[test]
fn the_model_decides_as_pytorch_did() {
    let Some(cases) = shared("data/cases") else { return };
    let cases = inside(&cases).iter().flat_map(|release| inside(release)).collect::<Vec<_>>();
    assert_agreement(&snapshots_of(&cases));
}

#[test]
fn late_and_wrapped_recordings_agree_once_their_beginning_is_settled() {
    let Some(programs) = shared("data/programs") else { return };
    assert_agreement(&snapshots_of(&inside(&programs)));
}

#[test]
fn recordings_of_real_devices_agree() {
    let Some(snapshots) = shared("data/snapshots") else { return };
    let is_snapshot = |file: &PathBuf| file.extension().is_some_and(|ending| ending == "pickle");
    let files: Vec<PathBuf> = inside(&snapshots).into_iter().filter(is_snapshot).collect();
    assert_agreement(&files);
}

/// Asserts that the model decides as each trace does, and ends with the file's segments.
fn assert_agreement(files: &[PathBuf]) {
    assert!(!files.is_empty(), "there are files");
    let mut wrong = Vec::new();
    let mut events = 0;
    for file in files {
        let bytes = std::fs::read(file).expect("a file");
        let Ok(snapshot) = oomscope_snapshot::read(&bytes) else { continue };
        for device in snapshot.devices() {
            let recorded = follow_recorded(&snapshot, device, None);
            events += snapshot.trace(device).map_or(0, oomscope_snapshot::Trace::len);
            if let Some(difference) = difference(&snapshot, device, &recorded.followed) {
                wrong.push(format!("{}: {difference}", name_of(file)));
            }
        }
    }
    eprintln!("{} files, {events} events", files.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The snapshots that folders hold.
fn snapshots_of(folders: &[PathBuf]) -> Vec<PathBuf> {
    let files = folders.iter().map(|folder| folder.join("snapshot.pickle"));
    files.filter(|file| file.exists()).collect()
}

/// What is in a folder, by name.
fn inside(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Where the model and the file differ.
fn difference(snapshot: &Snapshot, device: DeviceId, followed: &Followed) -> Option<String> {
    if let Some(divergence) = followed.divergence {
        return Some(format!(
            "{divergence:?}, limits {:?}, faults {:?}",
            followed.limits, followed.faults
        ));
    }
    let recorded = recorded_layout(snapshot, device);
    let differs = |(ours, theirs): &(&LayoutSegment, &LayoutSegment)| ours != theirs;
    let pairs = followed.layout.iter().zip(&recorded);
    if let Some((ours, theirs)) = pairs.clone().find(differs) {
        return Some(format!("the model ends with {ours:?}, the file has {theirs:?}"));
    }
    let (ours, theirs) = (followed.layout.len(), recorded.len());
    (ours != theirs).then(|| format!("the model ends with {ours} segments, the file has {theirs}"))
}

fn recorded_layout(snapshot: &Snapshot, device: DeviceId) -> Vec<LayoutSegment> {
    let mut segments: Vec<LayoutSegment> = snapshot
        .segments_of(device)
        .map(|segment| LayoutSegment {
            addr: segment.addr,
            size: segment.total.0,
            stream: segment.stream,
            pool: segment.pool_id,
            is_small: segment.pool == SegmentPool::Small,
            is_expandable: segment.is_expandable,
            blocks: segment
                .blocks
                .iter()
                .map(|block| oomscope_allocator::LayoutBlock {
                    addr: block.addr,
                    size: block.size.0,
                    is_active: block.state != BlockState::Inactive,
                })
                .collect(),
        })
        .collect();
    segments.sort_unstable_by_key(|segment| segment.addr);
    segments
}

fn name_of(file: &Path) -> String {
    let parts: Vec<_> =
        file.iter().rev().skip(1).take(2).map(|part| part.to_string_lossy()).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("/")
}

/// A folder of the data that the project is developed with, where it is at hand.
fn shared(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("OOMSCOPE_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = root.join(folder);
    if !path.is_dir() {
        eprintln!("skipped: {} is not here", path.display());
        return None;
    }
    Some(path)
}
