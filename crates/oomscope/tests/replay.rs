//! `oomscope replay` and `oomscope tune`: whole outputs on the shipped examples, figures against
//! recorded runs, and arguments that cannot be.
#![allow(clippy::disallowed_methods, clippy::print_stdout)] // tests read files and say what they skip

mod common;

use std::fs;
use std::path::Path;

use serde_json::Value;

const FRAGMENTED: &str = "examples/fragmentation/snapshot.pickle";
const RETAINED: &str = "examples/retained_graph/snapshot.pickle";

fn text(arguments: &[&str]) -> String {
    String::from_utf8(common::oomscope(arguments).stdout).expect("text")
}

/// Exit code and the only result of a JSON document.
fn json(arguments: &[&str]) -> (i32, Value) {
    let mut all = arguments.to_vec();
    all.extend(["--format", "json"]);
    let output = common::oomscope(&all);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    (output.status.code().expect("it ends"), document)
}

/// Exit code and standard error.
fn refused(arguments: &[&str]) -> (i32, String) {
    let output = common::oomscope(arguments);
    assert!(output.stdout.is_empty(), "{arguments:?}");
    let code = output.status.code().expect("it ends");
    (code, String::from_utf8(output.stderr).expect("text"))
}

#[test]
fn whole_replays_stay_as_they_are() {
    insta::assert_snapshot!("replay_recorded", text(&["replay", FRAGMENTED]));
    let conf = ["replay", FRAGMENTED, "--conf", "expandable_segments:True"];
    insta::assert_snapshot!("replay_changed", text(&conf));
    let markdown = [&conf[..], &["--format", "markdown"]].concat();
    insta::assert_snapshot!("replay_markdown", text(&markdown));
    let csv = ["replay", RETAINED, "--capacity", "3GiB", "--format", "csv"];
    insta::assert_snapshot!("replay_csv", text(&csv));
    let parted = ["replay", FRAGMENTED, "--version", "2.4", "--ascii"];
    insta::assert_snapshot!("replay_parted", text(&parted));
}

#[test]
fn whole_searches_stay_as_they_are() {
    insta::assert_snapshot!("tune_fragmentation", text(&["tune", FRAGMENTED]));
    insta::assert_snapshot!("tune_all", text(&["tune", FRAGMENTED, "--all"]));
    insta::assert_snapshot!("tune_hopeless", text(&["tune", RETAINED, "--capacity", "3GiB"]));
    insta::assert_snapshot!(
        "tune_nothing_fits",
        text(&["tune", FRAGMENTED, "--capacity", "2.7GiB"])
    );
}

#[test]
fn what_cannot_be_read_is_told_in_the_form_of_one_run() {
    for verb in ["replay", "tune"] {
        let (code, document) = json(&[verb, "no/such/file"]);
        assert_eq!(code, 2, "{verb}");
        assert_eq!(document["problems"][0]["file"], "no/such/file", "{verb}");
        assert!(document["results"].is_null() && document["recorded"].is_null(), "{verb}");
    }
}

#[test]
fn the_examples_are_replayed_exactly() {
    for example in [FRAGMENTED, RETAINED, "examples/eval_without_no_grad/snapshot.pickle"] {
        let (code, replay) = json(&["replay", example]);
        assert_eq!(code, 0, "{example}");
        assert_eq!(replay["view"], "replay");
        assert_eq!(replay["agrees"], true, "{example}");
        assert!(replay["divergence"].is_null() && replay["changed"].is_null(), "{example}");
        assert_eq!(replay["control"], 0, "{example}");
        assert_eq!(replay["recorded"]["ooms"], 1, "{example}");
        assert!(replay["recorded"]["oom"]["place"]["line"].is_u64(), "{example}");
    }
}

#[test]
fn a_change_that_serves_the_failed_request_exits_with_0() {
    let (code, replay) = json(&["replay", FRAGMENTED, "--conf", "expandable_segments:True"]);
    assert_eq!(code, 0);
    let (recorded, changed) = (&replay["recorded"], &replay["changed"]);
    assert!(!recorded["oom"].is_null() && changed["oom"].is_null());
    assert_eq!(changed["avoided_ooms"], 1);
    assert_eq!(changed["conf"], "expandable_segments:True");
    let peak = |run: &Value| run["peak_reserved"].as_i64().expect("bytes");
    assert_eq!(replay["saved"], peak(recorded) - peak(changed));
    assert!(peak(changed) >= replay["need"]["live"].as_i64().expect("bytes"));
}

#[test]
fn a_change_that_ends_out_of_memory_exits_with_1() {
    let (code, replay) = json(&["replay", RETAINED, "--capacity", "2GiB", "--context", "512MiB"]);
    assert_eq!(code, 1);
    assert_eq!(replay["changed"]["capacity"], 3_u64 << 29);
    let oom = &replay["changed"]["oom"];
    assert!(oom["reserved"].as_u64().expect("bytes") <= 3 << 29);
    assert!(oom["event"].as_u64() < replay["recorded"]["oom"]["event"].as_u64());
    let capped = ["replay", RETAINED, "--capacity", "8GiB", "--memory-fraction", "0.25"];
    let (code, replay) = json(&capped);
    assert_eq!(code, 1);
    assert!(replay["changed"]["peak_reserved"].as_u64().expect("bytes") <= 2 << 30);
}

