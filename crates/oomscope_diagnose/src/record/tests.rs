use proptest::prelude::*;

use super::{ProcessRecord, StepSource, read};

const RUN: &str = r#"{"kind":"start","t":1.0,"schema_version":1,"pid":7,"argv":["train.py"],"unheard_of":[1]}
{"kind":"torch","t":1.5,"version":"2.9.0"}
{"kind":"device","t":1.6,"device":0,"name":"H100","total":80000}
{"kind":"history","t":1.7,"enabled":"all","stacks":"python","max_entries":100000,"by":"oomscope"}
{"kind":"step","t":2.0,"step":1,"source":"backward","devices":[{"device":0,"allocated":10,"peak_allocated":90}]}
{"kind":"step","t":2.1,"step":1,"source":"optimizer","seconds":0.5,"devices":[{"device":0,"allocated":12,"peak_allocated":30,"reserved":64},{"device":1,"allocated":5}]}
{"kind":"telemetry","t":2.2,"anything":{"at":"all"}}
{"kind":"step","t":3.1,"step":2,"source":"optimizer","seconds":0.7,"stride":2,"devices":[{"device":0,"allocated":12,"phases":[{"phase":"forward","allocated":20,"peak":25}]}]}
{"kind":"sample","t":3.2,"rss":1000,"devices":[{"device":2}]}
{"kind":"oom","t":4.0,"n":1,"device":0,"requested":100,"snapshot":"oom-1.pickle"}
{"kind":"step","t":4.1,"step":3,"source":"optimizer","seconds":0.6,"devices":[{"device":0,"allocated":12}]}
{"kind":"oom","t":5.0,"n":2,"device":0}
{"kind":"exception","t":5.1,"type":"torch.OutOfMemoryError","message":"CUDA out of memory.","is_oom":true}
{"kind":"source","t":5.15,"file":"/tmp/ipykernel_7/1.py","text":"import torch\n"}
{"kind":"problem","t":5.2,"what":"no space left"}
{"kind":"end","t":5.3,"reason":"exception"}
"#;

