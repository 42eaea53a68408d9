//! `oomscope snapshot timeline` as a user meets it.
#![allow(clippy::disallowed_methods, clippy::print_stdout)] // tests read files and say what they skip

mod common;

use common::{oomscope, oomscope_in, root};
use serde_json::Value;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

fn timeline(arguments: &[&str]) -> String {
    let mut all = vec!["snapshot", "timeline"];
    all.extend(arguments);
    let output = oomscope(&all);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn json(arguments: &[&str]) -> Value {
    let mut all = vec!["--format", "json"];
    all.extend(arguments);
    serde_json::from_str(&timeline(&all)).expect("JSON")
}

#[test]
fn charts_of_the_examples_stay_as_they_are() {
    for folder in ["retained_graph", "fragmentation"] {
        let file = format!("examples/{folder}/snapshot.pickle");
        insta::assert_snapshot!(format!("timeline_{folder}"), timeline(&[&file]));
    }
    let file = "examples/eval_without_no_grad/snapshot.pickle";
    insta::assert_snapshot!("timeline_by_category", timeline(&[file, "--by", "category"]));
    let ascii = timeline(&[file, "--by", "line", "--top", "3", "--ascii"]);
    assert!(ascii.is_ascii());
    insta::assert_snapshot!("timeline_ascii", ascii);
    let points = timeline(&[file, "--format", "csv", "--points", "4", "--axis", "events"]);
    insta::assert_snapshot!("timeline_csv", points);
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for by in ["none", "category", "line", "stack", "size"] {
        let chart = timeline(&["examples/fragmentation/snapshot.pickle", "--by", by]);
        for line in chart.lines() {
            assert!(line.chars().count() <= 80, "{by}: {line}");
        }
    }
}

#[test]
fn zero_points_are_every_event_and_buckets_hold_their_extremes() {
    let file = "examples/retained_graph/snapshot.pickle";
    let exact = json(&[file, "--points", "0"]);
    let coarse = json(&[file, "--points", "7", "--axis", "events"]);
    let (exact, coarse) = (&exact["results"][0], &coarse["results"][0]);
    let events = exact["events"].as_u64().expect("a count");
    assert_eq!(exact["exact"], true);
    for (all, some) in exact["series"]
        .as_array()
        .expect("series")
        .iter()
        .zip(coarse["series"].as_array().expect("series"))
    {
        let all: Vec<u64> =
            all["last"].as_array().expect("values").iter().filter_map(Value::as_u64).collect();
        assert_eq!(all.len() as u64, events);
        let largest = some["max"].as_array().expect("values").iter().filter_map(Value::as_u64);
        assert_eq!(largest.max(), all.iter().copied().max(), "{}", some["name"]);
        assert_eq!(some["min"].as_array().map(Vec::len), Some(7));
    }
}

#[test]
fn a_window_shows_its_events_only() {
    let file = "examples/retained_graph/snapshot.pickle";
    let window = json(&[file, "--from", "100", "--to", "199", "--points", "0"]);
    let result = &window["results"][0];
    assert_eq!((&result["from_event"], &result["events"]), (&100.into(), &100.into()));
    let whole = json(&[file, "--points", "0"]);
    assert_eq!(
        result["series"][0]["last"].as_array().expect("values")[..],
        whole["results"][0]["series"][0]["last"].as_array().expect("values")[100..200]
    );
    let none = oomscope(&["snapshot", "timeline", file, "--from", "99999999"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(text(&none.stderr).contains("no event 99999999"), "{}", text(&none.stderr));
}

#[test]
fn a_picture_stands_alone_and_marks_the_failure() {
    for by in ["none", "category", "line"] {
        let svg =
            timeline(&["examples/fragmentation/snapshot.pickle", "--format", "svg", "--by", by]);
        assert!(svg.starts_with("<svg xmlns=") && svg.trim_end().ends_with("</svg>"));
        assert!(svg.contains("prefers-color-scheme:dark") && svg.contains("class=\"oom\""));
        assert!(!svg.contains("<script") && svg.matches("http").count() == 1, "nothing is fetched");
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}

#[test]
fn what_cannot_be_shown_is_said() {
    let file = "examples/retained_graph/snapshot.pickle";
    for (arguments, said) in [
        (vec!["--frame", "("], "regex"),
        (vec!["--device", "7"], "no device 7"),
        (vec!["--from", "yesterday"], "no moment"),
        (vec!["--by", "age"], "invalid value"),
    ] {
        let mut all = vec!["snapshot", "timeline", file];
        all.extend(arguments);
        let output = oomscope(&all);
        assert_eq!(output.status.code(), Some(2), "{all:?}");
        assert!(text(&output.stderr).contains(said), "{all:?}: {}", text(&output.stderr));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = oomscope_snapshot::fixture::snapshot(vec![], vec![]);
    std::fs::write(folder.path().join("none.pickle"), bytes).expect("written");
    for format in ["text", "svg", "markdown"] {
        let arguments = ["snapshot", "timeline", "none.pickle", "--format", format];
        let output = oomscope_in(folder.path(), &arguments, "");
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains("no history was recorded"), "{format}");
    }
}

#[test]
fn a_truncated_file_needs_partial() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole =
        std::fs::read(root().join("examples/fragmentation/snapshot.pickle")).expect("readable");
    std::fs::write(folder.path().join("half.pickle"), &whole[..whole.len() / 2]).expect("written");
    for verb in ["timeline", "segments"] {
        let refused = oomscope_in(folder.path(), &["snapshot", verb, "half.pickle"], "");
        assert_eq!(refused.status.code(), Some(2), "{verb}");
        assert!(text(&refused.stderr).contains("--partial"), "{verb}");
        let used = oomscope_in(folder.path(), &["snapshot", verb, "half.pickle", "--partial"], "");
        assert!(!used.stdout.is_empty(), "{verb}: {}", text(&used.stderr));
    }
}
