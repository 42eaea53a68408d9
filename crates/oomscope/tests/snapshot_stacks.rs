//! `oomscope snapshot stacks`, `diff` and `lifetimes`, as a user meets them.
#![allow(clippy::disallowed_methods, clippy::print_stdout)] // tests read files and say what they skip

mod common;

use common::oomscope;
use serde_json::Value;

const EXAMPLE: &str = "examples/retained_graph/snapshot.pickle";
const OTHER: &str = "examples/fragmentation/snapshot.pickle";

fn text(arguments: &[&str]) -> String {
    let output = oomscope(&[&["snapshot"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn json(arguments: &[&str]) -> Value {
    let text = text(&[arguments, &["--format", "json"]].concat());
    serde_json::from_str::<Value>(&text).expect("JSON")["results"][0].clone()
}

/// Standard error and exit code of a command that fails.
fn refusal(arguments: &[&str]) -> (String, Option<i32>) {
    let output = oomscope(&[&["snapshot"], arguments].concat());
    (String::from_utf8(output.stderr).expect("text"), output.status.code())
}

/// Every snapshot that is at hand: the examples, and the shared cases.
fn snapshots() -> Vec<String> {
    let mut files = vec![EXAMPLE.to_owned(), OTHER.to_owned()];
    for case in ["b_leak_losses", "e_fragment", "r_two_gpus", "j_cudagraph", "l_ring"] {
        let folder = common::shared("data/cases/torch-2.15").map(|cases| cases.join(case));
        let inside = folder.and_then(|folder| std::fs::read_dir(folder).ok());
        let inside = inside.into_iter().flatten().flatten().map(|entry| entry.path());
        let is_snapshot = |path: &std::path::PathBuf| path.to_string_lossy().ends_with("pickle");
        files.extend(inside.filter(is_snapshot).map(|path| path.to_string_lossy().into_owned()));
    }
    files
}

#[test]
fn the_tree_of_the_example_stays_as_it_is() {
    insta::assert_snapshot!("stacks_tree", text(&["stacks", EXAMPLE]));
    insta::assert_snapshot!(
        "stacks_tree_ascii",
        text(&["stacks", EXAMPLE, "--weight", "allocated", "--user-frames", "--ascii"])
    );
    insta::assert_snapshot!("stacks_folded", text(&["stacks", EXAMPLE, "--format", "folded"]));
}

#[test]
fn lifetimes_of_the_example_stay_as_they_are() {
    insta::assert_snapshot!("lifetimes", text(&["lifetimes", EXAMPLE, "--limit", "5"]));
    insta::assert_snapshot!(
        "lifetimes_csv",
        text(&["lifetimes", EXAMPLE, "--by", "size", "--format", "csv"])
    );
}

#[test]
fn differences_of_the_examples_stay_as_they_are() {
    insta::assert_snapshot!("diff_files", text(&["diff", EXAMPLE, OTHER, "--limit", "5"]));
    insta::assert_snapshot!(
        "diff_moments",
        text(&["diff", EXAMPLE, "--from", "100", "--to", "oom", "--format", "markdown"])
    );
}

#[test]
fn every_format_carries_all_live_bytes() {
    for file in snapshots() {
        let view = json(&["stacks", &file]);
        let active = view["counters"]["active"].as_u64().expect("a figure");
        assert_eq!(view["total"], active, "{file}");
        let sum: u64 = view["stacks"]
            .as_array()
            .expect("stacks")
            .iter()
            .filter_map(|stack| stack["bytes"].as_u64())
            .sum();
        assert_eq!(sum, active, "{file}");
        let device = view["device"].to_string();
        let one = ["stacks", &file, "--device", &device, "--format"];
        let folded = text(&[&one[..], &["folded"]].concat());
        let weights =
            folded.lines().filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
        assert_eq!(weights.sum::<u64>(), active, "{file}");
        let speedscope: Value =
            serde_json::from_str(&text(&[&one[..], &["speedscope"]].concat())).expect("JSON");
        assert_eq!(speedscope["profiles"][0]["endValue"], active, "{file}");
        let perfetto: Value =
            serde_json::from_str(&text(&[&one[..], &["perfetto"]].concat())).expect("JSON");
        assert!(perfetto["traceEvents"].as_array().is_some_and(|events| !events.is_empty()));
    }
}

#[test]
fn a_difference_and_its_reverse_cancel_out() {
    for file in snapshots() {
        let there = json(&["diff", EXAMPLE, &file, "--limit", "0"]);
        let back = json(&["diff", &file, EXAMPLE, "--limit", "0"]);
        let sum = |view: &Value| -> i64 {
            let changes = view["changes"].as_array().expect("changes");
            changes.iter().filter_map(|change| change["change"].as_i64()).sum()
        };
        assert_eq!(sum(&there), -sum(&back), "{file}");
        let active = |side: &str| there[side]["counters"]["active"].as_i64().expect("a figure");
        assert_eq!(sum(&there), active("after") - active("before"), "{file}");
        let itself = json(&["diff", &file, &file]);
        assert_eq!(itself["changes"], Value::Array(Vec::new()), "{file}");
    }
}

#[test]
fn lifetimes_count_every_allocation_once() {
    for file in snapshots() {
        for by in ["line", "size", "category", "stack"] {
            let view = json(&["lifetimes", &file, "--by", by, "--limit", "0"]);
            let groups = view["groups"].as_array().expect("groups");
            for field in
                ["allocations", "allocated_bytes", "live_blocks", "reused", "short_lived_bytes"]
            {
                let sum: u64 = groups.iter().filter_map(|group| group[field].as_u64()).sum();
                assert_eq!(view["all"][field], sum, "{file} by {by}: {field}");
            }
            let ended: u64 = view["histogram"]
                .as_array()
                .expect("buckets")
                .iter()
                .filter_map(|bucket| bucket["blocks"].as_u64())
                .sum();
            let live = view["all"]["live_blocks"].as_u64().expect("a figure");
            assert_eq!(view["all"]["allocations"], ended + live, "{file} by {by}");
        }
    }
}

#[test]
fn lines_are_ignored_when_asked() {
    let apart = json(&["diff", EXAMPLE, OTHER]);
    let one = json(&["diff", EXAMPLE, OTHER, "--ignore-lines"]);
    let label = |view: &Value| view["changes"][0]["label"].as_str().map(str::to_owned);
    assert!(label(&apart).is_some_and(|label| label.ends_with(".py:20")), "{apart}");
    assert!(label(&one).is_some_and(|label| label.ends_with(".py)")), "{one}");
}

#[test]
fn the_flame_graph_is_a_document_that_runs_nothing_of_the_input() {
    let svg = text(&["stacks", EXAMPLE, "--format", "flamegraph"]);
    assert!(svg.starts_with("<?xml") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.contains("&lt;module&gt; (train.py:55)"), "names are escaped");
    let page = text(&["stacks", EXAMPLE, "--format", "html"]);
    assert!(page.contains("<object type=\"image/svg+xml\"") && page.ends_with("</html>\n"));
}

#[test]
fn contradicting_questions_are_refused() {
    for (arguments, said) in [
        (&["diff", EXAMPLE][..], "one file"),
        (&["diff", EXAMPLE, OTHER, EXAMPLE], "3 files"),
        (&["diff", EXAMPLE, OTHER, "--from", "1", "--to", "2"], "two files"),
        (&["diff", EXAMPLE, "--from", "1"], "--to"),
        (&["diff", EXAMPLE, "--from", "1", "--to", "99999999"], "no event 99999999"),
        (&["diff", EXAMPLE, OTHER, "--device", "7"], "no device 7"),
        (&["diff", EXAMPLE, "nothing.pickle"], "nothing.pickle"),
        (&["stacks", EXAMPLE, "--weight", "live", "--from", "1"], "one moment"),
        (&["stacks", EXAMPLE, "--weight", "allocated", "--at", "1"], "stretch of time"),
        (&["stacks", EXAMPLE, "--from", "99999999"], "no event 99999999"),
        (&["stacks", EXAMPLE, "--frame", "("], "regex"),
        (&["stacks", EXAMPLE, "--device", "7"], "no device 7"),
        (&["lifetimes", EXAMPLE, "--at", "oom:9"], "failed in this recording"),
        (&["lifetimes", EXAMPLE, "--by", "age"], "invalid value"),
    ] {
        let (stderr, code) = refusal(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_truncated_file_is_used_when_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = std::fs::read(common::root().join(EXAMPLE)).expect("the example");
    let file = folder.path().join("half.pickle");
    std::fs::write(&file, &whole[..whole.len() / 2]).expect("written");
    let file = file.to_str().expect("a name");
    for verb in [&["stacks", file][..], &["lifetimes", file], &["diff", file, EXAMPLE]] {
        let (stderr, code) = refusal(verb);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains("--partial"), "{stderr}");
        let output = oomscope(&[&["snapshot"], verb, &["--partial"]].concat());
        assert_eq!(output.status.code(), Some(0), "{verb:?}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("warning: "), "{verb:?}");
        assert!(!output.stdout.is_empty(), "{verb:?}");
    }
}

#[test]
fn nothing_selected_is_still_an_answer() {
    for format in ["tree", "folded", "flamegraph", "html", "speedscope", "perfetto", "json"] {
        text(&["stacks", EXAMPLE, "--frame", "no such frame", "--format", format]);
    }
    for verb in ["lifetimes", "stacks"] {
        text(&[verb, EXAMPLE, "--frame", "no such frame"]);
    }
    text(&["diff", EXAMPLE, OTHER, "--frame", "no such frame"]);
}
