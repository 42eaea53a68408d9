//! The formats of `check` keep to their schemas and survive hostile names.

use jsonschema::validator_for;
use oomscope_model::{
    Cause, Edit, Finding, Fix, FixSafety, Held, PathStep, Place, Problem, Severity,
};
use oomscope_report::TextStyle;
use oomscope_report::check::{
    Cell, CheckReport, CheckedFile, RuleEntry, Shown, Statistics, render_concise, render_github,
    render_gitlab, render_json, render_junit, render_markdown, render_sarif, render_text,
};
use serde_json::Value;

/// From OASIS, as the crate `serde-sarif` (MIT) carries it; see `data/README.md`.
const SARIF: &str = include_str!("data/sarif-schema-2.1.0.json");
const CHECK: &str = include_str!("../../../schema/check.schema.json");
const ALL: Shown = Shown { least: Severity::Note };

fn finding(file: &str, line: u32) -> Finding {
    Finding {
        rule: "OOM101",
        name: "loss-accumulation",
        cause: Cause::GraphRetained,
        severity: Severity::Error,
        held: Held::Activations,
        place: Place { file: file.to_owned(), line, function: Some("train".to_owned()) },
        column: 1,
        end: (line, 14),
        message: "`total` adds up `loss`\n::error::<b>]]>\u{1b}[31m".to_owned(),
        path: vec![PathStep {
            place: Place { file: file.to_owned(), line: 1, function: None },
            what: "`loss` carries a graph".to_owned(),
        }],
        function_lines: (1, 2),
        fix: Some(Fix {
            safety: FixSafety::Unsafe,
            title: "add `loss.item()` instead".to_owned(),
            edits: vec![Edit { start: 4, end: 4, text: ".item()".to_owned() }],
        }),
    }
}

fn report(text: &str, line: u32) -> CheckReport {
    let file = |path: &str, cells: Vec<Cell>| CheckedFile {
        path: path.to_owned(),
        text: text.to_owned(),
        cells,
        findings: vec![finding(path, line), finding(path, line)],
    };
    CheckReport {
        files: vec![
            file("src/new\nline \u{1b}[2J,é:%.py", vec![]),
            file("/abs/a b.py", vec![]),
            file("n.ipynb", vec![Cell { number: 2, line: 1 }, Cell { number: 5, line: 2 }]),
        ],
        files_checked: 3,
        problems: vec![Problem {
            input: "bad\u{1b}.py".to_owned(),
            at: Some("line 1".to_owned()),
            what: "syntax error".to_owned(),
            hint: None,
        }],
        fixed: vec![],
        rules: vec![RuleEntry {
            id: "OOM101",
            name: "loss-accumulation",
            group: "graph-retention",
            cause: Cause::GraphRetained,
            severity: Severity::Error,
            page: "# loss-accumulation (OOM101)\n\nIt adds up.\n\n## Fix\n\nItem.\n",
        }],
    }
}

fn rendered(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).expect("writing to memory succeeds");
    String::from_utf8(out).expect("output is UTF-8")
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("it is JSON")
}

fn violations(schema: &str, document: &Value) -> Vec<String> {
    let validator = validator_for(&parsed(schema)).expect("the schema is one");
    validator.iter_errors(document).map(|error| error.to_string()).collect()
}

#[test]
fn sarif_keeps_to_the_official_schema() {
    let report = report("a = 1\ntotal += loss\n", 2);
    let document = parsed(&rendered(|out| render_sarif(&report, ALL, out)));
    // A stray bracket in a pattern of the published schema is no regular expression.
    let schema = SARIF.replace("[a-zA-Z]{2}]?$", "[a-zA-Z]{2}$");
    assert_eq!(violations(&schema, &document), Vec::<String>::new());
    let results = &document["runs"][0]["results"];
    assert_eq!(results.as_array().map(Vec::len), Some(6));
    let location = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!(location["artifactLocation"]["uri"], "src/new%0Aline%20%1B%5B2J%2C%C3%A9%3A%25.py");
    assert_eq!(
        results[2]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
        "file:///abs/a%20b.py"
    );
    assert!(results[0]["fixes"].is_array() && results[4]["fixes"].is_null());
    let mut damaged = document.clone();
    damaged["runs"][0]["results"][0]["level"] = "fatal".into();
    assert_ne!(violations(&schema, &damaged), Vec::<String>::new());
}

#[test]
fn the_json_keeps_to_its_committed_schema() {
    assert_eq!(oomscope_report::check::json_schema(), CHECK, "run `cargo xtask schema`");
    let report = report("a = 1\ntotal += loss\n", 2);
    let text = rendered(|out| render_json(&report, ALL, Statistics::Included, out));
    let document = parsed(&text);
    assert_eq!(violations(CHECK, &document), Vec::<String>::new());
    assert_eq!(document["findings"][4]["cell"], 5);
    assert_eq!(document["findings"][4]["line"], 1);
    assert_eq!(document["summary"]["errors"], 6);
}

#[test]
fn fingerprints_survive_moved_lines_and_tell_equal_lines_apart() {
    let prints = |text: &str, line: u32| -> Vec<String> {
        let document = parsed(&rendered(|out| render_gitlab(&report(text, line), ALL, out)));
        let entries = document.as_array().expect("an array").clone();
        entries.iter().map(|one| one["fingerprint"].to_string()).collect()
    };
    let (before, after) = (prints("a\ntotal += loss\n", 2), prints("a\n\n\n  total += loss\n", 4));
    assert_eq!(before, after);
    let mut distinct = before.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), before.len());
    assert_ne!(before, prints("a\ntotal += loss * 2\n", 2));
}

#[test]
fn no_format_lets_control_characters_or_forged_lines_through() {
    let report = report("a = 1\ntotal += loss\x1b[2J\n", 2);
    let style = TextStyle::default();
    let all = [
        rendered(|out| render_text(&report, ALL, &style, out)),
        rendered(|out| render_concise(&report, ALL, &style, out)),
        rendered(|out| render_json(&report, ALL, Statistics::Absent, out)),
        rendered(|out| render_sarif(&report, ALL, out)),
        rendered(|out| render_github(&report, ALL, out)),
        rendered(|out| render_gitlab(&report, ALL, out)),
        rendered(|out| render_junit(&report, ALL, out)),
        rendered(|out| render_markdown(&report, ALL, out)),
    ];
    for text in &all {
        assert!(!text.chars().any(|one| one.is_control() && one != '\n'), "{text}");
    }
    assert_eq!(all[1].lines().count(), 6, "{}", all[1]);
    assert!(all[4].lines().all(|line| line.starts_with("::error title=OOM101")), "{}", all[4]);
    assert!(!all[6].contains("<b>"), "{}", all[6]);
}
