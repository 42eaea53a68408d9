//! Whole programs with one planted cause: the cause is first, its line is named, and nothing is
//! claimed about the healthy one.
#![allow(clippy::disallowed_methods, clippy::print_stdout)] // tests read files and say what they skip

mod common;

use std::path::Path;

use serde_json::Value;

struct Score {
    failing: usize,
    first: usize,
    with_line: usize,
    line_named: usize,
    healthy_claims: Vec<String>,
}

#[test]
fn the_planted_cause_is_first_and_its_line_is_named() {
    let Some(programs) = common::shared("data/programs") else { return };
    let mut score =
        Score { failing: 0, first: 0, with_line: 0, line_named: 0, healthy_claims: Vec::new() };
    let mut folders: Vec<_> = std::fs::read_dir(programs)
        .expect("the folder is there")
        .filter_map(|entry| {
            Some(entry.ok()?.path()).filter(|path| path.join("label.json").exists())
        })
        .collect();
    folders.sort();
    for folder in &folders {
        judge(folder, &mut score);
    }
    println!(
        "cause first {}/{}, culprit line {}/{}, healthy claims {:?}",
        score.first, score.failing, score.line_named, score.with_line, score.healthy_claims
    );
    assert!(score.failing == 0 || score.first * 12 >= score.failing * 11);
    assert!(score.line_named * 12 >= score.failing * 9);
    assert!(score.healthy_claims.is_empty());
}

fn judge(folder: &Path, score: &mut Score) {
    let label: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("label.json")).expect("a label"))
            .expect("JSON");
    let inputs: Vec<_> = ["src", "stdout.txt", "stderr.txt", "snapshot.pickle"]
        .iter()
        .map(|part| folder.join(part))
        .filter(|path| path.is_dir() || path.metadata().is_ok_and(|metadata| metadata.len() > 0))
        .collect();
    let diagnosis = common::diagnose_json(&inputs.iter().map(AsRef::as_ref).collect::<Vec<_>>());
    let names = common::cause_names(&diagnosis);
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    if label["healthy"] == true {
        let claimed = diagnosis["causes"][0]["confidence"].as_f64().unwrap_or(0.0) >= 0.5
            && names[0] != "unknown";
        if claimed {
            score.healthy_claims.push(format!("{name}: {}", names[0]));
        }
        return;
    }
    score.failing += 1;
    let acceptable = std::iter::once(&label["cause"])
        .chain(label["acceptable"].as_array().into_iter().flatten());
    let right = acceptable
        .filter_map(Value::as_str)
        .any(|cause| names.first().is_some_and(|first| first == cause));
    score.first += usize::from(right);
    let places = diagnosis["causes"][0]["places"].as_array().cloned().unwrap_or_default();
    let named = label["culprit"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|culprit| places.iter().any(|place| same_line(culprit, place)));
    score.with_line += 1;
    score.line_named += usize::from(right && named);
    println!(
        "{name:24} {} {:?} line {}",
        if right { "ok  " } else { "MISS" },
        &names[..names.len().min(3)],
        named
    );
}

fn same_line(culprit: &Value, place: &Value) -> bool {
    let base = |value: &Value| {
        value["file"].as_str().map(|file| file.rsplit('/').next().unwrap_or(file).to_owned())
    };
    let (Some(wanted), Some(line)) = (culprit["line"].as_i64(), place["line"].as_i64()) else {
        return false;
    };
    base(culprit) == base(place) && (wanted - line).abs() <= 1
}
