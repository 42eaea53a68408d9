//! Real snapshots agree with the allocator's own counters.
#![allow(clippy::disallowed_methods, clippy::panic, clippy::print_stdout, missing_docs)]

use std::path::{Path, PathBuf};

use oomscope_model::{BlockState, Bytes, DeviceId};
use oomscope_snapshot::{At, Snapshot, counters, history, oom_events, read, state_at};
use serde_json::Value;

/// The folder of shared data, or `None` with a printed reason.
fn shared(folder: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("OOMSCOPE_SHARED").map_or(beside, PathBuf::from);
    let path = root.join("data").join(folder);
    if !path.is_dir() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder is readable");
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("the entry is readable").path()).collect();
    paths.sort();
    paths
}

fn cases() -> Vec<PathBuf> {
    let Some(root) = shared("cases") else { return Vec::new() };
    let versions = files_in(&root).into_iter().filter(|path| path.is_dir());
    versions.flat_map(|version| files_in(&version)).collect()
}

fn read_file(path: &Path) -> Snapshot {
    let bytes = std::fs::read(path).expect("the file is readable");
    let snapshot = read(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(snapshot.problems, [], "{}", path.display());
    assert_eq!(snapshot.unknown, [], "{}", path.display());
    snapshot
}

fn figure(stats: &Value, key: &str) -> Bytes {
    Bytes(stats[key].as_u64().unwrap_or_else(|| panic!("{key} is a number")))
}

/// The state at the dump, against `memory_stats`.
fn assert_agrees(snapshot: &Snapshot, device: DeviceId, stats: &Value, name: &str) {
    let end = state_at(snapshot, device, At::End).counters;
    for (what, ours, key) in [
        ("reserved", end.reserved, "reserved_bytes.all.current"),
        ("allocated", end.allocated, "allocated_bytes.all.current"),
        ("active", end.active, "active_bytes.all.current"),
        ("requested", end.requested.expect("known"), "requested_bytes.all.current"),
        ("split", end.inactive_split.expect("known"), "inactive_split_bytes.all.current"),
    ] {
        assert_eq!(ours, figure(stats, key), "{name}: device {}: {what}", device.0);
    }
}

fn assert_blocks_tile_segments(snapshot: &Snapshot, name: &str) {
    for segment in &snapshot.segments {
        let mut next = segment.addr;
        for block in &segment.blocks {
            assert_eq!(block.addr, next, "{name}");
            next += block.size.0;
        }
        assert_eq!(next, segment.addr + segment.total.0, "{name}");
        let held = segment.blocks.iter().filter(|block| block.state == BlockState::Allocated);
        assert_eq!(held.map(|block| block.size).sum::<Bytes>(), segment.allocated, "{name}");
    }
}

fn assert_timeline_agrees_with_states(snapshot: &Snapshot, name: &str) {
    for trace in &snapshot.traces {
        let history = history(snapshot, trace.device);
        let timeline = counters(snapshot, trace.device);
        assert_eq!(timeline.len(), trace.len(), "{name}");
        let step = trace.len() / 40 + 1;
        for (index, _) in trace.iter().step_by(step) {
            let state = history.state_at(At::After(index)).counters;
            let at = index.0 as usize;
            assert_eq!(Bytes(timeline.allocated[at]), state.allocated, "{name} {at}");
            assert_eq!(Bytes(timeline.active[at]), state.active, "{name} {at}");
            assert_eq!(Bytes(timeline.reserved[at]), state.reserved, "{name} {at}");
        }
    }
}

#[test]
fn public_snapshots_read_without_a_problem() {
    let Some(folder) = shared("snapshots") else { return };
    for path in files_in(&folder) {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("pickle" | "html")) {
            let name = path.display().to_string();
            let snapshot = read_file(&path);
            assert_blocks_tile_segments(&snapshot, &name);
            assert_timeline_agrees_with_states(&snapshot, &name);
        }
    }
}

