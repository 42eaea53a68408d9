//! What the model says of other settings and devices, beside what PyTorch's own allocator did under
//! them. The programs, the recordings and how they were made: `crates/oomscope_allocator/programs`.

#![allow(clippy::disallowed_methods, clippy::print_stderr)] // tests read files and say what they skip

use std::path::{Path, PathBuf};

use oomscope_allocator::{Capacity, Outcome, Release, Settings, replay};
use oomscope_diagnose::replay::follow_recorded;
use oomscope_model::DeviceId;
use serde_json::Value;

#[test]
fn other_settings_give_what_pytorch_gave_under_them() {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../oomscope_allocator/programs");
    let root = std::env::var_os("OOMSCOPE_PROGRAMS").map_or(programs, PathBuf::from);
    let mut wrong = Vec::new();
    let mut count = 0;
    for file in recordings(&root.join("recorded")) {
        let truth = std::fs::read(file.with_extension("json")).expect("results beside the trace");
        let truth: Value = serde_json::from_slice(&truth).expect("JSON");
        let bytes = std::fs::read(&file).expect("a recording");
        let snapshot = oomscope_snapshot::read(&bytes).expect("a whole snapshot");
        let release: Release = text(&truth, "torch").parse().expect("a release");
        let recorded = follow_recorded(&snapshot, DeviceId(0), Some(release));
        let name = format!("{release} {}", text(&truth, "program"));
        if let Some(divergence) = recorded.followed.divergence {
            wrong.push(format!("{name}: the default run: {divergence:?}"));
            continue;
        }
        let context = number(&truth["device"], "context").expect("a context");
        for (setting, values) in truth["settings"].as_object().expect("settings") {
            let mut settings = Settings::parse(text(values, "conf"), release).expect("a conf");
            settings.memory_fraction = values["fraction"].as_f64();
            let total = number(values, "total").expect("a total");
            let capacity = Capacity { available: total - context, total };
            let program = &recorded.followed.program;
            let outcome = replay(program, &settings, release, capacity, &mut ());
            count += 1;
            let differences = differences(values, &outcome);
            if differences.is_empty() {
                continue;
            }
            let others = values["others"].as_array().into_iter().flatten();
            if others.map(|other| self::differences(other, &outcome)).any(|it| it.is_empty()) {
                continue;
            }
            wrong.push(format!("{name}, {setting}: {}", differences.join(", ")));
        }
    }
    eprintln!("{count} settings");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

/// What differs, in words.
fn differences(values: &Value, outcome: &Outcome) -> Vec<String> {
    let counters = &outcome.counters;
    let failure = outcome.failure;
    let pairs = [
        ("peak_reserved", Some(counters.peak_reserved)),
        ("peak_allocated", Some(counters.peak_allocated)),
        ("peak_active", Some(counters.peak_active)),
        ("num_device_alloc", Some(counters.device_allocs)),
        ("num_alloc_retries", Some(counters.retries)),
        ("oom_request", failure.map(|failure| failure.request)),
    ];
    let wrong = pairs.into_iter().filter(|(key, ours)| number(values, key) != *ours);
    wrong
        .map(|(key, ours)| format!("{key} {ours:?} instead of {:?}", number(values, key)))
        .collect()
}

fn recordings(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for release in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let inside = std::fs::read_dir(release.path()).into_iter().flatten().flatten();
        files.extend(inside.map(|file| file.path()));
    }
    files.retain(|file| file.extension().is_some_and(|ending| ending == "oomscope"));
    files.sort();
    files
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn number(value: &Value, key: &str) -> Option<u64> {
    value[key].as_u64()
}
