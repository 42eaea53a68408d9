//! `oomscope snapshot fragmentation`, as a user meets it, and against the allocator's counters.
#![allow(clippy::disallowed_methods, clippy::print_stdout)] // tests read files and say what they skip

mod common;

use std::path::Path;

use common::oomscope;
use serde_json::Value;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

fn found(snapshot: &Path, more: &[&str]) -> Value {
    let name = snapshot.to_str().expect("test paths are text");
    let mut arguments = vec!["snapshot", "fragmentation", name, "--format", "json"];
    arguments.extend(more);
    let output = oomscope(&arguments);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn whole_outputs_of_the_examples_stay_as_they_are() {
    for folder in ["fragmentation", "retained_graph"] {
        let file = format!("examples/{folder}/snapshot.pickle");
        let shown = oomscope(&["snapshot", "fragmentation", &file]);
        assert_eq!(text(&shown.stderr), "");
        assert_eq!(shown.status.code(), Some(0));
        insta::assert_snapshot!(format!("fragmentation_{folder}"), text(&shown.stdout));
    }
    let file = "examples/fragmentation/snapshot.pickle";
    let table = oomscope(&["snapshot", "fragmentation", file, "--format", "csv"]);
    insta::assert_snapshot!("fragmentation_csv", text(&table.stdout));
}

#[test]
fn the_sums_are_the_allocator_s_own_at_the_dump() {
    let Some(cases) = common::shared("data/cases") else { return };
    let mut compared = 0;
    for version in ["torch-2.4", "torch-2.6", "torch-2.9", "torch-2.15"] {
        for case in ["e_fragment", "e_fragment_expandable", "a_healthy", "j_cudagraph", "q_gc"] {
            let folder = cases.join(version).join(case);
            let Ok(stats) = std::fs::read_to_string(folder.join("memory_stats.json")) else {
                continue;
            };
            let stats: Value = serde_json::from_str(&stats).expect("JSON");
            let result = &found(&folder.join("snapshot.pickle"), &["--at", "end", "--device", "0"])
                ["results"][0];
            let total = &result["total"];
            for (ours, key) in [
                ("reserved", "reserved_bytes.all.current"),
                ("active", "active_bytes.all.current"),
                ("stranded", "inactive_split_bytes.all.current"),
            ] {
                // PyTorch counts nothing in expandable segments as split.
                if ours == "stranded" && case == "e_fragment_expandable" {
                    let (free, releasable) = (&total["free"], &total["releasable"]);
                    let stays = free.as_u64().zip(releasable.as_u64()).map(|(a, b)| a - b);
                    assert_eq!(total[ours].as_u64(), stays, "{version}/{case}");
                    continue;
                }
                assert_eq!(total[ours], stats[key], "{version}/{case}: {key}");
                compared += 1;
            }
        }
    }
    println!("{compared} sums compared");
    assert!(compared >= 30);
}

#[test]
fn a_request_that_would_fit_packed_failed_for_fragmentation() {
    let Some(cases) = common::shared("data/cases/torch-2.9") else { return };
    let result = &found(&cases.join("e_fragment/snapshot.pickle"), &[])["results"][0];
    assert_eq!(result["verdict"], "cause");
    assert_eq!(result["request"]["fits_packed"], true);
    let giant = &found(&cases.join("f_giant_logits/snapshot.pickle"), &[])["results"][0];
    assert_eq!(giant["verdict"], "not-the-cause");
}

#[test]
fn the_filters_narrow_the_pools() {
    let file = common::root().join("examples/fragmentation/snapshot.pickle");
    let small = &found(&file, &["--pool", "small"])["results"][0];
    assert_eq!(small["pools"].as_array().map(Vec::len), Some(1));
    assert_eq!(small["pools"][0]["pool"], "small");
    let headline = small["headline"].as_str().unwrap_or_default();
    assert!(headline.starts_with("over all pools and streams: "), "{headline}");
}

#[test]
fn a_failure_before_the_moment_is_named() {
    let file = common::root().join("examples/fragmentation/snapshot.pickle");
    assert_eq!(found(&file, &["--at", "oom"])["results"][0]["failed_before"], Value::Null);
    assert_eq!(found(&file, &["--at", "end"])["results"][0]["failed_before"], 3410);
}