#[test]
fn another_release_parts_from_the_recording_and_exits_with_1() {
    let (code, replay) = json(&["replay", FRAGMENTED, "--version", "2.4"]);
    assert_eq!(code, 1);
    assert_eq!(replay["read"]["version_from"], "given");
    let divergence = &replay["divergence"];
    let at = divergence["event"].as_u64().expect("an event");
    assert_eq!(divergence["recorded"]["event"], at);
    let around = divergence["around"].as_array().expect("events");
    assert!(around.iter().any(|event| event["event"] == at) && around.len() <= 9);
    let conf = ["replay", FRAGMENTED, "--version", "2.4", "--conf", ""];
    let output = common::oomscope(&conf);
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.contains("figures are estimates"), "{said}");
}

#[test]
fn a_variable_with_its_name_is_settings_too() {
    for conf in [
        "PYTORCH_CUDA_ALLOC_CONF=max_split_size_mb:64",
        "PYTORCH_ALLOC_CONF=max_split_size_mb:64",
        " max_split_size_mb:64 ",
        "PYTORCH_CUDA_ALLOC_CONF='max_split_size_mb:64'",
    ] {
        let (_, replay) = json(&["replay", FRAGMENTED, "--conf", conf]);
        assert_eq!(replay["changed"]["conf"], "max_split_size_mb:64", "{conf}");
    }
    let (_, replay) = json(&["replay", FRAGMENTED, "--conf", ""]);
    assert_eq!(replay["changed"]["peak_reserved"], replay["recorded"]["peak_reserved"]);
}

#[test]
fn what_cannot_be_is_refused_with_a_reason() {
    for (arguments, reason) in [
        (&["--conf", "bogus:1"][..], "knows no allocator setting `bogus`"),
        (&["--conf", "max_split_size_mb:3"], "max_split_size_mb"),
        (&["--conf", "expandable_segments:maybe"], "expected True or False"),
        (&["--conf", "large_segment_size_mb:64", "--to-version", "2.9"], "needs PyTorch 2.11"),
        (&["--capacity", "0"], "nothing is left"),
        (&["--capacity", "1GiB", "--context", "600MiB", "--others", "600MiB"], "nothing is left"),
        (&["--capacity", "lots"], "`lots` is no size"),
        (&["--capacity=-1GiB"], "no size"),
        (&["--capacity", "99999999999GiB"], "more than any device has"),
        (&["--context", "1GiB"], "--capacity"),
        (&["--memory-fraction", "0"], "no share"),
        (&["--memory-fraction", "nan"], "no share"),
        (&["--version", "nine"], "is no PyTorch release"),
        (&["--version", "1.13"], "the model knows PyTorch 2.0"),
        (&["--to-version", "99.1"], "the model knows PyTorch"),
        (&["--device", "7"], "no device 7 in it; it has 0"),
    ] {
        let all = [&["replay", FRAGMENTED], arguments].concat();
        let (code, said) = refused(&all);
        assert_eq!(code, 2, "{arguments:?}: {said}");
        assert!(said.contains(reason), "{arguments:?}: {said}");
    }
    let (code, said) = refused(&["tune", FRAGMENTED, "--capacity", "0"]);
    assert!(code == 2 && said.contains("nothing is left"), "{said}");
    let (code, _) = refused(&["replay", "no_such_file.pickle"]);
    assert_eq!(code, 2);
}

#[test]
fn a_large_capacity_is_no_limit() {
    for size in ["1PiB", "1125899906842624", "1024TiB"] {
        let output = common::oomscope(&["replay", FRAGMENTED, "--capacity", size]);
        assert!(matches!(output.status.code(), Some(0 | 2)), "{size}");
    }
    let (code, replay) = json(&["replay", FRAGMENTED, "--capacity", "1024TiB"]);
    assert_eq!(code, 0);
    assert_eq!(replay["changed"]["avoided_ooms"], 1);
}

#[test]
fn a_truncated_file_is_refused_unless_partial() {
    let whole = fs::read(common::root().join(FRAGMENTED)).expect("the example");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cut.pickle");
    let (kept, _) = whole.split_at(whole.len() * 9 / 10);
    fs::write(&path, kept).expect("a file");
    let path = path.to_str().expect("text");
    for verb in ["replay", "tune"] {
        let (code, said) = refused(&[verb, path]);
        assert!(code == 2 && said.contains("--partial"), "{said}");
        let output = common::oomscope(&[verb, path, "--partial"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("warning") || said.contains("error"), "{said}");
    }
}

#[test]
fn standard_input_is_named_in_errors() {
    let output = common::oomscope_in(&common::root(), &["replay", "-"], "not a snapshot");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("<stdin>"));
}

