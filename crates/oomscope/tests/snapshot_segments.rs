//! `oomscope snapshot segments` as a user meets it.
#![allow(clippy::disallowed_methods, clippy::print_stdout)] // tests read files and say what they skip

mod common;

use common::{oomscope, oomscope_in, shared};
use serde_json::Value;

const FILE: &str = "examples/fragmentation/snapshot.pickle";

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

fn segments(arguments: &[&str]) -> String {
    let mut all = vec!["snapshot", "segments"];
    all.extend(arguments);
    let output = oomscope(&all);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn result(arguments: &[&str]) -> Value {
    let mut all = vec!["--format", "json"];
    all.extend(arguments);
    let document: Value = serde_json::from_str(&segments(&all)).expect("JSON");
    document["results"][0].clone()
}

#[test]
fn maps_of_an_example_stay_as_they_are() {
    insta::assert_snapshot!(
        "segments_by_waste",
        segments(&[FILE, "--sort", "waste", "--limit", "8"])
    );
    let blocks = segments(&[FILE, "--blocks", "--limit", "2", "--ascii"]);
    assert!(blocks.is_ascii());
    insta::assert_snapshot!("segments_blocks", blocks);
    insta::assert_snapshot!("segments_csv", segments(&[FILE, "--format", "csv", "--limit", "3"]));
}

#[test]
fn segments_and_blocks_sum_to_the_counters() {
    for at in ["oom", "peak", "end", "1500"] {
        let map = result(&[FILE, "--at", at, "--blocks"]);
        let listed = map["segments"].as_array().expect("segments");
        let sum = |key: &str| listed.iter().filter_map(|it| it[key].as_u64()).sum::<u64>();
        assert_eq!(Some(sum("size")), map["counters"]["reserved"].as_u64(), "{at}");
        assert_eq!(Some(sum("allocated")), map["counters"]["allocated"].as_u64(), "{at}");
        let blocks = listed.iter().filter_map(|it| it["blocks"].as_array()).flatten();
        let bytes: u64 = blocks.filter_map(|block| block["size"].as_u64()).sum();
        assert_eq!(bytes, sum("size"), "{at}: blocks and holes tile the segments");
    }
}

#[test]
fn filters_keep_the_segments_that_hold_a_match() {
    let all = result(&[FILE]);
    let count = |map: &Value| map["segments"].as_array().map_or(0, Vec::len);
    let small = result(&[FILE, "--pool", "small"]);
    assert!(count(&small) > 0 && count(&small) < count(&all));
    let none = segments(&[FILE, "--frame", "nothing_is_called_this"]);
    assert!(none.contains("no segment matches the filters"), "{none}");
    let named = segments(&[FILE, "--frame", "train.py", "--limit", "3"]);
    assert!(named.contains("x selected"), "{named}");
}

#[test]
fn a_picture_stands_alone() {
    let svg = segments(&[FILE, "--format", "svg"]);
    assert!(svg.starts_with("<svg xmlns=") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.matches("http").count() == 1 && !svg.contains("NaN"));
    assert!(svg.contains("<title>"));
}

#[test]
fn hostile_names_stay_text_in_pictures() {
    use oomscope_snapshot::fixture::{Node, block, event, frame, segment, snapshot};
    let evil = || Node::List(vec![frame("</title><script>x\u{1b}[2J\u{fffe}.py", "a\"&b", 1)]);
    let held = block(0x1000, 2 << 20, 2 << 20, "active_allocated", evil());
    let trace = vec![
        event("segment_alloc", 0x1000, 2 << 20, evil()),
        event("alloc", 0x1000, 2 << 20, evil()),
    ];
    let bytes = snapshot(vec![segment(0x1000, 2 << 20, "small", vec![held])], vec![trace]);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a&b<.pickle"), bytes).expect("written");
    for arguments in [
        &["snapshot", "segments", "a&b<.pickle", "--format", "svg"][..],
        &["snapshot", "timeline", "a&b<.pickle", "--format", "svg", "--by", "line"],
    ] {
        let output = oomscope_in(folder.path(), arguments, "");
        let svg = text(&output.stdout);
        assert!(svg.contains("&lt;/title&gt;&lt;script&gt;"), "{svg}");
        assert!(!svg.contains("<script") && !svg.contains('\u{1b}') && !svg.contains('\u{fffe}'));
        assert!(svg.contains("a&amp;b&lt;.pickle"));
    }
}

#[test]
fn an_empty_device_and_private_pools_are_shown() {
    let bytes = oomscope_snapshot::fixture::snapshot(vec![], vec![]);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("none.pickle"), bytes).expect("written");
    let output = oomscope_in(folder.path(), &["snapshot", "segments", "none.pickle"], "");
    assert!(text(&output.stdout).contains("nothing is reserved"), "{}", text(&output.stdout));
    let Some(case) = shared("data/cases/torch-2.15/j_cudagraph") else { return };
    let file = case.join("snapshot.pickle");
    let map = segments(&[file.to_str().expect("a name")]);
    assert!(map.contains("private 1.0 large"), "{map}");
    // The first line is the path.
    assert!(map.lines().skip(1).all(|line| line.chars().count() <= 80), "{map}");
}
