//! The shipped examples, as a newcomer runs them.
#![allow(clippy::disallowed_methods, clippy::print_stdout)] // tests read files and say what they skip

mod common;

#[test]
fn each_example_names_its_cause_and_its_line() {
    for (folder, cause, line) in [
        ("retained_graph", "graph-retained", Some(45)),
        ("fragmentation", "fragmentation", None),
        ("eval_without_no_grad", "eval-records-graph", Some(32)),
    ] {
        let diagnosis = common::diagnose_json(&[&common::root().join("examples").join(folder)]);
        assert_eq!(diagnosis["causes"][0]["name"], cause, "{folder}");
        assert_eq!(diagnosis["verdict"], "claimed", "{folder}");
        assert_eq!(diagnosis["steps"].as_array().map(Vec::len), Some(6), "{folder}");
        let places = diagnosis["causes"][0]["places"].as_array().expect("places");
        let near = |wanted: i64| {
            places
                .iter()
                .any(|place| place["line"].as_i64().is_some_and(|line| (line - wanted).abs() <= 1))
        };
        assert!(line.is_none_or(near), "{folder}: {places:?}");
    }
}

#[test]
fn the_example_with_source_gets_a_patch() {
    for folder in ["retained_graph", "eval_without_no_grad"] {
        let diagnosis = common::diagnose_json(&[&common::root().join("examples").join(folder)]);
        let diff = diagnosis["fixes"][0]["diff"].as_str().unwrap_or_default();
        assert!(diff.contains("+++ b/") && diff.contains("\n+"), "{folder}: {diff}");
    }
}

#[test]
fn every_format_ends_with_the_four_parts() {
    for format in ["text", "markdown"] {
        let output = common::oomscope(&["diagnose", "examples/fragmentation", "--format", format]);
        let text = String::from_utf8(output.stdout).expect("text");
        for part in ["Root cause", "Fix", "Verification", "Prevention"] {
            assert!(text.contains(part), "{format} lacks {part}");
        }
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn whole_reports_of_the_examples_stay_as_they_are() {
    for folder in ["retained_graph", "fragmentation", "eval_without_no_grad"] {
        let output = common::oomscope(&["diagnose", &format!("examples/{folder}")]);
        insta::assert_snapshot!(folder, String::from_utf8(output.stdout).expect("text"));
    }
}