#[test]
fn tune_names_the_line_and_what_it_saves() {
    let (code, tune) = json(&["tune", FRAGMENTED]);
    assert_eq!(code, 0);
    assert_eq!(tune["verdict"], "use");
    let best = &tune["recommendation"];
    assert_eq!(best["line"], "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True");
    assert_eq!(best["avoids_failure"], true);
    let trials = tune["trials"].as_array().expect("trials");
    assert_eq!(trials[0]["is_recorded"], true);
    let chosen: Vec<&Value> = trials.iter().filter(|trial| trial["is_best"] == true).collect();
    assert_eq!(chosen.len(), 1);
    assert_eq!(chosen[0]["conf"], best["conf"]);
    // What it claims of capacity holds in a replay.
    let least = best["smallest_capacity"].as_u64().expect("bytes");
    let conf = best["conf"].as_str().expect("text");
    for (capacity, expected) in [(least, 0), (least - (4 << 20), 1)] {
        let capacity = capacity.to_string();
        let (code, _) = json(&["replay", FRAGMENTED, "--conf", conf, "--capacity", &capacity]);
        assert_eq!(code, expected, "{capacity}");
    }
}

#[test]
fn tune_says_plainly_when_nothing_helps() {
    for (example, capacity, verdict) in [
        (RETAINED, "3GiB", "hopeless"),
        (FRAGMENTED, "2.7GiB", "nothing-fits"),
        (RETAINED, "24GiB", "keep"),
    ] {
        let (code, tune) = json(&["tune", example, "--capacity", capacity]);
        assert_eq!(code, 0, "{example}");
        assert_eq!(tune["verdict"], verdict, "{example} in {capacity}");
        assert!(tune["recommendation"].is_null());
        assert_eq!(tune["closest"].is_null(), verdict != "nothing-fits");
    }
}

#[test]
fn recorded_figures_are_those_of_memory_stats() {
    let Some(cases) = common::shared("data/cases") else { return };
    let mut compared = 0;
    for path in snapshots_of(&cases) {
        let Ok(stats) = fs::read_to_string(path.with_file_name("memory_stats.json")) else {
            continue;
        };
        let stats: Value = serde_json::from_str(&stats).expect("JSON");
        // The statistics are those of device 0.
        let arguments =
            ["replay", path.to_str().expect("text"), "--device", "0", "--format", "json"];
        let output = common::oomscope(&arguments);
        if output.status.code() == Some(2) {
            continue;
        }
        let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let replay = &document;
        assert_eq!(replay["agrees"], true, "{}", path.display());
        if replay["read"]["is_complete"] == false {
            continue;
        }
        for (field, key) in [
            ("peak_allocated", "allocated_bytes.all.peak"),
            ("peak_active", "active_bytes.all.peak"),
            ("peak_reserved", "reserved_bytes.all.peak"),
            ("device_allocs", "num_device_alloc"),
            ("device_frees", "num_device_free"),
            ("retries", "num_alloc_retries"),
            ("ooms", "num_ooms"),
        ] {
            assert_eq!(replay["recorded"][field], stats[key], "{field} of {}", path.display());
        }
        compared += 1;
    }
    assert!(compared > 50, "{compared} compared");
}

#[test]
fn a_run_replayed_under_other_settings_is_as_it_was_recorded_under_them() {
    let Some(cases) = common::shared("data/cases") else { return };
    let runs = [
        ("e_fragment", ""),
        ("e_fragment_expandable", "expandable_segments:True"),
        ("e_fragment_maxsplit", "max_split_size_mb:256"),
        ("e_fragment_roundup", "roundup_power2_divisions:4"),
    ];
    for release in ["torch-2.4", "torch-2.6", "torch-2.9", "torch-2.15"] {
        let path = |run: &str| cases.join(release).join(run).join("snapshot.pickle");
        if !path("e_fragment").is_file() {
            println!("skipped: {release} is not here");
            continue;
        }
        let original = path("e_fragment").to_str().expect("text").to_owned();
        let device = json(&["replay", &original]).1["read"]["device"].to_string();
        // The run that failed lacks what came after, so it is predicted, and predicts nothing.
        for (from, _) in &runs[1..] {
            for (to, conf) in &runs {
                let from = path(from).to_str().expect("text").to_owned();
                let (_, replay) = json(&["replay", &from, "--conf", conf, "--capacity", &device]);
                let stats = fs::read_to_string(path(to).with_file_name("memory_stats.json"));
                let stats: Value = serde_json::from_str(&stats.expect("stats")).expect("JSON");
                let changed = &replay["changed"];
                for (field, key) in [
                    ("peak_reserved", "reserved_bytes.all.peak"),
                    ("device_allocs", "num_device_alloc"),
                    ("retries", "num_alloc_retries"),
                    ("ooms", "num_ooms"),
                ] {
                    assert_eq!(changed[field], stats[key], "{field}: {from} as {to}");
                }
            }
        }
    }
}

fn snapshots_of(cases: &Path) -> Vec<std::path::PathBuf> {
    let inside = |folder: &Path| {
        fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
    };
    let releases: Vec<_> = inside(cases).collect();
    let mut paths: Vec<_> = releases
        .iter()
        .flat_map(|release| inside(release).map(|case| case.join("snapshot.pickle")))
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    paths
}