#[test]
fn the_dump_agrees_with_the_allocator_s_own_counters() {
    for case in cases() {
        let name = case.display().to_string();
        let snapshot = read_file(&case.join("snapshot.pickle"));
        assert_blocks_tile_segments(&snapshot, &name);
        assert_timeline_agrees_with_states(&snapshot, &name);
        let text = std::fs::read(case.join("memory_stats.json")).expect("the counters are there");
        let stats: Value = serde_json::from_slice(&text).expect("the counters are JSON");
        assert_agrees(&snapshot, DeviceId(0), &stats, &name);
    }
}

#[test]
fn the_peaks_of_a_whole_trace_are_the_allocator_s_own_peaks() {
    for case in cases() {
        let snapshot = read_file(&case.join("snapshot.pickle"));
        let history = history(&snapshot, DeviceId(0));
        if history.lives.iter().any(|life| life.allocated_at.is_none()) {
            println!("skipped: the trace of {} is not whole", case.display());
            continue;
        }
        assert_eq!(history.contradictions, 0);
        let text = std::fs::read(case.join("memory_stats.json")).expect("the counters are there");
        let stats: Value = serde_json::from_slice(&text).expect("the counters are JSON");
        let timeline = history.timeline();
        for (ours, key) in [
            (timeline.allocated, "allocated_bytes.all.peak"),
            (timeline.active, "active_bytes.all.peak"),
            (timeline.reserved, "reserved_bytes.all.peak"),
        ] {
            let most = ours.into_iter().max().unwrap_or(0);
            assert_eq!(Bytes(most), figure(&stats, key), "{}: {key}", case.display());
        }
    }
}

#[test]
fn small_real_snapshots_agree_with_the_allocator_s_own_counters() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    for name in ["healthy", "oom_caught", "ring_wrapped", "two_devices", "expandable"] {
        let snapshot = read_file(&folder.join(name).with_extension("pickle"));
        assert_blocks_tile_segments(&snapshot, name);
        assert_timeline_agrees_with_states(&snapshot, name);
        let text = std::fs::read(folder.join(format!("{name}.stats.json"))).expect("readable");
        let stats: Value = serde_json::from_slice(&text).expect("the counters are JSON");
        match stats.as_array() {
            Some(devices) => {
                for (stats, device) in devices.iter().zip(0..) {
                    assert_agrees(&snapshot, DeviceId(device), stats, name);
                }
            }
            None => assert_agrees(&snapshot, DeviceId(0), &stats, name),
        }
    }
}

/// The figure before `phrase`, in bytes, and the rounding of its last digit.
fn stated(text: &str, phrase: &str) -> Option<(f64, f64)> {
    let before = &text[..text.find(phrase)?];
    let mut words = before.split_whitespace().rev();
    let unit = match words.next()? {
        "GiB" => 1_073_741_824.0,
        "MiB" => 1_048_576.0,
        "KiB" => 1024.0,
        _ => 1.0,
    };
    let number: f64 = words.next()?.parse().ok()?;
    Some((number * unit, unit * 0.005 + 1.0))
}

#[test]
fn rewound_to_the_failure_the_state_is_what_the_error_said() {
    for case in cases() {
        let Ok(text) = std::fs::read_to_string(case.join("stderr.txt")) else { continue };
        let Some(error) = text.lines().rfind(|line| line.contains("allocated by PyTorch")) else {
            continue;
        };
        let snapshot = read_file(&case.join("snapshot.pickle"));
        let found = snapshot
            .traces
            .iter()
            .find_map(|trace| Some((trace.device, *oom_events(trace).last()?)));
        let Some((device, oom)) = found else {
            println!("no oom event: {}", case.display());
            continue;
        };
        let state = state_at(&snapshot, device, At::Before(oom)).counters;
        for (phrase, ours) in [
            (" is allocated by PyTorch", state.allocated.0),
            (" is reserved by PyTorch", state.reserved.0 - state.allocated.0),
        ] {
            let Some((bytes, rounding)) = stated(error, phrase) else { continue };
            let off = (ours as f64 - bytes).abs();
            println!("{} {phrase}: off {off} of {rounding}", case.display());
            assert!(off <= rounding, "{}: {phrase}: {ours} and {bytes}", case.display());
        }
    }
}
