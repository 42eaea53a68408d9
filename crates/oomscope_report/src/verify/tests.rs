use oomscope_diagnose::verify::{Point, Question, Verdict, judge};
use oomscope_model::Bytes;

use super::{
    BudgetCheck, VerifiedDevice, VerifyReport, render_json, render_junit, render_markdown,
    render_text,
};
use crate::TextStyle;

fn report(bytes_a_step: u64) -> VerifyReport {
    let points: Vec<Point> = (1..=12)
        .map(|step| Point {
            step,
            stride: 1,
            allocated: Bytes((64 << 20) + bytes_a_step * step),
            peak: Bytes((96 << 20) + bytes_a_step * step),
            reserved: None,
        })
        .collect();
    let capacity = Some(Bytes(1 << 30));
    let judgement = judge(&points, &Question { capacity, failed: false });
    let peak = judgement.peak;
    VerifyReport {
        command: vec!["python".to_owned(), "a<b>.py".to_owned()],
        run: ".oomscope/runs/20260101-000000-abcd".to_owned(),
        exit_code: Some(0),
        devices: vec![VerifiedDevice {
            process: "p7".to_owned(),
            rank: None,
            device: 0,
            steps: 12,
            capacity,
            step_seconds: Some(0.25),
            judgement,
        }],
        budget: Some(BudgetCheck { from: "--budget".to_owned(), limit: Bytes(100 << 20), peak }),
        ..VerifyReport::default()
    }
}

fn text(render: impl Fn(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    render(&mut out).expect("a vector takes all");
    String::from_utf8(out).expect("text")
}

#[test]
fn a_stable_run_passes_in_every_format() {
    let report = report(0);
    assert!(report.passed());
    insta::assert_snapshot!(text(|out| render_text(&report, &TextStyle::default(), out)));
    insta::assert_snapshot!(text(|out| render_markdown(&report, out)));
    insta::assert_snapshot!(text(|out| render_junit(&report, out)));
}

#[test]
fn a_leak_fails_in_every_format_and_says_when_it_dies() {
    let report = report(1 << 20);
    assert_eq!(report.verdict(), Verdict::Growing);
    insta::assert_snapshot!(text(|out| render_text(&report, &TextStyle::default(), out)));
    insta::assert_snapshot!(text(|out| render_junit(&report, out)));
    insta::assert_snapshot!(text(|out| render_json(&report, out)));
}

#[test]
fn a_command_that_fails_for_another_reason_has_failed() {
    let failed = VerifyReport { exit_code: Some(3), ..report(0) };
    assert_eq!(failed.verdict(), Verdict::Failed);
    assert!(!failed.passed());
}
