//! `oomscope snapshot leaks`, as a user meets it, and against what real programs are known to do.
#![allow(clippy::disallowed_methods, clippy::print_stdout)] // tests read files and say what they skip

mod common;

use std::path::Path;

use common::oomscope;
use serde_json::Value;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

fn leaks_of(snapshot: &Path, more: &[&str]) -> Value {
    let name = snapshot.to_str().expect("test paths are text");
    let mut arguments = vec!["snapshot", "leaks", name, "--format", "json"];
    arguments.extend(more);
    let output = oomscope(&arguments);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn whole_outputs_of_the_examples_stay_as_they_are() {
    for (folder, code) in [("retained_graph", 1), ("eval_without_no_grad", 0), ("fragmentation", 0)]
    {
        let file = format!("examples/{folder}/snapshot.pickle");
        let shown = oomscope(&["snapshot", "leaks", &file, "--limit", "6"]);
        assert_eq!(text(&shown.stderr), "");
        insta::assert_snapshot!(format!("leaks_{folder}"), text(&shown.stdout));
        println!("{folder}: {:?}", shown.status.code());
        assert_eq!(shown.status.code(), Some(code), "{folder}");
    }
    let table = oomscope(&[
        "snapshot",
        "leaks",
        "examples/retained_graph/snapshot.pickle",
        "--format",
        "csv",
    ]);
    insta::assert_snapshot!("leaks_csv", text(&table.stdout));
}

#[test]
fn programs_that_grow_are_told_from_those_that_do_not() {
    let Some(programs) = common::shared("data/programs") else { return };
    for (program, wanted) in [
        ("02_fixmatch", "growing"),
        ("09_lm_eval", "growing"),
        ("13_robust_loop", "growing"),
        ("18_sharpness", "growing"),
        ("36_story_gen", "growing"),
        ("44_energy_model", "growing"),
        ("07_seg_validate", "steady"),
        ("40_multitask_bptt", "cannot-tell"),
        ("19_autobatch", "cannot-tell"),
    ] {
        let found = leaks_of(&programs.join(program).join("snapshot.pickle"), &[]);
        assert_eq!(found["results"][0]["verdict"], wanted, "{program}");
    }
}

#[test]
fn the_slope_agrees_with_what_a_step_leaves_behind() {
    let Some(cases) = common::shared("data/cases/torch-2.15") else { return };
    let found = leaks_of(&cases.join("b_leak_losses/snapshot.pickle"), &[]);
    let result = &found["results"][0];
    let slope = result["trend"]["slope"].as_f64().expect("a slope");
    let per_step = result["bytes_per_step"].as_f64().expect("a figure");
    assert!((slope / per_step - 1.0).abs() < 0.02, "{slope} and {per_step}");
    assert!(result["trend"]["low"].as_f64() <= Some(slope));
}

#[test]
fn the_headline_agrees_with_the_table() {
    let file = common::root().join("examples/retained_graph/snapshot.pickle");
    for more in [&[][..], &["--period", "200"], &["--pool", "large"]] {
        let mut arguments = vec!["--limit", "0"];
        arguments.extend(more);
        let result = &leaks_of(&file, &arguments)["results"][0];
        let groups = result["groups"].as_array().expect("groups");
        let survived: u64 =
            groups.iter().filter_map(|group| group["survived"]["bytes"].as_u64()).sum();
        assert_eq!(result["survived"].as_u64(), Some(survived), "{more:?}");
        if let (Some(slope), Some(rate)) =
            (result["trend"]["slope"].as_f64(), result["bytes_per_step"].as_f64())
        {
            assert!((slope - rate).abs() <= 1.0, "{more:?}: {slope} and {rate}");
        }
    }
}

#[test]
fn a_recording_without_a_trace_cannot_tell() {
    let Some(cases) = common::shared("data/cases/torch-2.15") else { return };
    let found = leaks_of(&cases.join("m_modes_nohistory/snapshot.pickle"), &[]);
    assert_eq!(found["results"][0]["verdict"], "cannot-tell");
}

#[test]
fn steps_can_be_given_and_wrong_ones_are_named() {
    let file = "examples/retained_graph/snapshot.pickle";
    let counted = leaks_of(&common::root().join(file), &["--period", "50"]);
    assert_eq!(counted["results"][0]["steps_by"], "user");
    let listed = leaks_of(&common::root().join(file), &["--steps-from", "100,200,300,400"]);
    assert_eq!(listed["results"][0]["step_starts"], serde_json::json!([100, 200, 300, 400]));
    let unknown = oomscope(&["snapshot", "leaks", file, "--steps-from", "my range"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("no range called `my range` was recorded"));
    let beyond = oomscope(&["snapshot", "leaks", file, "--steps-from", "100,99999"]);
    assert_ne!(beyond.status.code(), Some(0));
    assert!(text(&beyond.stderr).contains("no event 99999: the trace has"));
    let one = &leaks_of(&common::root().join(file), &["--steps-from", "100,900"])["results"][0];
    assert_eq!(one["verdict"], "cannot-tell");
    let both = oomscope(&["snapshot", "leaks", file, "--steps-from", "sizes", "--period", "5"]);
    assert_eq!(both.status.code(), Some(2));
    let zero = oomscope(&["snapshot", "leaks", file, "--period", "0"]);
    assert_eq!(zero.status.code(), Some(2));
}
