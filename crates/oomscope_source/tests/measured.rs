//! The measured pairs: a program with exactly one rule's finding, the same without it, and the
//! peak memory of both, which the rule's page quotes.

#![allow(clippy::disallowed_methods, clippy::print_stderr)] // tests read files and say what they skip

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use oomscope_model::{Bytes, Finding, Fix};
use oomscope_source::{InputFile, analyse, rule};
use serde_json::Value;

/// How far a figure of another release or device may be from the recorded one.
const TOLERANCE: f64 = 0.02;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("measured")
}

fn figures() -> Value {
    let text = std::fs::read_to_string(folder().join("figures.json")).expect("figures");
    serde_json::from_str(&text).expect("JSON")
}

/// The names of the pairs with their recorded figures.
fn pairs(figures: &Value) -> BTreeMap<&str, &Value> {
    let pairs = figures["pairs"].as_object().expect("pairs");
    pairs.iter().map(|(name, pair)| (name.as_str(), pair)).collect()
}

fn program(name: &str, side: &str) -> String {
    std::fs::read_to_string(folder().join(name).join(format!("{side}.py"))).expect("a program")
}

fn findings(text: &str) -> Vec<Finding> {
    let file = InputFile { path: "program.py".to_owned(), text: text.to_owned() };
    analyse(vec![file]).files.into_iter().flat_map(|file| file.findings).collect()
}

fn applied(text: &str, fix: &Fix) -> String {
    let mut edits = fix.edits.clone();
    edits.sort_by_key(|edit| std::cmp::Reverse((edit.start, edit.end)));
    edits.iter().fold(text.to_owned(), |mut text, edit| {
        text.replace_range(edit.start..edit.end, &edit.text);
        text
    })
}

fn figure(pair: &Value, side: &str, of: &str) -> Option<Bytes> {
    pair[side][of].as_u64().map(Bytes)
}

/// What the page of a rule says of its pair.
fn sentence(name: &str, pair: &Value, torch: &str) -> String {
    let release = torch.rsplit_once('.').map_or(torch, |(release, _)| release);
    let peak = |side| figure(pair, side, "peak").expect("a peak");
    let growth = match (figure(pair, "before", "growth"), figure(pair, "after", "growth")) {
        (Some(before), Some(after)) => format!("; a step adds {before} before, {after} after"),
        _ => String::new(),
    };
    format!(
        "Measured with the programs in `measured/{name}`: peak {} before, {} after{growth} \
         (PyTorch {release}).",
        peak("before"),
        peak("after"),
    )
}

#[test]
fn every_folder_has_figures_and_a_rule() {
    let figures = figures();
    let recorded: Vec<String> = pairs(&figures).keys().map(|name| (*name).to_owned()).collect();
    let entries = std::fs::read_dir(folder()).expect("the folder").flatten();
    let mut folders: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    folders.sort();
    assert_eq!(folders, recorded);
    assert!(folders.iter().all(|name| rule(name).is_some()), "{folders:?}");
}

#[test]
fn the_first_program_has_the_finding_of_its_rule_alone_and_the_second_none() {
    let figures = figures();
    for name in pairs(&figures).keys() {
        let before = findings(&program(name, "before"));
        let names: Vec<&str> = before.iter().map(|finding| finding.name).collect();
        assert_eq!(names, [*name], "{before:#?}");
        assert_eq!(findings(&program(name, "after")), [], "{name}");
    }
}

#[test]
fn the_second_program_is_what_the_fix_makes_of_the_first() {
    let figures = figures();
    let mut fixed = 0;
    for name in pairs(&figures).keys() {
        let before = program(name, "before");
        for fix in findings(&before).iter().filter_map(|finding| finding.fix.as_ref()) {
            if !fix.edits.is_empty() {
                assert_eq!(applied(&before, fix), program(name, "after"), "{name}");
                fixed += 1;
            }
        }
    }
    assert!(fixed > 0, "some fixes are automatic");
}

#[test]
fn the_page_of_a_rule_quotes_the_figures_of_its_pair() {
    let figures = figures();
    let torch = figures["torch"].as_str().expect("a release");
    for (name, pair) in pairs(&figures) {
        let wanted = sentence(name, pair, torch);
        let page = rule(name).map_or("", |rule| rule.doc);
        assert!(page.contains(&wanted), "{name}.md lacks:\n{wanted}");
        let less = figure(pair, "after", "peak") < figure(pair, "before", "peak");
        assert!(less, "{name}: the fix saves memory");
    }
    for rule in oomscope_source::rules().filter(|rule| rule.doc.contains("Measured with")) {
        assert!(pairs(&figures).contains_key(rule.name), "{} quotes no pair", rule.name);
    }
}

#[test]
fn the_programs_need_what_was_recorded_where_pytorch_runs() {
    let (Some(python), Some(launcher)) =
        (std::env::var_os("OOMSCOPE_TORCH_PYTHON"), std::env::var_os("OOMSCOPE_VGPU_RUN"))
    else {
        eprintln!(
            "skipped: OOMSCOPE_TORCH_PYTHON and OOMSCOPE_VGPU_RUN do not say where PyTorch is"
        );
        return;
    };
    let figures = figures();
    let mut wrong = Vec::new();
    for (name, pair) in pairs(&figures) {
        for side in ["before", "after"] {
            let path = folder().join(name).join(format!("{side}.py"));
            let output = Command::new(&launcher).arg(&python).arg(path).output().expect("a Python");
            let text = String::from_utf8_lossy(&output.stdout);
            let now: Value = text
                .lines()
                .last()
                .and_then(|line| serde_json::from_str(line).ok())
                .unwrap_or_default();
            for of in ["peak", "growth"] {
                let recorded = pair[side][of].as_f64();
                let close = match (recorded, now[of].as_f64()) {
                    (Some(recorded), Some(now)) => (now - recorded).abs() <= TOLERANCE * recorded,
                    (recorded, now) => recorded == now,
                };
                if !close {
                    wrong.push(format!(
                        "{name}, {side}: {of} {} now, {recorded:?} recorded",
                        now[of]
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