#[test]
fn a_whole_run_is_read_into_its_records() {
    let process = read("records.jsonl", RUN);
    assert_eq!(process.unread, []);
    assert_eq!(process.start.as_ref().map(|start| start.pid), Some(7));
    assert_eq!(process.torch.as_ref().map(|torch| torch.version.as_str()), Some("2.9.0"));
    assert_eq!((process.steps.len(), process.samples.len()), (4, 1));
    assert_eq!(process.best_source(), Some(StepSource::Optimizer));
    assert_eq!(process.device_indices().into_iter().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(process.capacity(0).map(|bytes| bytes.0), Some(80000));
    assert_eq!(process.problems.len(), 1);
    assert!(process.end.is_some());
}

#[test]
fn a_series_holds_the_best_source_of_one_device_alone() {
    let series = read("records.jsonl", RUN).series(0);
    let figures: Vec<_> =
        series.iter().map(|point| (point.step, point.stride, point.peak.0)).collect();
    assert_eq!(figures, [(1, 1, 30), (2, 2, 12), (3, 1, 12)]);
    assert_eq!(series.first().and_then(|point| point.reserved).map(|bytes| bytes.0), Some(64));
}

#[test]
fn only_the_failure_before_the_uncaught_exception_ended_the_program() {
    let process = read("records.jsonl", RUN);
    assert_eq!(process.caught_ooms().map(|oom| oom.n).collect::<Vec<_>>(), [1]);
    assert!(process.died_of_memory());
}

#[test]
fn the_time_of_a_step_is_a_median_without_its_stride() {
    assert_eq!(read("records.jsonl", RUN).step_seconds(), Some(0.5));
}

#[test]
fn a_line_cut_by_a_kill_costs_itself_alone() {
    let cut = &RUN[..RUN.len() - 20];
    let process = read("records.jsonl", cut);
    assert_eq!(process.steps.len(), 4);
    assert_eq!(process.end, None);
    assert_eq!(
        process.unread.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["records.jsonl: line 16: the last record is unfinished"]
    );
}

#[test]
fn a_run_that_is_cut_anywhere_keeps_what_came_before() {
    for end in 0..=RUN.len() {
        let whole = RUN[..end].rfind('\n').map_or(0, |at| at + 1);
        let (cut, mut before) = (read("r", &RUN[..end]), read("r", &RUN[..whole]));
        // All of a record may be there but for its newline.
        if cut.unread.is_empty() {
            before = read("r", &format!("{}\n", &RUN[..end]));
        }
        assert_eq!(ProcessRecord { unread: Vec::new(), ..cut }, before, "cut at byte {end}");
    }
}

#[test]
fn broken_lines_are_counted_without_bound_and_told_within_one() {
    let text = "\0\0\0\n".repeat(5000) + RUN;
    let process = read("records.jsonl", &text);
    assert_eq!(process.steps.len(), 4);
    assert_eq!(process.unread.len(), 21);
    assert_eq!(
        process.unread.last().map(|problem| problem.what.as_str()),
        Some("4980 more lines could not be read")
    );
}

#[test]
fn wrong_figures_lose_their_line_and_no_other() {
    for line in [
        r#"{"kind":"step","t":1,"step":-1,"source":"marker"}"#,
        r#"{"kind":"step","t":1,"step":1e300,"source":"marker"}"#,
        r#"{"kind":"step","t":NaN,"step":1,"source":"marker"}"#,
        r#"{"kind":"step","t":1,"source":"marker"}"#,
        r#"["step"]"#,
        "3",
        &"[".repeat(100_000),
        &format!(
            r#"{{"kind":"start","t":1,"schema_version":1,"pid":1,"cwd":"{}"}}"#,
            "x".repeat(1 << 20)
        ),
    ] {
        let process = read("records.jsonl", &format!("{line}\n{RUN}"));
        assert_eq!((process.unread.len(), process.steps.len()), (1, 4), "{line:.80}");
    }
}

#[test]
fn a_file_name_that_is_not_text_does_not_lose_the_record() {
    let line = r#"{"kind":"start","t":1,"schema_version":1,"pid":1,"argv":["\udce9t\u00e9.py"]}"#;
    let start = read("records.jsonl", line).start.expect("the start is read");
    assert_eq!(start.argv, ["\u{fffd}té.py"]);
}

#[test]
fn a_snapshot_outside_of_the_folder_is_never_named() {
    for path in ["../../secret.pickle", "/etc/shadow", "a/../../b", "C:\\\\x", "\\\\\\\\host\\\\x"]
    {
        let line = format!(r#"{{"kind":"oom","t":1,"n":1,"snapshot":"{path}"}}"#);
        let process = read("records.jsonl", &line);
        assert_eq!(process.ooms.first().map(|oom| oom.snapshot.clone()), Some(None), "{path}");
        assert_eq!(process.unread.len(), 1, "{path}");
    }
}

#[test]
fn a_newer_layout_is_read_with_a_warning() {
    let process = read("r", r#"{"kind":"start","t":1,"schema_version":9,"pid":1}"#);
    assert!(process.start.is_some());
    assert_eq!(process.unread.len(), 1);
}

#[test]
fn the_schema_names_every_kind_of_record() {
    let schema = super::json_schema();
    for kind in [
        "start",
        "torch",
        "device",
        "history",
        "step",
        "sample",
        "oom",
        "snapshot",
        "exception",
        "source",
        "problem",
        "end",
        "marker",
        "optimizer",
        "backward",
    ] {
        assert!(schema.contains(&format!("\"const\": \"{kind}\"")), "{kind}");
    }
    assert!(!schema.to_lowercase().contains("\"unknown\""));
}

/// A line of the right shape with wrong contents: any key of any record, any value.
fn line() -> impl Strategy<Value = String> {
    let kinds =
        "start|torch|device|history|step|sample|oom|snapshot|exception|source|problem|end|x";
    let keys = "t|schema_version|pid|argv|version|device|total|step|source|stride|seconds|devices|n|free|requested|snapshot|message|is_oom|file|text|what|reason";
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| value.to_string()),
        "[\\PC]{0,9}".prop_map(|value| serde_json::Value::from(value).to_string()),
        Just(r#"{"device":0,"allocated":18446744073709551615,"phases":[{}]}"#.to_owned()),
        Just("\"optimizer\"".to_owned()),
    ];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(|values| format!("[{}]", values.join(",")))
    });
    (kinds, prop::collection::vec((keys, value), 0..9)).prop_map(|(kind, entries)| {
        let entries: Vec<String> =
            entries.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        format!("{{\"kind\":\"{kind}\",\"t\":1,{}}}", entries.join(","))
    })
}

proptest! {
    #[test]
    fn no_record_of_the_right_shape_makes_the_reader_or_its_questions_panic(
        lines in prop::collection::vec(line(), 0..30)
    ) {
        let process = read("r", &lines.join("\n"));
        process.step_seconds();
        for device in process.device_indices() {
            process.capacity(device);
            crate::verify::judge(&process.series(device), &crate::verify::Question::default());
        }
        for oom in &process.ooms {
            super::device_at(&lines.join("\n"), &process, oom);
            super::device_of(&process, oom);
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,300}") {
        read("r", &text);
    }

    #[test]
    fn no_edit_of_a_run_makes_the_reader_panic(
        at in 0..RUN.len(), length in 0..60_usize, put in "[\\PC\\n]{0,20}"
    ) {
        let end = (at + length).min(RUN.len());
        let text = format!("{}{put}{}", &RUN[..at], &RUN[end..]);
        let process = read("r", &text);
        for device in process.device_indices() {
            let series = process.series(device);
            prop_assert!(series.windows(2).all(|pair| pair[0].step < pair[1].step));
        }
    }
}
